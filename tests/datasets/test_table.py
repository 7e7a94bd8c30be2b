import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.datasets import read_examples
from optkit.errors import DataError
from optkit.runtimes import Port

X = Port("x", "float32", ("N", 2))
AGE, CITY = Port("age", "float32", (None, 1)), Port("city", "str", (None, 1))
IDS = Port("ids", "int64", ("N", "T"))

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(name: str, text: str, sidecar: str | None = None) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        if sidecar is not None:
            (tmp_path / name).with_suffix(".yaml").write_text(sidecar, encoding="utf-8")
        return str(tmp_path / name)

    return save


def refusal(data: str, *inputs: Port) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(data, inputs)
    assert len(str(caught.value).splitlines()) == 2
    return caught.value.what


def test_all_columns_but_the_labels_make_the_only_input(write: Write) -> None:
    examples = read_examples(write("t.csv", "a,label,b\n1,0,2.5\n3,1,4\n"), [X], needs_labels=True)
    assert examples.arrays["x"].tolist() == [[1, 2.5], [3, 4]]
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 1]
    assert examples.labels.dtype == np.int64


def test_a_column_for_each_input(write: Write) -> None:
    examples = read_examples(write("t.csv", 'city,age,other\n"Paris, FR",30,x\nRome,41,y\n'), [AGE, CITY])
    assert examples.arrays["age"].tolist() == [[30], [41]]
    assert examples.arrays["city"].tolist() == [["Paris, FR"], ["Rome"]]
    assert examples.labels is None


def test_the_sidecar_names_columns(write: Write) -> None:
    sidecar = "inputs: {x: [b, a]}\nlabels: species\ngroups: plant\nclasses: [rose, daisy]\n"
    data = write("t.csv", "a,b,plant,species,note\n1,2,p,daisy,-\n3,4,q,rose,-\n5,6,p,rose,-\n", sidecar)
    examples = read_examples(f"{data}[1:]", [X])
    assert examples.arrays["x"].tolist() == [[4, 3], [6, 5]]
    assert examples.labels is not None
    assert examples.labels.tolist() == [0, 0]
    assert examples.groups is not None
    assert examples.groups.tolist() == [0, 1]


def test_names_of_classes_are_numbered_by_all_rows(write: Write) -> None:
    data = write("t.csv", "a,b,label\n1,2,rose\n3,4,daisy\n5,6,rose\n")
    labels = read_examples(f"{data}[2:]", [X]).labels
    assert labels is not None
    assert labels.tolist() == [1]


def test_json_lines_hold_lists(write: Write) -> None:
    rows = [{"ids": [1, 2, 3], "labels": [0, -1]}, {"ids": [4, 5, 6], "labels": [1, 2]}]
    examples = read_examples(write("t.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n"), [IDS])
    assert examples.arrays["ids"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert examples.labels is not None
    assert examples.labels.tolist() == [[0, -1], [1, 2]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,2\n3,four\n", "row 2, column 'b': 'four' is not a number"),
        ("a,b\n1,\n", "row 1, column 'b': '' is not a number"),
        ("a,b\n1,2\n3\n", "row 2 has other columns than the first"),
        ("a,b\n1,2\n3,4,5\n", "row 2 has other columns than the first"),
        ("a,b\n", "the table has no rows"),
        ("", "the table has no rows"),
        ("a,b,c\n1,2,3\n", "input 'x' wants float32 [N, 2], the data has int64 [1, 3]"),
        ("a,b,label\n1,2,\n", "some rows have no label"),
        ("a,label\n1,0\n", "input 'x' wants float32 [N, 2], the data has int64 [1, 1]"),
    ],
)
def test_tables_that_do_not_fit(write: Write, text: str, what: str) -> None:
    assert refusal(write("t.csv", text), X) == what


@pytest.mark.parametrize(
    "row", ["[1, 2]", "3", '{"ids": null}', '{"ids": [true, "x"]}', '{"ids": {}}', "{", '{"ids": [1, 2]}\n{"ids": [1]}']
)
def test_json_lines_that_do_not_fit(write: Write, row: str) -> None:
    refusal(write("t.jsonl", row + "\n"), IDS)


def test_a_slice_that_selects_nothing(write: Write) -> None:
    assert refusal(write("t.csv", "a,b\n1,2\n") + "[1:]", X) == "the slice selects no examples"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    assert refusal(str(tmp_path / "t.csv"), X).startswith("it is not csv in UTF-8")


@pytest.mark.parametrize(
    ("sidecar", "what"),
    [
        ("label: b\n", "unknown key 'label'"),
        ("labels: c\n", "there is no column 'c'"),
        ("inputs: {x: [a, c]}\n", "there is no column 'c'"),
        ("text: c\n", "there is no column 'c'"),
        ("text: a\n", "text needs a tokenizer"),
        ("text: a\ntokenizer: none.json\n", None),
        ("max_length: 0\n", "max_length: 0: input should be greater than 0"),
        ("- a\n", "it is not a list of keys and values"),
        ("a: [\n", None),
        ("labels: b\nclasses: [x, y]\n", "label '2' is not among the classes of t.yaml"),
    ],
)
def test_sidecars_that_are_wrong(write: Write, sidecar: str, what: str | None) -> None:
    found = refusal(write("t.csv", "a,b\n1,2\n", sidecar), X)
    assert what is None or found == what


def test_an_unknown_key_names_the_nearest(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_examples(write("t.csv", "a,b\n1,2\n", "label: b\n"), [X])
    assert caught.value.where == str(tmp_path / "t.yaml")
    assert str(caught.value.hint).startswith("did you mean 'labels'? known: inputs, labels, ")


BERT = [Port(name, "int64", ("batch", "sequence")) for name in ("input_ids", "attention_mask", "token_type_ids")]


def tokenizer(path: Path) -> None:
    tokenizers: Any = pytest.importorskip("tokenizers", reason="pip install 'optkit[text]'")
    words = {"[PAD]": 0, "[UNK]": 1, "a": 2, "good": 3, "film": 4}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path))


@pytest.mark.parametrize(("length", "width"), [("", 4), ("max_length: 3\n", 3), ("max_length: 6\n", 6)])
def test_text_is_cut_and_padded(write: Write, tmp_path: Path, length: str, width: int) -> None:
    tokenizer(tmp_path / "words.json")
    data = write("t.csv", "sentence,label\na good film indeed,1\na film,0\n", f"text: sentence\ntokenizer: words.json\n{length}")
    examples = read_examples(data, BERT)
    assert examples.arrays["input_ids"].tolist() == [([2, 3, 4, 1] + [0] * 9)[:width], ([2, 4] + [0] * 9)[:width]]
    assert examples.arrays["attention_mask"].tolist() == [([1] * 4 + [0] * 9)[:width], ([1, 1] + [0] * 9)[:width]]
    assert not examples.arrays["token_type_ids"].any()


def test_a_file_that_is_no_tokenizer(write: Write, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="pip install 'optkit[text]'")
    (tmp_path / "words.json").write_text("{}", encoding="utf-8")
    data = write("t.csv", "sentence\na film\n", "text: sentence\ntokenizer: words.json\n")
    assert "is not a tokenizer file" in refusal(data, *BERT)


def test_columns_that_nothing_else_uses_are_kept(write: Write) -> None:
    examples = read_examples(write("t.csv", "age,city,label,site,year\n1,Rome,0,a,2001\n3,Bonn,1,b,2002\n"), [AGE, CITY])
    assert {name: column.tolist() for name, column in examples.columns.items()} == {"site": ["a", "b"], "year": [2001, 2002]}
    other = read_examples(write("u.csv", "age,city,label,kind\n1,Rome,0,4\n", "labels: kind\n"), [AGE, CITY])
    assert other.columns == {}
