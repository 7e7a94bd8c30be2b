import pytest

from optkit.errors import UsageError
from optkit.inspection.sizes import choose_sizes, parse_sizes
from optkit.runtimes import Port

TOKENS = Port("ids", "int64", ("batch", "seq"))
MASK = Port("mask", "int64", ("batch", "seq"))
IMAGE = Port("image", "float32", (None, 3, "h", "w"))
STATE = Port("state", "float32", (2, None, 64))


def test_what_is_open_is_assumed_and_said() -> None:
    sizes = choose_sizes([TOKENS, MASK], {})
    assert sizes.shapes == {"ids": (1, 128), "mask": (1, 128)}
    assert sizes.assumed == {"batch": 1, "seq": 128}
    assert choose_sizes([IMAGE], {}).shapes == {"image": (1, 3, 224, 224)}
    assert choose_sizes([STATE], {}).shapes == {"state": (2, 1, 64)}
    assert choose_sizes([Port("rate", "int64", ())], {}).shapes == {"rate": ()}


def test_a_name_that_is_the_batch_of_one_input_is_it_in_all() -> None:
    time_first = Port("frames", "float32", ("t", "n", 40))
    assert choose_sizes([time_first, Port("lengths", "int64", ("n",))], {}).shapes["frames"] == (1, 1, 40)


def test_given_goes_before_data_and_data_before_assumption() -> None:
    data = {"ids": (1, 34), "mask": (1, 34)}
    assert choose_sizes([TOKENS, MASK], {}, data).shapes["ids"] == (1, 34)
    assert choose_sizes([TOKENS, MASK], {}, data).assumed == {}
    assert choose_sizes([TOKENS, MASK], {"seq": (512,)}, data).shapes == {"ids": (1, 512), "mask": (1, 512)}
    assert choose_sizes([TOKENS, MASK], {"seq": (512,)}).assumed == {"batch": 1}


def test_dimensions_without_a_name_and_whole_inputs() -> None:
    assert choose_sizes([IMAGE], {"image[0]": (4,), "h": (8,)}).shapes == {"image": (4, 3, 8, 224)}
    assert choose_sizes([IMAGE], {"image": (2, 3, 48, 320)}).named == {"image[0]": 2, "h": 48, "w": 320}


def test_an_input_called_like_its_dimension() -> None:
    lengths = Port("n", "int64", ("n",))
    assert choose_sizes([lengths], {"n": (9,)}).shapes == {"n": (9,)}


def test_parsing() -> None:
    assert parse_sizes(["seq=128", "image=1x3x8x8", "other=1,2"]) == {"seq": (128,), "image": (1, 3, 8, 8), "other": (1, 2)}


@pytest.mark.parametrize("text", ["seq", "seq=", "=3", "seq=-1", "seq=1.5", "image=1x"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_sizes([text])


@pytest.mark.parametrize(
    ("given", "says"),
    [({"sek": (1,)}, "did you mean 'seq'"), ({"seq": (1, 2)}, "is one dimension"), ({"ids": (3,)}, "has 2 axes, not 1")],
)
def test_what_does_not_fit(given: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        choose_sizes([TOKENS], given)
