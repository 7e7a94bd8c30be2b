"""Channels of unlike range: divided, multiplied apart, or made alike, so that one scale serves them all."""
