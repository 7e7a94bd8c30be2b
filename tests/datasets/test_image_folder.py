import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.datasets import read_examples
from optkit.errors import DataError, MissingLibrary
from optkit.runtimes import Port

NCHW = Port("x", "float32", ("N", 3, "h", "w"))
Put = Callable[..., str]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Save images under photos/ and a sidecar beside it."""
    image: Any = pytest.importorskip("PIL.Image", reason="pip install 'optkit[images]'")
    folder = tmp_path / "photos"

    def save(images: dict[str, Array], sidecar: str | None = "{}", labels: str | None = None) -> str:
        for name, pixels in images.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            image.fromarray(pixels).save(folder / name)
        if sidecar is not None:
            (tmp_path / "photos.yaml").write_text(sidecar, encoding="utf-8")
        if labels is not None:
            (folder / "labels.csv").write_text(labels, encoding="utf-8")
        return str(folder)

    return save


def picture(seed: int = 0, height: int = 4, width: int = 6) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def refusal(data: str, port: Port = NCHW, *more: Port) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(data, [port, *more])
    assert len(str(caught.value).splitlines()) == 2
    return caught.value.what


def test_pixels_are_scaled_and_channels_come_first(put: Put) -> None:
    examples = read_examples(put({"a.png": picture()}), [NCHW])
    np.testing.assert_allclose(examples.arrays["x"], picture().transpose(2, 0, 1)[None] / 255, rtol=1e-6)
    assert examples.arrays["x"].dtype == np.float32
    assert examples.labels is None


def test_mean_and_std_follow_the_scale(put: Put) -> None:
    data = put({"a.png": picture()}, "scale: 1/255\nmean: [0.485, 0.456, 0.406]\nstd: [0.229, 0.224, 0.225]\n")
    expected = (picture() / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(read_examples(data, [NCHW]).arrays["x"][0], expected.transpose(2, 0, 1), rtol=1e-4, atol=1e-6)


def test_the_models_input_shows_layout_and_gray(put: Put) -> None:
    data = put({"a.png": picture()})
    assert read_examples(data, [Port("x", "float32", (1, None, None, 3))]).arrays["x"].shape == (1, 4, 6, 3)
    assert read_examples(data, [Port("x", "float32", (1, 1, None, None))]).arrays["x"].shape == (1, 1, 4, 6)


def test_blue_first(put: Put) -> None:
    got = read_examples(put({"a.png": picture()}, "color: bgr\nscale: 1\n"), [NCHW]).arrays["x"]
    np.testing.assert_array_equal(got[0], picture()[:, :, ::-1].transpose(2, 0, 1))


def test_integer_inputs_get_the_pixels(put: Put) -> None:
    got = read_examples(put({"a.png": picture()}), [Port("x", "uint8", ("N", 3, None, None))]).arrays["x"]
    np.testing.assert_array_equal(got[0], picture().transpose(2, 0, 1))


def test_integer_inputs_get_no_fractions(put: Put) -> None:
    assert "wants uint8, the data has float32" in refusal(put({"a.png": picture()}, "mean: 0.5"), Port("x", "uint8", ("N", 3, None, None)))


def test_the_crop_is_the_centre(put: Put) -> None:
    got = read_examples(put({"a.png": picture(height=8, width=12)}, "crop: [4, 6]\nscale: 1"), [NCHW]).arrays["x"]
    np.testing.assert_array_equal(got[0], picture(height=8, width=12)[2:6, 3:9].transpose(2, 0, 1))


@pytest.mark.parametrize(("resize", "shape"), [("8", (8, 12)), ("[5, 7]", (5, 7)), ("3", (3, 4))])
def test_a_number_resizes_the_shorter_side(put: Put, resize: str, shape: tuple[int, int]) -> None:
    assert read_examples(put({"a.png": picture()}, f"resize: {resize}"), [NCHW]).arrays["x"].shape[2:] == shape


def test_resizing_to_whole_multiples_repeats_pixels(put: Put) -> None:
    got = read_examples(put({"a.png": picture()}, "resize: [8, 12]\ninterpolation: nearest\nscale: 1"), [NCHW]).arrays["x"]
    np.testing.assert_array_equal(got[0], picture().repeat(2, 0).repeat(2, 1).transpose(2, 0, 1))


def test_sub_folders_are_classes_and_take_turns(put: Put) -> None:
    data = put({f"{name}/{i}.png": picture(seed) for seed, (name, i) in enumerate([("dog", 0), ("cat", 0), ("dog", 1), ("dog", 2)])})
    labels = read_examples(data, [NCHW], needs_labels=True).labels
    assert labels is not None
    assert labels.tolist() == [0, 1, 1, 1]
    first = read_examples(f"{data}[:2]", [NCHW])
    assert first.labels is not None
    assert first.labels.tolist() == [0, 1]
    np.testing.assert_allclose(first.arrays["x"][1], picture(0).transpose(2, 0, 1) / 255, rtol=1e-6)


def test_folders_that_are_numbers_are_class_numbers(put: Put) -> None:
    labels = read_examples(put({"10/a.png": picture(), "2/a.png": picture()}), [NCHW]).labels
    assert labels is not None
    assert labels.tolist() == [10, 2]


def test_the_sidecar_orders_classes(put: Put) -> None:
    labels = read_examples(put({"cat/a.png": picture(), "dog/a.png": picture()}, "classes: [dog, bird, cat]"), [NCHW]).labels
    assert labels is not None
    assert labels.tolist() == [2, 0]


def test_labels_in_a_table(put: Put) -> None:
    data = put({"a.png": picture(1), "sub/b.png": picture(2)}, labels="file,label\nsub/b.png,3\na.png,1\n")
    examples = read_examples(data, [NCHW])
    assert examples.labels is not None
    assert examples.labels.tolist() == [3, 1]
    np.testing.assert_allclose(examples.arrays["x"][0], picture(2).transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ("a.png,1\n", "labels.csv lacks the columns file and label"),
        ("file,label\nb.png,1\n", "labels.csv:2 names 'b.png', which is not there"),
        ("file,label\na.png,\n", "labels.csv:2 has no label"),
        ("file,label\n", "it holds no images"),
    ],
)
def test_tables_of_labels_that_are_wrong(put: Put, labels: str, what: str) -> None:
    assert refusal(put({"a.png": picture()}, labels=labels)) == what


def test_preprocessing_is_never_guessed(put: Put) -> None:
    assert refusal(put({"a.png": picture()}, sidecar=None)) == "nothing says how its images become numbers"


@pytest.mark.parametrize(
    ("sidecar", "what"),
    [
        ("resise: 4\n", "unknown key 'resise'"),
        ("color: blue\n", "color: 'blue': input should be 'rgb', 'bgr' or 'gray'"),
        ("scale: 1/0\n", None),
        ("scale: fast\n", None),
        ("mean: [1, 2]\n", "mean has 2 numbers for a rgb image"),
        ("crop: 5\n", "a.png cannot be used: it is 4 x 6, smaller than the crop 5 x 5"),
        ("classes: [dog]\n", None),
        ("std: 0\n", None),
    ],
)
def test_sidecars_that_are_wrong(put: Put, sidecar: str, what: str | None) -> None:
    if sidecar.startswith("classes"):
        assert refusal(put({"cat/a.png": picture()}, sidecar)) == "class 'cat' is not among the classes of photos.yaml"
        return
    found = refusal(put({"a.png": picture()}, sidecar))
    assert what is None or found == what


def test_images_of_different_sizes(put: Put) -> None:
    assert refusal(put({"a.png": picture(), "b.png": picture(height=5)})) == "b.png becomes [3, 5, 6], a.png becomes [3, 4, 6]"


def test_a_size_that_the_model_does_not_take(put: Put) -> None:
    what = refusal(put({"a.png": picture()}), Port("x", "float32", ("N", 3, 8, 8)))
    assert what == "input 'x' wants float32 [N, 3, 8, 8], the data has float32 [1, 3, 4, 6]"


def test_a_layout_that_does_not_show(put: Put) -> None:
    assert refusal(put({"a.png": picture()}), Port("x", "float32", (None,) * 4)) == "input 'x' does not show its layout"
    assert read_examples(put({"a.png": picture()}, "layout: NHWC"), [Port("x", "float32", (None,) * 4)]).arrays["x"].shape == (1, 4, 6, 3)


def test_models_that_take_no_image(put: Put) -> None:
    data = put({"a.png": picture()})
    assert "has 2 axes" in refusal(data, Port("x", "float32", ("N", 3)))
    assert "fills one input" in refusal(data, NCHW, Port("y", "float32", ("N",)))


def test_a_damaged_image(put: Put, tmp_path: Path) -> None:
    data = put({"a.png": picture()})
    (tmp_path / "photos" / "b.png").write_bytes((tmp_path / "photos" / "a.png").read_bytes()[:60])
    assert refusal(data).startswith("b.png cannot be used: ")


def test_pillow_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    monkeypatch.setattr("optkit.needs.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "PIL", raising=False)
    with pytest.raises(MissingLibrary, match=r"needs PIL, which is not installed\nhint: pip install 'optkit\[images\]'"):
        read_examples(str(tmp_path), [NCHW])
