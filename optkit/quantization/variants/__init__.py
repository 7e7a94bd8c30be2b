"""One way to quantize a model: what becomes of each node, built, timed and held against the original."""
