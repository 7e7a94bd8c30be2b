"""Pure functions on arrays: intervals, paired tests, power."""
