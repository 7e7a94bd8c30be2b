"""Runs ONNX Runtime's transformer fusions: `python _fusing.py IN OUT FAMILY HEADS HIDDEN`, in a process and folder of its own.

They write debug files where they stand, put their folder on the import path, and order some work by hash.
"""

import sys


def main(source: str, target: str, family: str, heads: str, hidden: str) -> None:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions(family)
    options.use_raw_attention_mask(True)  # the other form takes it that padding stands on the right
    fused = optimize_model(
        source, model_type=family, num_heads=int(heads), hidden_size=int(hidden), optimization_options=options, opt_level=0
    )
    fused.save_model_to_file(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
