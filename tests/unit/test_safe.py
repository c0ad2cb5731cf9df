from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_ftgate.errors import DataError, ModelError, Where
from pytest_ftgate.text import LONGEST, nearest, one_line, printable, readable, shortened

HOSTILE = (
    "::error::a \x1b[2J\x9b31m ##[error]b ##vso[c]d ##teamcity[e]\r\n::add-mask::f \u202eg\u200b \u2028 \x00 \ud800"
)
HUGE = HOSTILE * 20_000
COMMAND = re.compile(r"^\s*::|##\w*\[")


@given(st.text(st.characters(), max_size=200) | st.text(":#[]vso \n\x1b", max_size=50), st.integers(3, 200))
@example(HOSTILE, 100)
@example("::", 3)
@example("## ##[##vso[", 50)
def test_printable(text: str, most: int) -> None:
    shown = printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    assert not COMMAND.search(shown)
    assert printable(shown, most) == shown


def test_printable_text_is_left_alone() -> None:
    for text in ("Größe: 5 %", "日本語", "a::b", "test.py::test_x", "## heading", "C:\\x", "  indented"):
        assert printable(text) == text


@pytest.mark.parametrize("kind", [DataError, ModelError])
def test_the_text_of_an_error_is_harmless_and_bounded(kind: type[DataError]) -> None:
    raised = kind(HUGE, where=Where(HOSTILE, 3, HOSTILE), evidence=f"{HOSTILE}\n{HUGE}", cure=HUGE)
    lines = str(raised).split("\n")
    assert all(line.isprintable() and not COMMAND.search(line) and len(line) <= LONGEST + 2 for line in lines)
    assert one_line("a\n  b\nc") == "a; b; c"
    assert one_line("a\n  Do b.\n  Or c: \n  this\n") == "a. Do b. Or c: this"
    assert one_line("it raised\nValueError: no") == "it raised; ValueError: no"
    assert one_line("") == ""


def test_an_error_of_many_lines_is_cut_after_some() -> None:
    raised = DataError("no", evidence="line\n" * 100, cure="cure\n" * 100)
    assert len(str(raised).split("\n")) == 25


def test_shortened() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abc..."
    assert len(shortened("x" * 5000)) == LONGEST


@given(st.text(st.characters(), max_size=200), st.integers(3, 200))
@example(HOSTILE, 100)
def test_readable_keeps_lines_and_nothing_that_is_not_seen(text: str, most: int) -> None:
    shown = readable(text, most)
    assert len(shown) <= most
    assert all(char in "\n\t" or char.isprintable() for char in shown)
    shown.encode()
    assert readable("a\r\nb\tc\n") == "a\nb\tc\n"


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
