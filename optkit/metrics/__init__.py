"""Outputs and answers to one score per example. One file a metric."""
