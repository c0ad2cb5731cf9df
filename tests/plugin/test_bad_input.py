"""Whatever stands in a file: an outcome that is not green, a message that names the place, no traceback of ours."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from gate_project import Project, refused, write_jsonl

from pytest_ftgate.config.gate_keys import GateKeys

Change = Callable[[bytes], "bytes | None"]


# --- data files and recordings -------------------------------------------------------------------------------


def with_line(number: int, text: str) -> Change:
    """Another line in the place of this one, counted from 1."""

    def change(raw: bytes) -> bytes:
        lines = raw.splitlines(keepends=True)
        lines[number - 1] = text.encode() + b"\n"
        return b"".join(lines)

    return change


def with_keys(number: int, **keys: Any) -> Change:
    """Other keys in the row of this line; ``...`` takes one away."""

    def change(raw: bytes) -> bytes:
        row = json.loads(raw.splitlines()[number - 1]) | keys
        return with_line(number, json.dumps({key: value for key, value in row.items() if value is not ...}))(raw)

    return change


def in_latin_1(raw: bytes) -> bytes:
    """The fourth row with an e acute in one byte."""
    line = raw.splitlines()[3]
    return raw.replace(line, line.replace(b"e", b"\xe9", 1))


def nested(levels: int) -> Any:
    value: Any = "a"
    for _ in range(levels):
        value = [value]
    return value


def as_array(raw: bytes) -> bytes:
    return json.dumps([json.loads(line) for line in raw.splitlines()], indent=1).encode()


ANY_FILE: dict[str, tuple[Change, str]] = {
    "missing": (lambda raw: None, ": no such file"),
    "UTF-16": (lambda raw: raw.decode().encode("utf-16"), ":1: is UTF-16"),
    "UTF-16 without a mark": (
        lambda raw: raw.decode().encode("utf-16-le"),
        ":1: looks like UTF-16: every other byte is NUL",
    ),
    "UTF-32": (lambda raw: raw.decode().encode("utf-32"), ":1: is UTF-32"),
    "gzip": (gzip.compress, ":1: is compressed with gzip"),
    "old Mac line ends": (lambda raw: raw.replace(b"\n", b"\r"), ":1: is not JSON: Extra data at column"),
    "one JSON array": (as_array, ":1: is not JSON: Expecting value at column 3"),
    "cut off": (lambda raw: raw[:-12], ":{last}: the last line is cut off: its JSON object does not end"),
    "no JSON": (with_line(5, "hello"), ":5: is not JSON: Expecting value at column 1"),
    "a list": (with_line(5, '["a", "b"]'), ":5: a row must be a JSON object, is a list"),
    "a number": (with_line(5, "17"), ":5: a row must be a JSON object, is a number"),
    "null": (with_line(5, "null"), ":5: a row must be a JSON object, is null"),
    "NaN": (
        with_line(5, '{"id": "t4", "input": "x", "expected": NaN, "output": NaN}'),
        ":5: NaN is not a JSON value",
    ),
    "infinity": (
        with_line(5, '{"id": "t4", "input": "x", "expected": -Infinity, "output": -Infinity}'),
        ":5: -Infinity is not a JSON value",
    ),
    "a number beyond all floats": (
        with_line(5, '{"id": "t4", "input": "x", "expected": 1e999, "output": 1e999}'),
        ":5: the number 1e999 is too large",
    ),
    "too many digits": (
        with_line(5, f'{{"id": "t4", "input": "x", "expected": {"9" * 5000}, "output": 1}}'),
        ":5: holds a number with too many digits",
    ),
    "a key twice": (
        with_line(5, '{"id": "t4", "id": "t4", "input": "x", "expected": "a", "output": "a"}'),
        ":5: id: the key is given twice in one object",
    ),
    "half a character": (
        with_line(5, r'{"id": "t4", "input": "\ud83d", "expected": "a", "output": "a"}'),
        ":5: holds half a surrogate pair, not a character",
    ),
    "nested too deeply": (
        with_keys(5, expected=nested(150), output=nested(150)),
        ":5: is nested more than 100 levels deep",
    ),
    "an id that is no text": (with_keys(6, id=1.5), ":6: id: must be text or an integer, is a number"),
    "a blank id": (with_keys(6, id=" "), ":6: id: is blank"),
}
DATA_FILE: dict[str, tuple[Change, str]] = {
    "empty": (lambda raw: b"", ": is empty"),
    "blank": (lambda raw: b"\n \n\n", ": has no rows"),
    "Latin-1": (in_latin_1, ":4: is not UTF-8 at byte"),
    "a NUL byte": (lambda raw: raw.replace(b'question 3"', b'question \0"'), ":4: holds a NUL byte at byte"),
    "no input": (with_keys(6, input=...), ':6: no field "input"'),
    "no expected": (with_keys(6, expected=...), ':6: no field "expected"'),
    "another name": (with_keys(1, expected=..., label="refund"), ':1: no field "expected"'),
    "expected null": (with_keys(6, expected=None), ":6: expected: is null: an example needs an expected output"),
    "an input that is no text": (with_keys(6, input=3), ":6: input: must be text or a list of messages, is a number"),
    "an id twice": (
        lambda raw: with_keys(7, id="t5")(with_keys(6, id="t5")(raw)),
        ':7: id: the id "t5" repeats: line 6 has it too',
    ),
}
RECORDED_FILE: dict[str, tuple[Change, str]] = {
    "empty": (lambda raw: b"", ": holds no predictions"),
    "blank": (lambda raw: b"\n \n\n", ": holds no predictions"),
    "Latin-1": (in_latin_1, ":4: is not UTF-8 at byte"),
    "no id": (with_keys(6, id=...), ':6: no field "id"'),
    "no output": (with_keys(6, output=...), ':6: no field "output"'),
    "an id twice": (with_keys(6, id="t4"), ':6: id: the id "t4" repeats: line 5 has it too'),
    "a negative latency": (with_keys(6, latency_s=-1), ":6: latency_s: must be a number of seconds, is -1"),
    "usage that is no object": (with_keys(6, usage=3), ":6: usage: must be an object, is a number"),
    "tokens that are no count": (
        with_keys(6, usage={"input_tokens": 1.5}),
        ":6: usage.input_tokens: must be a whole number from 0, is 1.5",
    ),
}
NAMED_BY = {"test.jsonl": "test_set", "train.jsonl": "training_set", "base.jsonl": "baseline", "ft.jsonl": "candidate"}


def written(name: str) -> str:
    """Where the mark names the file."""
    return f"test_gate.py:4: {NAMED_BY[name]}: {name}"


FILES = [
    *((name, case, change) for name in ("test.jsonl", "train.jsonl", "ft.jsonl") for case, change in ANY_FILE.items()),
    *((name, case, change) for name in ("test.jsonl", "train.jsonl") for case, change in DATA_FILE.items()),
    *(("ft.jsonl", case, change) for case, change in RECORDED_FILE.items()),
]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [pytest.param(name, *change, id=f"{name}: {case}") for name, case, change in FILES],
)
def test_a_broken_file_is_an_error_that_names_the_line(
    project: Project, name: str, change: Change, message: str
) -> None:
    path = project.path / name
    before = path.read_bytes()
    after = change(before)
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    project.gate_test()
    expected = (name if path.exists() else written(name)) + message.format(last=before.count(b"\n"))
    assert refused(project).startswith(expected)


@pytest.mark.parametrize("name", ["test.jsonl", "train.jsonl", "ft.jsonl"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw, id="byte order mark"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n"), id="both"),
        pytest.param(lambda raw: raw.rstrip(b"\n"), id="no last line feed"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\n\n"), id="blank lines"),
    ],
)
def test_what_editors_do_to_a_file_changes_nothing(
    project: Project, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = project.path / name
    path.write_bytes(change(path.read_bytes()))
    project.gate_test()
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert (gate["wins"], gate["losses"]) == (18, 2)


@pytest.mark.parametrize("name", ["test.jsonl", "train.jsonl", "ft.jsonl"])
def test_a_folder_is_no_file(project: Project, name: str) -> None:
    (project.path / name).unlink()
    (project.path / name).mkdir()
    project.gate_test()
    assert refused(project) == f"{written(name)}: is a folder"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["test.jsonl", "train.jsonl", "ft.jsonl"])
def test_a_pipe_is_not_waited_for(project: Project, name: str) -> None:
    (project.path / name).unlink()
    os.mkfifo(project.path / name)
    project.gate_test()
    assert refused(project) == f"{written(name)}: is a device or a pipe, not a file"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no such device")
def test_a_device_is_not_read(project: Project) -> None:
    project.gate_test(test_set={"path": "/dev/zero", "format": "jsonl"})
    assert refused(project) == "test_gate.py:4: test_set: /dev/zero: is a device or a pipe, not a file"


@pytest.mark.parametrize("key", ["test_set", "training_set", "candidate"])
def test_a_path_that_no_file_can_have(project: Project, key: str) -> None:
    path = "x" * 300 + ".jsonl"
    project.gate_test(**{key: f"recorded:{path}" if key == "candidate" else path})
    assert refused(project).endswith("x.jsonl: cannot be read: File name too long")


# --- what stands in the test set -----------------------------------------------------------------------------


def test_a_test_set_of_no_example(project: Project) -> None:
    project.test_set(0)
    project.gate_test()
    assert refused(project) == "test.jsonl: is empty"


@pytest.mark.parametrize(("n", "said"), [(1, "1 test example"), (49, "49 test examples")])
def test_a_test_set_that_is_too_small(project: Project, n: int, said: str) -> None:
    project.test_set(n)
    project.gate_test()
    assert refused(project, "fail") == f"{said}, 50 needed"


def test_50_examples_are_enough(project: Project) -> None:
    project.test_set(50)
    project.gate_test()
    assert project.gate()["verdict"] == "pass"


def test_one_example_can_be_judged_and_shows_nothing(project: Project) -> None:
    project.test_set(1)
    project.gate_test(min_test_examples=1)
    assert refused(project, "inconclusive") == (
        "no result on 1 example could meet this gate, not even one that fixes every one"
    )


def test_a_repeated_test_input(project: Project) -> None:
    path = project.path / "test.jsonl"
    path.write_bytes(with_keys(9, input="Customer   QUESTION 3")(path.read_bytes()))
    project.gate_test()
    assert refused(project) == 'test.jsonl:9: the input is the same as that of line 4 (ids "t8" and "t3")'


@pytest.mark.parametrize("blank", ["", " \t", "\u3000", [{"role": "user", "content": " "}]])
def test_a_blank_test_input(project: Project, blank: Any) -> None:
    path = project.path / "test.jsonl"
    path.write_bytes(with_keys(9, input=blank)(path.read_bytes()))
    project.gate_test()
    assert refused(project) == "test.jsonl:9: the input is blank"


@pytest.mark.parametrize(("expected", "kind"), [({"label": "refund"}, "an object"), (["refund"], "a list")])
@pytest.mark.parametrize("keys", [{}, {"metric": "f1_macro"}, {"metric": "exact_match", "show": ["accuracy"]}])
def test_labels_are_asked_for_and_something_else_is_expected(
    project: Project, expected: Any, kind: str, keys: Mapping[str, Any]
) -> None:
    path = project.path / "test.jsonl"
    path.write_bytes(with_keys(9, expected=expected)(path.read_bytes()))
    project.gate_test(**keys)
    metric = keys.get("show", [keys.get("metric", "accuracy")])[0]
    assert refused(project) == f"{metric} compares labels, and test_set[8] expects {kind}"


def test_199_training_examples(project: Project) -> None:
    project.training_set(199)
    project.gate_test()
    assert refused(project, "fail") == "199 usable training examples, 200 needed"


def test_a_recording_that_lacks_an_id(project: Project) -> None:
    path = project.path / "ft.jsonl"
    path.write_bytes(with_keys(6, id="t5000")(path.read_bytes()))
    project.gate_test()
    assert refused(project, called=True).startswith(
        'candidate ft.jsonl: 1 of 60 answers missing (t5): ft.jsonl: no recorded prediction for id "t5"'
    )


def test_a_recording_without_an_answer(project: Project) -> None:
    path = project.path / "ft.jsonl"
    path.write_bytes(with_keys(6, output=None)(path.read_bytes()))
    project.gate_test()
    assert refused(project, called=True).startswith(
        'candidate ft.jsonl: 1 of 60 answers missing (t5): ft.jsonl:6: the recording with id "t5" holds no answer'
    )


# --- the gate file -------------------------------------------------------------------------------------------

GATE = """version: 1
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
    metric: accuracy
    margin: 0.05
"""
KNOWN = ", ".join(GateKeys.model_fields)


def line(text: str) -> str:
    """The gate with one more line, its tenth."""
    return f"{GATE}    {text}\n"


def instead(old: str, new: str) -> str:
    assert old in GATE
    return GATE.replace(old, new)


def judged_from(project: Project, content: str | bytes) -> None:
    path = project.path / "ftgate.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    project.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n")


def test_the_gate_itself_is_green(project: Project) -> None:
    judged_from(project, GATE)
    assert project.gate()["verdict"] == "pass"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + GATE.encode(), id="byte order mark"),
        pytest.param(GATE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(GATE.rstrip("\n"), id="no last line feed"),
        pytest.param(instead("0.05", "1e-2"), id="1e-2"),
        pytest.param(instead("0.05", "0"), id="0"),
        pytest.param(instead("accuracy", "'accuracy'"), id="quotes"),
    ],
)
def test_a_gate_file_may_look_different(project: Project, content: str | bytes) -> None:
    judged_from(project, content)
    assert project.gate()["verdict"] == "pass"


WHOLE_FILE = {
    "": ": the gate file is empty",
    " \n# nothing yet\n": ": the gate file is empty",
    "- support\n": ":1: the gate file must be a mapping of keys to values",
    "support\n": ":1: the gate file must be a mapping of keys to values",
    "3\n": ":1: the gate file must be a mapping of keys to values",
    "version: 1\ngates: [support]\n": ":2: gates: must be a mapping, got a list",
    "version: 1\ngates:\n  support: [1]\n": ":3: gates.support: must be a mapping, got a list",
    "version: 1\ngates:\n  support:\n": ":3: gates.support: must be a mapping, got nothing",
    "version: 1\ngates: {}\n": "test_gate.py:2: there is no gate 'support' in ftgate.yaml; the gates there are: none",
    instead("version: 1\n", ""): ":1: version: this key is missing: write version: 1",
    instead("version: 1", "version: 2"): ":1: version: must be 1, the only version known here, got 2",
    instead("version: 1", "version: true"): ":1: version: must be 1, the only version known here, got true",
    instead("support", "suport"): "test_gate.py:2: there is no gate 'support' in ftgate.yaml; did you mean 'suport'?",
    GATE + "gate: {}\n": ":10: gate: unknown key; did you mean 'gates'?",
    GATE + "defaults: {margn: 1}\n": ":10: defaults.margn: unknown key; did you mean 'margin'?",
    GATE + "  other: {margn: 1}\n": ":10: gates.other.margn: unknown key; did you mean 'margin'?",
    GATE + "  support: {}\n": ":10: gates.support: this key is given twice: on line 3 and on line 10",
    GATE + "---\na: 1\n": ":10: a second document begins here; a gate file is one document",
    GATE + "    show: [f1_macro\n": ":11: not valid YAML: expected ',' or ']', but got '<stream end>'",
    GATE + "\tshow: []\n": r":10: not valid YAML: found character '\t' that cannot start any token",
    GATE[:-8]: ":9: not valid YAML: could not find expected ':'",
    instead("accuracy", "accu\0racy"): ":8: not valid YAML: a control character, which YAML does not allow",
}


@pytest.mark.parametrize(("content", "message"), WHOLE_FILE.items(), ids=map(str, range(len(WHOLE_FILE))))
def test_a_gate_file_of_another_shape(project: Project, content: str, message: str) -> None:
    judged_from(project, content)
    assert refused(project) == (f"ftgate.yaml{message}" if message.startswith(":") else message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GATE.encode("utf-16"), "ftgate.yaml:1: not UTF-8: byte 0xff cannot be read"),
        (line("hypothesis: caf\xe9").encode("latin-1"), "ftgate.yaml:10: not UTF-8: byte 0xe9 cannot be read"),
        (gzip.compress(GATE.encode()), "ftgate.yaml:1: not UTF-8: byte 0x8b cannot be read"),
    ],
    ids=["UTF-16", "Latin-1", "gzip"],
)
def test_a_gate_file_in_another_encoding(project: Project, content: bytes, message: str) -> None:
    judged_from(project, content)
    assert refused(project) == message


KEYS = {
    "frobnicate: 1": f"frobnicate: unknown key; known are {KNOWN}",
    "Margin: 1": "Margin: unknown key; did you mean 'margin'?",
    "margin: 0.01": "margin: this key is given twice: on line 9 and on line 10",
    "confidence: 95": "confidence: must be below 1, got 95; did you mean 0.95?",
    "confidence: 1": "confidence: must be below 1, got 1",
    "confidence: 0.5": "confidence: must be above 0.5, got 0.5",
    "confidence: .nan": "confidence: must be a finite number, got nan",
    'confidence: "0.95"': "confidence: must be a number, got the text '0.95': remove the quotes",
    "min_training_examples: -1": "min_training_examples: must be at least 0, got -1",
    "min_training_examples: 1.5": "min_training_examples: must be a whole number, got 1.5",
    'min_training_examples: "200"': "min_training_examples: must be a whole number, got the text '200': remove the quotes",  # noqa: E501
    "min_test_examples: -1": "min_test_examples: must be at least 0, got -1",
    "min_test_examples: true": "min_test_examples: must be a whole number, got true",
    "min_test_examples:": "min_test_examples: has no value: give one, or remove the key",
    "repeats: 0": "repeats: must be at least 1, got 0",
    "repeats: 1001": "repeats: must be at most 1,000, got 1001",
    "repeats: 1000000000000000000000": "repeats: must be at most 1,000, got 1000000000000000000000",
    "evidence: significent": (
        "evidence: must be one of 'observed', 'significant' or 'proven', got the text 'significent'; "
        "did you mean 'significant'?"
    ),
    "errors: ignore": "errors: must be one of 'error' or 'score_zero', got the text 'ignore'",
    "hypothesis: no": (
        "hypothesis: unquoted no is a boolean to some readers of YAML and text to others: "
        "quote it ('no'), or write false"
    ),
    "evidence: off": (
        "evidence: unquoted off is a boolean to some readers of YAML and text to others: "
        "quote it ('off'), or write false"
    ),
    "hypothesis: 2024-01-02": (
        "hypothesis: unquoted 2024-01-02 is a date to some readers of YAML and text to others: quote it"
    ),
    "name: true": "name: must be text, got true: quote it",
    "show: f1_macro": "show: must be a list, got the text 'f1_macro'",
    "require: [{metric: accuracy}]": "require[0]: needs min or max, or both",
    "require: [{metric: accuracy, mn: 0.5}]": "require[0].mn: unknown key; did you mean 'min'?",
    "require: [{metric: accuracy, min: .nan}]": "require[0].min: must be a finite number, got nan",
    "require: [{metric: accuracy, min: 0.9, max: 0.1}]": "require[0]: min 0.9 is above max 0.1: no value can pass",
    "show: &a [*a]": "show[0]: the alias *a stands inside its own anchor",
    "goal: stile": "goal: must be one of 'style', 'format', 'classification', ",
}


@pytest.mark.parametrize(("written", "message"), KEYS.items(), ids=KEYS)
def test_a_key_that_cannot_be_meant(project: Project, written: str, message: str) -> None:
    judged_from(project, line(written))
    found = refused(project)
    assert found.startswith(f"ftgate.yaml:10: gates.support.{message}")


MARGINS = {
    "-0.1": "ftgate.yaml:9: gates.support.margin: must be at least 0, got -0.1",
    ".nan": "ftgate.yaml:9: gates.support.margin: must be a finite number, got nan",
    ".inf": "ftgate.yaml:9: gates.support.margin: must be a finite number, got inf",
    '"0.05"': "ftgate.yaml:9: gates.support.margin: must be a number, got the text '0.05': remove the quotes",
    "5%": "ftgate.yaml:9: gates.support.margin: must be a number, got the text '5%'",
    "0,05": "ftgate.yaml:9: gates.support.margin: must be a number, got the text '0,05'",
    "yes": (
        "ftgate.yaml:9: gates.support.margin: unquoted yes is a boolean to some readers of YAML and text to others: "
        "quote it ('yes'), or write true"
    ),
    "true": "ftgate.yaml:9: gates.support.margin: must be a number, got true",
    "": "ftgate.yaml:9: gates.support.margin: has no value: give one, or remove the key",
    "010": (
        "ftgate.yaml:9: gates.support.margin: unquoted 010 is an octal number to some readers of YAML: "
        "remove the leading 0, or quote it"
    ),
    "!!python/object/apply:os.getcwd []": (
        "ftgate.yaml:9: gates.support.margin: the YAML tag 'tag:yaml.org,2002:python/object/apply:os.getcwd' "
        "is refused: a gate file is plain data"
    ),
    "!!float 0.05": (
        "ftgate.yaml:9: gates.support.margin: the YAML tag 'tag:yaml.org,2002:float' is refused: "
        "a gate file is plain data"
    ),
    "3": "margin 3 (ftgate.yaml:9) is impossible: accuracy lies between 0 and 1",
    "1": "margin 1 (ftgate.yaml:9) is impossible: accuracy lies between 0 and 1",
    "1.0": "margin 1 (ftgate.yaml:9) is impossible: accuracy lies between 0 and 1",
}


@pytest.mark.parametrize(("written", "message"), MARGINS.items(), ids=MARGINS)
def test_a_margin_that_cannot_be_meant(project: Project, written: str, message: str) -> None:
    judged_from(project, instead("margin: 0.05", f"margin: {written}"))
    assert refused(project) == message


VALUES = {
    ("metric: accuracy", "metric: acuracy"): "ftgate.yaml:8: metric: there is no metric 'acuracy'",
    ("metric: accuracy", "metric: f1_makro"): "ftgate.yaml:8: metric: there is no metric 'f1_makro'",
    ("metric: accuracy", "metric: {name: accuracy, normalise: case}"): (
        "ftgate.yaml:8: normalise: accuracy has no option 'normalise'"
    ),
    ("metric: accuracy", "metric: {name: accuracy, pattern: '('}"): (
        "ftgate.yaml:8: pattern: pattern is no regular expression: missing ), unterminated subpattern at position 0"
    ),
    ("metric: accuracy", "metric: {name: rouge_l, lang: x}"): "ftgate.yaml:8: lang: rouge_l has no option 'lang'",
    ("test_set: test.jsonl", "test_set: {path: test.jsonl, limit: 0}"): (
        "ftgate.yaml:4: gates.support.test_set.limit: must be at least 1, got 0"
    ),
    ("test_set: test.jsonl", "test_set: {path: test.jsonl, limit: 10000000000000000000}"): (
        "ftgate.yaml:4: gates.support.test_set.limit: must be at most 1,000,000,000, got 10000000000000000000"
    ),
    ("test_set: test.jsonl", "test_set: 60"): (
        "ftgate.yaml:4: gates.support.test_set: must be the data: a path or the examples themselves; "
        "a count proves nothing"
    ),
    ("test_set: test.jsonl", 'test_set: "a\\0.jsonl"'): (
        "ftgate.yaml:4: gates.support.test_set.path: must be a path, which holds no NUL character"
    ),
    (
        "test_set: test.jsonl",
        "test_set: test.txt",
    ): 'ftgate.yaml:4: test_set: test.txt: the suffix ".txt" does not tell the format',
    ("baseline: recorded:base.jsonl", "baseline: gpt-4.1"): (
        "ftgate.yaml:6: gates.support.baseline: 'gpt-4.1' is no known model; a model may be spelled openai:NAME, "
        "python:pkg.module:function, recorded:PATH"
    ),
    ("baseline: recorded:base.jsonl", "baseline: {provider: recrded, path: base.jsonl}"): (
        "ftgate.yaml:6: baseline: unknown provider 'recrded'"
    ),
    ("baseline: recorded:base.jsonl", "baseline: python:os:nosuch"): (
        "ftgate.yaml:6: target: 'os:nosuch': there is no 'nosuch' in os"
    ),
    ("baseline: recorded:base.jsonl", "baseline: {provider: openai, model: x, api_key: sk-1}"): (
        "ftgate.yaml:6: gates.support.baseline.api_key: a secret must not be written here: "
        "name an environment variable with api_key_env"
    ),
    (
        "baseline: recorded:base.jsonl",
        "baselines: {}",
    ): "ftgate.yaml:6: gates.support.baselines: must not be empty, got a mapping",
    ("baseline: recorded:base.jsonl", "baselines: {candidate: 'recorded:base.jsonl'}"): (
        "ftgate.yaml:6: gates.support.baselines.candidate: a baseline must not be called candidate"
    ),
    ("margin: 0.05", "margn: 0.05"): "ftgate.yaml:9: gates.support.margn: unknown key; did you mean 'margin'?",
    ("    margin: 0.05\n", ""): "ftgate.yaml:3: gates.support: a required key is missing: margin",
    ("    training_set: train.jsonl\n", ""): "ftgate.yaml:3: gates.support: a required key is missing: training_set",
}


@pytest.mark.parametrize(("change", "message"), VALUES.items(), ids=[new for _, new in VALUES])
def test_a_value_that_cannot_be_used(project: Project, change: tuple[str, str], message: str) -> None:
    judged_from(project, instead(*change))
    assert refused(project) == message


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("accuracy, min: 93", "min 93 (ftgate.yaml:10) is impossible: accuracy lies between 0 and 1"),
        ("accuracy, max: -0.5", "max -0.5 (ftgate.yaml:10) is impossible: accuracy lies between 0 and 1"),
        ("error_rate, max: 5", "max 5 (ftgate.yaml:10) is impossible: error_rate lies between 0 and 1"),
        ("latency_p95_s, max: -1", "max -1 (ftgate.yaml:10) is impossible: latency_p95_s is never below 0"),
        ("latency_p95, max: 1", "ftgate.yaml:10: require[0].metric: there is no metric 'latency_p95'"),
        ("acuracy, min: 0.5", "ftgate.yaml:10: require[0].metric: there is no metric 'acuracy'"),
    ],
)
def test_a_bound_that_cannot_be_meant(project: Project, bound: str, message: str) -> None:
    judged_from(project, line(f"require: [{{metric: {bound}}}]"))
    assert refused(project) == message


class Literal:
    """Python that is written into the mark as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"margin": 3}, ": margin 3 (marker) is impossible: accuracy lies between 0 and 1"),
        ({"margin": Literal("float('nan')")}, ": margin: must be a finite number, got nan (marker)"),
        ({"margin": "0.05"}, ": margin: must be a number, got the text '0.05': remove the quotes (marker)"),
        ({"margn": 0.05}, ": margn: unknown key; did you mean 'margin'? (marker)"),
        ({"margin": Literal("None")}, ": margin: has no value: give one, or remove the key (marker)"),
        (
            {"test_set": 60},
            ": test_set: must be the data: a path or the examples themselves; a count proves nothing (marker)",
        ),
        ({"test_set": ()}, ": gave no example"),
        (
            {"test_set": [{"input": "a", "expected": "b"}] * 2},
            ", item 2: the input is the same as that of item 1",
        ),
        (
            {"test_set": [("a", Literal("float('nan')"))]},
            ", item 1: expected: is not a JSON value: Out of range float values",
        ),
        ({"test_set": [("a", "b", "c")]}, ", item 1: must be an example, is a list of 3"),
        ({"test_set": {"a", "b"}}, ": must be an iterable of examples, is of type set"),
        ({"metric": ["accuracy"]}, ": metric: must be a metric's name, or a mapping with a name, got a list (marker)"),
        ({"candidate": 3}, ": candidate: an object of type int is no model: give a callable or a spelling (marker)"),
    ],
)
def test_a_mark_that_cannot_be_meant(project: Project, keys: Mapping[str, Any], message: str) -> None:
    project.gate_test(**keys)
    assert refused(project).startswith(f"test_gate.py:4{message}")


# --- metrics of one's own ------------------------------------------------------------------------------------

METRIC = """import pytest, sys
from pytest_ftgate import metric

@metric(low=0, high=1, greater_is_better=True)
def own(expected, answer):
    {body}

def pytest_ftgate_metrics():
    return {{"own": own}}
"""
ANSWERED = "for test_set[0], answered by base.jsonl"
SCORES = {
    "return float('nan')": f"test.jsonl:1: the metric own returned nan, which is not between 0 and 1, {ANSWERED}",
    "return float('inf')": f"test.jsonl:1: the metric own returned inf, which is not between 0 and 1, {ANSWERED}",
    "return -10**400": f"test.jsonl:1: the metric own returned -inf, which is not between 0 and 1, {ANSWERED}",
    "return 1.01": f"test.jsonl:1: the metric own returned 1.01, which is not between 0 and 1, {ANSWERED}",
    "return None": f"test.jsonl:1: the metric own returned null where a number is needed, {ANSWERED}",
    "return '1'": f"test.jsonl:1: the metric own returned text where a number is needed, {ANSWERED}",
    "yield 1": f"test.jsonl:1: the metric own returned a value of type generator where a number is needed, {ANSWERED}",
    "return 1 / 0": f"test.jsonl:1: the metric own raised ZeroDivisionError {ANSWERED}",
    "assert 0": f"test.jsonl:1: the metric own raised AssertionError {ANSWERED}",
    "return own(expected, answer)": f"test.jsonl:1: the metric own raised RecursionError {ANSWERED}",
    "pytest.skip('not today')": f"test.jsonl:1: the metric own raised Skipped {ANSWERED}",
    "pytest.importorskip('ftgate_absent')": f"test.jsonl:1: the metric own raised Skipped {ANSWERED}",
    "pytest.xfail('known')": f"test.jsonl:1: the metric own raised XFailed {ANSWERED}",
    "pytest.exit('bye', returncode=0)": f"test.jsonl:1: the metric own raised Exit {ANSWERED}",
    "sys.exit(0)": f"test.jsonl:1: the metric own raised SystemExit {ANSWERED}",
}


@pytest.mark.parametrize(("body", "message"), SCORES.items(), ids=SCORES)
def test_a_metric_that_breaks_its_promise(project: Project, body: str, message: str) -> None:
    project.file("conftest.py", METRIC.format(body=body))
    project.gate_test(metric="own")
    assert refused(project, called=True) == message


def test_of_two_models_one_gives_scores_out_of_range(project: Project) -> None:
    project.file("conftest.py", METRIC.format(body="return 2 if expected == 'refund' and answer == 'invoice' else 0.5"))
    project.gate_test(metric="own")
    assert refused(project, called=True) == (
        "test.jsonl:43: the metric own returned 2.0, which is not between 0 and 1, for test_set[42], "
        "answered by base.jsonl"
    )
    project.predictions("base.jsonl", 60, wrong_at=(1, 2))
    assert refused(project, called=True) == (
        "test.jsonl:1: the metric own returned 2.0, which is not between 0 and 1, for test_set[0], answered by ft.jsonl"
    )


def test_a_metric_that_nothing_can_score_on_is_no_pass(project: Project) -> None:
    project.file("conftest.py", METRIC.format(body="return 1.0"))
    project.gate_test(metric="own", margin=0)
    assert refused(project, "fail", called=True) == (
        "baseline base.jsonl: own 100.0 % is no better than a constant answer: 'refund' to everything scores 100.0 %"
    )


NO_MAPPING = "the hook pytest_ftgate_metrics must return a mapping of names to metrics"
HOOKS = {
    "def pytest_ftgate_metrics(): return [1]": NO_MAPPING,
    "def pytest_ftgate_metrics(): return {3: 3}": NO_MAPPING,
    "def pytest_ftgate_metrics(): return 1 / 0": "the hook pytest_ftgate_metrics raised ZeroDivisionError",
    "def pytest_ftgate_metrics(): pytest.skip('x')": "the hook pytest_ftgate_metrics raised Skipped",
    "def pytest_ftgate_metrics(): return {'own': len}": (
        "test_gate.py:4: metric: the metric own does not state its range and direction"
    ),
    "def pytest_ftgate_metrics(): return {'own': 3}": "test_gate.py:4: metric: the metric own is a number",
    "def pytest_ftgate_metrics(): return {'accuracy': 3}": "test_gate.py:4: metric: there is no metric 'own'",
}


@pytest.mark.parametrize(("hook", "message"), HOOKS.items(), ids=HOOKS)
def test_a_hook_that_gives_no_metric(project: Project, hook: str, message: str) -> None:
    project.file("conftest.py", f"import pytest\n{hook}\n")
    project.gate_test(metric="own")
    assert refused(project) == message


def test_two_hooks_that_give_one_name(project: Project) -> None:
    project.file("conftest.py", METRIC.format(body="return 1.0"))
    project.file("sub/conftest.py", METRIC.format(body="return 1.0"))
    project.gate_test(metric="own")
    (project.path / "test_gate.py").rename(project.path / "sub" / "test_gate.py")
    for name in ("test.jsonl", "train.jsonl", "base.jsonl", "ft.jsonl"):
        (project.path / name).rename(project.path / "sub" / name)
    assert refused(project) == "two hooks pytest_ftgate_metrics give a metric named 'own'"


# --- other places --------------------------------------------------------------------------------------------


def test_a_folder_of_recordings_with_a_broken_file(project: Project) -> None:
    project.file("tox.ini", "[pytest]\nftgate_recordings = recorded\n")
    project.file("recorded/a.jsonl", '{"id": "t0"}\n')
    project.gate_test()
    assert refused(project) == 'recorded/a.jsonl:1: no field "output"'


def test_a_folder_of_recordings_that_is_not_there(project: Project) -> None:
    project.file("tox.ini", "[pytest]\nftgate_recordings = recorded\n")
    project.gate_test()
    assert refused(project) == "recorded: there is no folder of recordings here"


def test_a_file_of_predictions_that_is_none(project: Project) -> None:
    project.file(".ftgate/predictions.sqlite3", "no database at all, but text of some length\n" * 50)
    project.file("own.py", "def answer(text): return text\n")
    project.pytester.syspathinsert()
    project.gate_test(candidate={"provider": "python", "target": "own:answer", "cache_key": "1"})
    assert refused(project, called=True) == (
        ".ftgate/predictions.sqlite3: this is not a sound file of stored predictions"
    )


def test_an_example_written_by_a_shell_is_shown_harmlessly(project: Project) -> None:
    rows = [{"id": f"\x1b[2Jt{i}", "input": f"##[error]{i}", "expected": "a\x1b]0;b\x07"} for i in range(60)]
    write_jsonl(project.path / "test.jsonl", rows)
    project.gate_test()
    message = refused(project, called=True)
    text = project.result.stdout.str()
    assert "\x1b" not in text
    assert "##[" not in text
    assert "60 of 60 answers missing" in message
