"""YAML as a gate file may use it."""

import pytest

from pytest_ftgate.config import load_gate_file
from pytest_ftgate.data.yaml_nodes import read_yaml
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
    "0": 0,
    "-17": -17,
    "+3": 3,
    "010": 10,
    "18446744073709551615": 2**64 - 1,
    "true": True,
    "True": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "": None,
    **{
        text: text
        for text in (
            "1:30",
            "1_000",
            "0xFF",
            ".inf",
            "tRue",
            "y",
            "N",
            "yes please",
            "2026-05",
            "gpt-4.1-mini-2025-04-14",
            "=",
        )
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


def test_aliases_that_make_a_file_large_are_refused(folder):
    """Ten lines of ten aliases each would be ten billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    error = refusal(folder, "\n".join(lines) + "\n")
    assert error.what.startswith("aliases repeat more than 10,000 values")


def test_a_missing_file_and_a_folder_are_refused(folder):
    with pytest.raises(ConfigError, match=r"^ftgate\.yaml: "):
        load_gate_file(folder / "ftgate.yaml")
    (folder / "gates").mkdir()
    with pytest.raises(ConfigError, match=r"^gates: is a folder"):
        load_gate_file(folder / "gates")


@pytest.mark.parametrize("value", ["[" * 5_000 + "]" * 5_000, "&x [*x]"])
def test_a_value_that_is_nested_too_deeply_or_within_itself_is_refused(folder, value):
    error = refusal(folder, f"a: {value}\n")
    assert str(error).startswith("ftgate.yaml:")
    assert error.what.startswith("invalid YAML: maximum recursion depth exceeded")


def test_a_sign_that_unicode_does_not_have_is_refused(folder):
    assert refusal(folder, 'a: "\\UFFFFFFFF"\n').what.startswith("invalid YAML: ")


def test_a_key_that_is_written_twice_is_refused_with_both_lines(folder):
    error = refusal(folder, "a: 1\nb: 2\na: 3\n")
    assert (error.where.line, error.where.key) == (3, "a")
    assert all(line in error.what for line in ("line 1", "line 3"))
