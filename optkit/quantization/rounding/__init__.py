"""Which way weights are rounded, and what biases make up for."""
