"""Integers in a graph: which nodes compute in them, how Q/DQ pairs and integer operators get there, which CPUs agree."""
