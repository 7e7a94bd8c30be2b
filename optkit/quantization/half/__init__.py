"""Models in float16, and weights in bfloat16: what can be narrow is planned, carried out and held against the original."""
