"""Weights in 4 or 8 bits, in groups that have a scale each, that stay so in memory: MatMulNBits and GatherBlockQuantized."""
