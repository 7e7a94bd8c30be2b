"""Integers in place of floats: statistics, ranges, node choice, Q/DQ insertion, and which variant pays."""
