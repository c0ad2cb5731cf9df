"""YAML as a gate file may use it."""

import math

import pytest

from pytest_ftgate.config import load_gate_file
from pytest_ftgate.config.yaml_nodes import DEEPEST, MOST_VALUES, read_yaml
from pytest_ftgate.errors import ConfigError


def read(folder, content):
    path = folder / "ftgate.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path)


def refusal(folder, content):
    with pytest.raises(ConfigError) as caught:
        read(folder, content)
    return caught.value


VALUES = {
    "1e-2": 0.01,
    "1E3": 1000.0,
    "-.5": -0.5,
    "3.": 3.0,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "0": 0,
    "-17": -17,
    "+3": 3,
    "0o17": 15,
    "0xFF": 255,
    "true": True,
    "True": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "": None,
    **{
        text: text
        for text in ("1:30", "1_000", "tRue", "y", "N", "yes please", "2026-05", "gpt-4.1-mini-2025-04-14", "=")
    },
    "'yes'": "yes",
    '"2026-05-01"': "2026-05-01",
    "'1'": "1",
    '"caf\\xe9"': "café",
    "[1, a]": [1, "a"],
    "{b: {c: 2}}": {"b": {"c": 2}},
}


@pytest.mark.parametrize(("written", "value"), VALUES.items())
def test_a_value_is_what_the_core_schema_of_yaml_1_2_says(folder, written, value):
    got = read(folder, f"a: {written}\n").value["a"]
    assert (got, type(got)) == (value, type(value))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(folder):
    root = read(folder, "\ufeffversion: 1\r\ngates:\r\n  é: {}\r\n".encode())
    assert root.value == {"version": 1, "gates": {"é": {}}}
    assert root.line_of(("gates", "é")) == 3


def test_every_key_and_item_knows_its_line(folder):
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
        ("a", "b", "nothing", "at all"): 2,
    }
    assert {path: root.line_of(path) for path in lines} == lines


def test_a_repeated_value_keeps_the_lines_of_its_anchor(folder):
    root = read(folder, "a: &shared\n  k: 1\nb: *shared\n")
    assert root.value["b"] == {"k": 1}
    assert (root.line_of(("b",)), root.line_of(("b", "k"))) == (3, 2)


DATES = ["2026-05-01", "2026-5-1", "2026-05-01 10:00:00", "2026-05-01T10:00:00Z"]
REFUSED = [
    *((f"a:\n  b: {word}\n", ":2: a.b", [f"'{word}'", "true"]) for word in ("yes", "No", "ON", "oFf")),
    ("on: 1", ":1", ["'on'"]),
    ("a:\n- x\n- no\n", ":3: a[1]", ["'no'"]),
    ('"\\e[1m": yes', ":1: \\x1b[1m", ["'yes'"]),
    *((f"revision: {date}", ":1: revision", [date, "quote"]) for date in DATES),
    *((text, "", ["version: 1"]) for text in ("", "# nothing\n", "---\n")),
    ("\n- a\n", ":2", ["mapping"]),
    ("gates", ":1", ["mapping"]),
    (b"a: 1\nb: \xff\n", ":2", ["UTF-8", "byte 8"]),
    ("a: 1".encode("utf-16"), ":1", ["UTF-16"]),
    ("a: 1\nb: \x07", ":2", ["control character"]),
    ("a: 1\nb: c: d", ":2", ["quote text"]),
    ("a:\n  b: 1\n\tc: 2", ":3", ["line 3 has a tab", "spaces"]),
    ("a:\n  b:\t1", ":2", ["line 2 has a tab"]),
    ("a:\n\u00a0\u00a0b: 1\n  c: 2", ":3", ["line 2", "U+00A0"]),
    ("a: 'recorded':b\nc: 1", ":1", ["quote text"]),
    ("a: @b", ":1", ["quote text"]),
    ('a: "C:\\x"', ":1", ["invalid YAML"]),
    ('a: "b', ":1", ["close quotes"]),
    ("a:\n  b: 1\n   c: 2", ":3", ["indentation", "3 spaces", "above it has 2"]),
    ("a:\n  b: 1\n c: 2", ":3", ["indentation", "1 spaces"]),
    ("a:\n  b:1\n  c: 2", ":3", ["colon and a space"]),
    ("a: {b: ${C}}", ":1", ["${NAME}"]),
    ("a: [1, 2", ":1", ["close quotes and brackets"]),
    ("a: 1\n---\nb: 2", ":2", ["another document"]),
    ("a: 1\nb: 2\na: 3", ":3: a", ["line 1", "line 3"]),
    ("a: {b: 1, 'b': 2}", ":1: a.b", ["duplicate"]),
    *((f"a: {tag} 1", ":1: a", [f"'{tag}'"]) for tag in ("!foo", "!")),
    ("a:\n  b: !!python/object/apply:os.system ['true']", ":2: a.b", ["python/object/apply:os.system"]),
    ("!!str a: 1", ":1", ["!!str"]),
    ("1: a", ":1", ["1", "quote"]),
    ("a: {true: b}", ":1: a", ["true", "quote"]),
    ("? [a]\n: b", ":1", ["key"]),
    ("a: &x b\n*x : c", ":2", ["key", "alias"]),
    ("a: {<<: {b: 1}}", ":1: a", ["<<"]),
    ("a: -010", ":1: a", ["-010", "octal"]),
    ("a: *x", ":1", ["alias", "'x'"]),
    *(
        ("a: " + "[" * depth + "]" * depth, place, ["50 levels"])
        for depth, place in ((60, ":1: a[0][0]"), (9_000, ":1"))
    ),
    ("a: &x !!str 5", ":1: a", ["!!str"]),
    ("a: &x 1\nb: &x 2", ":2", ["second occurrence"]),
    ("a: &x [*x]", ":1: a[0]", ["alias", "anchor"]),
    ('a: "\\UFFFFFFFF"', ":1", ["escape"]),
    ('a: "\\ud800"', ":1: a", ["surrogate"]),
    ("a: " + "9" * 5000, ":1: a", ["digits"]),
]


@pytest.mark.parametrize(("content", "place", "words"), REFUSED, ids=[f"{row[0][:30]!a}" for row in REFUSED])
def test_what_cannot_be_read_is_refused_with_its_place(folder, content, place, words):
    error = refusal(folder, content)
    assert str(error.where) == f"ftgate.yaml{place}"
    assert all(word in str(error) for word in words)


def test_a_missing_file_and_a_folder_are_refused(folder):
    with pytest.raises(ConfigError, match=r"^ftgate\.yaml: "):
        load_gate_file(folder / "ftgate.yaml")
    (folder / "gates").mkdir()
    with pytest.raises(ConfigError, match=r"^gates: .*directory"):
        load_gate_file(folder / "gates")


def test_a_syntax_error_never_shows_the_line_it_is_in(folder):
    assert "sk-secret" not in str(refusal(folder, 'a: {api_key: "sk-secret-1" "sk-secret-2"}\nb: "sk-secret'))


def test_nesting_is_bounded_long_before_python_gives_up_and_so_are_aliases(folder):
    chain = "".join(f"k{i}: &a{i} [*a{i - 1}]\n" for i in range(1, DEEPEST + 5))
    assert str(DEEPEST) in refusal(folder, f"k0: &a0 x\n{chain}").what
    doubling = "".join(f"k{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    assert f"{MOST_VALUES:,}" in refusal(folder, f"k0: &a0 x\n{doubling}").what
