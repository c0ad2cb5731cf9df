"""Text, errors and files that stay whole, whatever other people's code and data say."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_ftgate.errors import ConfigError, DataError, ModelError, Where, shown_path
from pytest_ftgate.files import write_whole
from pytest_ftgate.guarded import guarded, told
from pytest_ftgate.plain import to_plain
from pytest_ftgate.result import GateResult, ModelResult
from pytest_ftgate.text import LONGEST, nearest, one_line, printable, readable, shortened

HOSTILE = (
    "::error::a \x1b[2J\x9b31m ##[error]b ##vso[c]d ##teamcity[e]\r\n"
    "::add-mask::f \u202eg\u200b \u2028 \x00 \ud800"
)
HUGE = HOSTILE * 20_000
COMMAND = re.compile(r"^\s*::|##\w*\[")
ANY_TEXT = st.text(st.characters(), max_size=200) | st.text(":#[]vso \n\x1b", max_size=50)


@given(ANY_TEXT, st.integers(3, 200))
@example(HOSTILE, 100)
@example("::", 3)
@example("## ##[##vso[", 50)
def test_printable_and_readable(text: str, most: int) -> None:
    shown = printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    assert not COMMAND.search(shown)
    assert printable(shown, most) == shown
    lines = readable(text, most)
    assert len(lines) <= most
    assert all(char in "\n\t" or char.isprintable() for char in lines)
    lines.encode()


def test_what_is_harmless_is_left_alone() -> None:
    for text in (
        "Größe: 5 %",
        "日本語",
        "a::b",
        "test.py::test_x",
        "## heading",
        "C:\\x",
        "  indented",
    ):
        assert printable(text) == text
    assert readable("a\r\nb\tc\n") == "a\nb\tc\n"
    assert (shortened("abcdef", 6), shortened("abcdefg", 6)) == ("abcdef", "abc...")


@pytest.mark.parametrize("kind", [DataError, ModelError])
def test_the_text_of_an_error_is_harmless_and_bounded(kind: type[DataError]) -> None:
    raised = kind(HUGE, where=Where(HOSTILE, 3, HOSTILE), evidence=f"{HOSTILE}\n{HUGE}", cure=HUGE)
    lines = str(raised).split("\n")
    assert all(
        line.isprintable() and not COMMAND.search(line) and len(line) <= LONGEST + 2
        for line in lines
    )
    assert len(str(kind("no", evidence="line\n" * 100, cure="cure\n" * 100)).split("\n")) == 25
    assert one_line("a\n  b\nc") == "a; b; c"
    assert one_line("a\n  Do b.\n  Or c: \n  this\n") == "a. Do b. Or c: this"
    assert one_line("not found: a\n\nDefined in:\nb\n \nc") == "not found: a. Defined in: b; c"
    assert one_line("cut...\nalso b\nthen...\nDo c") == "cut...; also b; then... Do c"
    assert one_line("") == ""


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("margn", ("margin", "max_drop"), "margin"),
        ("drop", ("margin", "max_drop"), "max_drop"),
        ("f1_makro", ("f1", "f1_macro"), "f1_macro"),
        ("match", ("accuracy", "exact_match"), "exact_match"),
        ("gg", ("g", "other"), "g"),
        ("id", ("video", "ticket_id"), "ticket_id"),
        ("id", ("video",), None),
        ("Training", ("min_training_examples", "training_set"), "training_set"),
        ("gpt", ("openai", "python"), None),
    ],
)
def test_the_nearest_word_is_a_misspelling_or_holds_what_was_written(word, known, meant) -> None:
    assert nearest(word, known) == meant


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), DataError("a row is missing"), ConfigError("")]
)
def test_ctrl_c_and_our_own_errors_pass(error: BaseException) -> None:
    def function() -> None:
        raise error

    assert caught(lambda: guarded("the hook x", function)) is error


def test_an_exception_is_told_on_one_line_with_the_last_line_of_the_file_whose_fault_it_is() -> (
    None
):
    def outer() -> Any:
        return inner()

    def inner() -> Any:
        return json.loads("{")

    line = inner.__code__.co_firstlineno + 1
    assert told(caught(outer)).endswith(f"({shown_path(__file__)}:{line})")
    text = told(ValueError("first\nsecond\x1b[2J" + "x" * 500))
    assert text.startswith("ValueError: first second")
    assert len(text) < 250
    assert text.isprintable()


SECRET = "Zq9-0123456789abcdefgh"


@pytest.mark.parametrize(
    "text",
    [
        f"401 for url 'https://host/v1/models/m:generate?alt=sse&key={SECRET}&x=1'",
        f"GET https://host/answer?X-Amz-Signature={SECRET}",
        f"https://user:{SECRET}@host/v1 did not answer",
        f"headers {{'Authorization': 'Bearer {SECRET}'}}",
        f"headers {{'x-api-key': '{SECRET}'}}",
        f"Client(api_key={SECRET!r}, retries=2)",
        f"invalid key sk-proj-{SECRET}",
        f"no model for hf_{SECRET.replace('-', '')}",
    ],
)
def test_no_error_tells_a_secret(text: str) -> None:
    for error in (ConfigError("x", evidence=told(ValueError(text))), DataError(text)):
        assert "0123456789" not in f"{error} {error.what} {error.evidence}"
        assert "***" in str(error)


@pytest.mark.parametrize(
    "text", ["ftgate.yaml:3: password: must not be set", "risk-free", "the key=value form", "a?b"]
)
def test_what_is_no_secret_is_told(text: str) -> None:
    assert DataError(text).what == text


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def torn() -> Iterator[str]:
        yield "half"
        raise OSError("no room")

    path = tmp_path / "report.json"
    path.write_text("whole", encoding="utf-8")
    with pytest.raises(OSError, match="no room"):
        write_whole(path, torn())
    assert path.read_text(encoding="utf-8") == "whole"
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.skipif(
    sys.platform == "win32", reason="links need rights there, and there are no such pipes"
)
def test_a_link_stays_a_link_and_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    path, link, pipe = (tmp_path / name for name in ("report.json", "link.json", "pipe"))
    link.symlink_to(path)
    write_whole(link, ["x"])
    assert (link.is_symlink(), path.read_text(encoding="utf-8")) == (True, "x")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, ["y"])
    assert (pipe.is_fifo(), os.read(reader, 9)) == (True, b"y")
    os.close(reader)


def test_what_json_cannot_say_is_null_and_comes_back() -> None:
    infinite, unknown = float("inf"), float("nan")
    found = to_plain({"name": "a" * 3000, "range": (0.0, infinite), 1: unknown})
    assert found == {"name": "a" * 1997 + "...", "range": [0.0, None], "1": None}
    result = GateResult("a", "b", "pass", metric_range=(0.0, infinite))
    assert GateResult.from_dict(result.to_dict()) == result
    forged = {**GateResult("a", "b", "fail").to_dict(), "passed": True}
    assert not GateResult.from_dict(forged).passed  # its verdict alone says so


def test_a_metric_that_was_not_measured_names_those_that_were() -> None:
    with pytest.raises(KeyError, match=r"f1.*accuracy, token_f1"):
        ModelResult("m", metrics={"accuracy": 1.0, "token_f1": None}).score("f1")
