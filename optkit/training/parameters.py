"""The parameters that every training takes, said once: passes that train have them as their own."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingParameters(BaseModel):
    """How a module is trained. Steps are optimizer steps; an epoch sees every example that is learned from once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(10, ge=1, le=100_000, description="How often every training example is seen.")
    batch_size: int = Field(64, ge=1, description="Examples for each change of the weights, over all processes together.")
    accumulate: int = Field(1, ge=1, description="Parts that a batch is computed in to save memory; their gradients are added up.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd has a momentum of 0.9.")
    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False, description="Its highest value: it rises to it, then falls as a cosine.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, allow_inf_nan=False, description="Pull of weights towards 0; biases and norms have none.")
    max_gradient: float | None = Field(None, gt=0, allow_inf_nan=False, description="Longer gradients are cut to this length (norm).")
    validation: float = Field(0.1, ge=0, lt=1, description="Share of the training examples held out to choose the best epoch by.")
    metric: str | None = Field(None, description="What epochs are chosen by. Default: what suits the labels, else the loss.")
    output: str | None = Field(None, description="The output that carries the answer, where a model has several.")
    patience: int | None = Field(None, ge=1, description="Stop after so many epochs without a better one. Default: train to the end.")
    augment: str | None = Field(
        None, description="module:function that changes a batch (arrays by name, and labels) before it is learned from."
    )
    mask: str | None = Field(
        None,
        description="Input that is 0 where texts are filled up, such as attention_mask: batches are cut to their longest text, and texts "
        "of like length come together. The network must not see what the mask hides.",
    )
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = Field(
        "auto", description="Compute in 16 bits where that is safe. auto: on CUDA devices only; fp16 needs one."
    )
    training_threads: int = Field(
        0, ge=0, le=1024, description="Threads to train with; 0 takes every core. Results are the same for the same number."
    )
