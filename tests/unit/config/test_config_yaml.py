"""YAML as a gate file may use it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.config import GateFile, load_gate_file
from pytest_ftgate.config.gate_file import DEEPEST, read_yaml
from pytest_ftgate.config.yaml_nodes import MOST_VALUES, Node
from pytest_ftgate.errors import ConfigError


def read(folder: Path, content: str | bytes) -> Node:
    path = folder / "ftgate.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-2", 0.01),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("0o17", 15),
        ("0xFF", 255),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("tRue", "tRue"),
        ("y", "y"),
        ("N", "N"),
        ("yes please", "yes please"),
        ("'yes'", "yes"),
        ('"2026-05-01"', "2026-05-01"),
        ("2026-05", "2026-05"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-04-14"),
        ("'1'", "1"),
        ('"caf\\xe9"', "café"),
        ("=", "="),
        ("[1, a]", [1, "a"]),
        ("{b: {c: 2}}", {"b": {"c": 2}}),
    ],
)
def test_a_value_is_what_the_core_schema_of_yaml_1_2_says(folder: Path, written: str, value: Any) -> None:
    got = read(folder, f"a: {written}\n").value["a"]
    assert (got, type(got)) == (value, type(value))


def test_nan_is_a_number_that_later_checks_refuse(folder: Path) -> None:
    assert math.isnan(read(folder, "a: .nan").value["a"])


def test_a_byte_order_mark_and_windows_line_ends_are_fine(folder: Path) -> None:
    root = read(folder, "\ufeffversion: 1\r\ngates:\r\n  é: {}\r\n".encode())
    assert root.value == {"version": 1, "gates": {"é": {}}}
    assert root.line_of(("gates", "é")) == 3


def test_every_key_and_item_knows_its_line(folder: Path) -> None:
    root = read(folder, "a:\n  b: 1\n  c:\n  - x\n  - {d: 1,\n     e: 2}\nf: {g: [1]}\n")
    lines = {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
        ("a", "c", 1, "e"): 6,
        ("f", "g", 0): 7,
    }
    assert {path: root.line_of(path) for path in lines} == lines


def test_a_key_that_is_not_there_has_the_line_of_the_nearest_above(folder: Path) -> None:
    root = read(folder, "a:\n  b:\n    c: 1\n")
    assert root.line_of(("a", "b", "nothing", "at all")) == 2


def test_a_repeated_value_keeps_the_lines_of_its_anchor(folder: Path) -> None:
    root = read(folder, "a: &shared\n  k: 1\nb: *shared\n")
    assert root.value["b"] == {"k": 1}
    assert (root.line_of(("b",)), root.line_of(("b", "k"))) == (3, 2)


@pytest.mark.parametrize("word", ["yes", "No", "ON", "oFf"])
def test_an_unquoted_yes_or_no_is_refused(folder: Path, word: str) -> None:
    meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}[word.lower()]
    assert refusal(folder, f"a:\n  b: {word}\n") == (
        f"ftgate.yaml:2: a.b: unquoted {word} is a boolean to some readers of YAML and text to others: "
        f"quote it ('{word}'), or write {meant}"
    )


def test_an_unquoted_yes_is_refused_as_a_key_and_in_a_list(folder: Path) -> None:
    assert refusal(folder, "on: 1").startswith("ftgate.yaml:1: unquoted on is a boolean")
    assert refusal(folder, "a:\n- x\n- no\n").startswith("ftgate.yaml:3: a[1]: unquoted no is a boolean")


@pytest.mark.parametrize("date", ["2026-05-01", "2026-5-1", "2026-05-01 10:00:00", "2026-05-01T10:00:00Z"])
def test_an_unquoted_date_is_refused(folder: Path, date: str) -> None:
    assert refusal(folder, f"revision: {date}") == (
        f"ftgate.yaml:1: revision: unquoted {date} is a date to some readers of YAML and text to others: quote it"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "ftgate.yaml: the gate file is empty\n  begin it with: version: 1"),
        ("# nothing\n", "ftgate.yaml: the gate file is empty\n  begin it with: version: 1"),
        ("---\n", "ftgate.yaml: the gate file is empty\n  begin it with: version: 1"),
        ("\n- a\n", "ftgate.yaml:2: the gate file must be a mapping of keys to values"),
        ("gates", "ftgate.yaml:1: the gate file must be a mapping of keys to values"),
        (b"a: 1\nb: \xff\n", "ftgate.yaml:2: not UTF-8: byte 0xff cannot be read\n  save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "ftgate.yaml:1: not UTF-8: byte 0xff cannot be read\n  save the file as UTF-8"),
        ("a: 1\nb: \x07", "ftgate.yaml:2: not valid YAML: a control character, which YAML does not allow"),
        ("a: 1\nb: c: d", "ftgate.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: [1, 2", "ftgate.yaml:1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n---\nb: 2", "ftgate.yaml:2: a second document begins here; a gate file is one document"),
        ("a: 1\nb: 2\na: 3", "ftgate.yaml:3: a: this key is given twice: on line 1 and on line 3"),
        ("a: {b: 1, 'b': 2}", "ftgate.yaml:1: a.b: this key is given twice: on line 1 and on line 1"),
        ("a: !foo 1", "ftgate.yaml:1: a: the YAML tag '!foo' is refused: a gate file is plain data"),
        ("a: ! 1", "ftgate.yaml:1: a: the YAML tag '!' is refused: a gate file is plain data"),
        (
            "a:\n  b: !!python/object/apply:os.system ['true']",
            "ftgate.yaml:2: a.b: the YAML tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused: "
            "a gate file is plain data",
        ),
        (
            "!!str a: 1",
            "ftgate.yaml:1: the YAML tag 'tag:yaml.org,2002:str' is refused: a gate file is plain data",
        ),
        ("1: a", "ftgate.yaml:1: the key 1 is not text: quote it"),
        ("a: {true: b}", "ftgate.yaml:1: a: the key true is not text: quote it"),
        ("? [a]\n: b", "ftgate.yaml:1: a key must be text, not a list, a mapping or an alias"),
        ("a: &x b\n*x : c", "ftgate.yaml:2: a key must be text, not a list, a mapping or an alias"),
        ("a: {<<: {b: 1}}", "ftgate.yaml:1: a: merge keys (<<) are not supported: write the keys out"),
        (
            "a: -010",
            "ftgate.yaml:1: a: unquoted -010 is an octal number to some readers of YAML: "
            "remove the leading 0, or quote it",
        ),
        (
            '"\\e[1m": yes',
            "ftgate.yaml:1: \\x1b[1m: unquoted yes is a boolean to some readers of YAML and text to others: "
            "quote it ('yes'), or write true",
        ),
        ("a: *x", "ftgate.yaml:1: a: the alias *x has no anchor before it"),
        ("a: &x [*x]", "ftgate.yaml:1: a[0]: the alias *x stands inside its own anchor"),
        ('a: "\\UFFFFFFFF"', "ftgate.yaml:1: not a valid escape or number"),
        ("a: " + "9" * 5000, "ftgate.yaml:1: a: a number with too many digits"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(folder: Path, content: str | bytes, message: str) -> None:
    assert refusal(folder, content) == message


def test_a_missing_file_and_a_folder_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^ftgate\.yaml: there is no such gate file$"):
        load_gate_file(folder / "ftgate.yaml")
    (folder / "gates").mkdir()
    with pytest.raises(ConfigError, match=r"^gates: the gate file cannot be read: Is a directory$"):
        load_gate_file(folder / "gates")


def test_a_syntax_error_never_shows_the_line_it_is_in(folder: Path) -> None:
    assert "sk-secret" not in refusal(folder, 'a: {api_key: "sk-secret-1" "sk-secret-2"}\nb: "sk-secret')


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_is_bounded_long_before_python_gives_up(folder: Path, opening: str) -> None:
    assert f"nested more than {DEEPEST} levels deep" in refusal(folder, "a:\n  " + opening * 5000)


def test_nesting_by_aliases_is_bounded(folder: Path) -> None:
    chain = "".join(f"k{i}: &a{i} [*a{i - 1}]\n" for i in range(1, DEEPEST + 5))
    assert f"nested more than {DEEPEST} levels deep by aliases" in refusal(folder, f"k0: &a0 x\n{chain}")


def test_anchors_that_double_are_bounded(folder: Path) -> None:
    doubling = "".join(f"k{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    message = refusal(folder, f"k0: &a0 x\n{doubling}")
    assert message == f"ftgate.yaml:17: k16: more than {MOST_VALUES:,} values, aliases written out"


plain_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f", categories=["L", "N", "P", "Zs"])
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(plain_text, json_values, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_reads_as_itself(tmp_path: Path, data: dict[str, Any]) -> None:
    content = json.dumps(data, ensure_ascii=False, indent=1)
    assert read(tmp_path, content).value == data


WHOLE = """version: 1
defaults: {confidence: 0.9}
models: {tuned: openai:x, base: {provider: openai, model: y, few_shot: {k: 8}, price: {input_per_1m: 1}}}
gates:
  a: &a
    test_set: t.jsonl
    training_set: {path: t.csv, limit: 3, fields: {input: q}}
    baselines: {one: base, two: 'python:m:f', three: {provider: echo, x: [1, .5]}}
    candidate: tuned
    margin: 5e-2
    require: [{metric: accuracy, min: 0.8}, {metric: {name: f1, pos_label: x}, max: 1, of: baseline}]
"""
PIECES = """ |: |- |[|]|{|}|, |? |&a |*a|!t |!!int |'|"|\\|\n|\n  |>-\n|<<: |%YAML 1.1\n|---\n|\t|#|yes|2026-01-01|.nan
|0x|1e400|null|x: 1|name: |provider: |api_key: |version: 1\n|\ufeff|\u2028|true"""
pieces = st.sampled_from(PIECES.split("|"))
edits = st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), pieces), max_size=4)


def edited(edits: list[tuple[int, int, str]]) -> str:
    text = WHOLE
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    return text


@given(st.text(max_size=60) | st.binary(max_size=60) | st.lists(pieces, max_size=30).map("".join) | edits.map(edited))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_it_is_a_gate_file_or_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "ftgate.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        loaded = load_gate_file(path)
    except ConfigError:
        return
    assert isinstance(loaded, GateFile)
