"""A rewrite of a float graph that no pass may believe."""

import numpy as np
import onnx_ir as ir


def with_twice_the_weights(model: ir.Model, but: object = ()) -> ir.Model:
    made = model.clone()
    weight = made.graph.initializers["w"]
    weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(2), name="w")  # type: ignore[union-attr]
    return made
