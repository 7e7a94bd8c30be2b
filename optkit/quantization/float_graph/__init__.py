"""The float graph that quantization starts from, and the rewrites that lead to it; none changes an answer."""
