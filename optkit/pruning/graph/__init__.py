"""Channels out of an ONNX graph, without PyTorch.

`groups` finds which channels of which tensors go together, `cut_out` removes them, `eliminate` says from examples which matter least,
`allocate` divides a target among layers, `refit` solves the weights that stay by least squares, `prune` does all of it.
"""
