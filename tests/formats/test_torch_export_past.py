"""Decoders with their key-value cache: prefill and steps answer as the whole text does at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.runtimes import open_session

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ARGUMENTS = json.dumps({"class": "AutoModelForCausalLM"})


@pytest.fixture(autouse=True)
def _transformers() -> None:
    """Here, and not on top: it takes seconds to import."""
    try:
        from transformers import GPT2LMHeadModel, LlamaForCausalLM  # noqa: F401
    except ImportError as error:
        pytest.skip(f"transformers cannot be loaded: {error}")


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, max_position_embeddings=64, **sizes)).eval()


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2, n_positions=64)).eval()


def exported(model: Any, folder: Path, *more: str) -> Path:
    model.save_pretrained(folder / "net")
    words = [f"transformers:{folder / 'net'}", "--arguments", ARGUMENTS, "--with-past", "-o", str(folder / "m.onnx"), "-q", *more]
    found = CliRunner().invoke(main, ["export", *words])
    assert found.exit_code == 0, found.output + str(found.exception)
    return folder / "m.onnx"


@pytest.mark.parametrize("make", [llama, gpt2])
def test_text_is_continued_as_by_pytorch(make: Any, tmp_path: Path) -> None:
    model = make()
    path = exported(model, tmp_path)
    inputs = {each.name: [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim] for each in onnx.load(path).graph.input}
    assert inputs["attention_mask"] == ["batch", "past_length + sequence"]
    assert inputs["past_key_values.0.value"][0] == "batch"
    assert inputs["past_key_values.0.value"][2] == "past_length"
    session = open_session(path)
    text = np.random.default_rng(0).integers(0, 50, (3, 5))
    model.generation_config.eos_token_id = None
    given = torch.from_numpy(text)
    wanted = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=6, do_sample=False, pad_token_id=0).numpy()
    answers = session.run({"input_ids": text, "attention_mask": np.ones_like(text)})
    for _ in range(6):
        token = np.asarray(answers["logits"])[:, -1:].argmax(-1)
        text = np.concatenate([text, token], axis=1)
        past = {name.replace("present", "past_key_values"): value for name, value in answers.items() if name.startswith("present")}
        answers = session.run({"input_ids": token, "attention_mask": np.ones_like(text), **past})
    np.testing.assert_array_equal(text, wanted)


def test_texts_padded_on_their_left_are_read_as_they_are(tmp_path: Path) -> None:
    session = open_session(exported(llama(), tmp_path))
    text = np.random.default_rng(1).integers(1, 50, (1, 4))
    alone = np.asarray(session.run({"input_ids": text, "attention_mask": np.ones_like(text)})["logits"], np.float32)
    padded = {"input_ids": np.pad(text, [(0, 0), (3, 0)]), "attention_mask": np.pad(np.ones_like(text), [(0, 0), (3, 0)])}
    np.testing.assert_allclose(np.asarray(session.run(padded)["logits"], np.float32)[:, 3:], alone, atol=1e-5)


def test_what_is_no_decoder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optkit_no_decoder.py").write_text("import torch\n\ndef net():\n    return torch.nn.Linear(3, 3)\n")
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["export", "optkit_no_decoder:net", "--with-past", "-o", "m.onnx", "-q"])
    assert found.exit_code == 2
    assert "it keeps no key-value cache" in found.stderr
    assert not (tmp_path / "m.onnx").exists()
