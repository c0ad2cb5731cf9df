"""Text from models, data and other people's code is not trusted: none of it commands a terminal or a CI log."""

from __future__ import annotations

import re

LONGEST = 2000
"""Characters of one text in a message or a report; what is longer is cut there."""

_COMMAND_ANYWHERE = re.compile(r"##(?=\w*\[)")  # ##[error], ##vso[, ##teamcity[
_SENTENCE = re.compile(r"[A-Z][a-z]*,? ")  # and no name of an error, as in "ValueError: no such label"
_COMMAND_AT_START = re.compile(r"^\s*:(?=:)")  # ::error::, which some runners also find behind white space


def printable(text: str, most: int = LONGEST) -> str:
    """One line of harmless text: control characters escaped, CI commands broken, at most ``most`` characters."""
    text = text[: most + 1]  # no work on megabytes
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return shortened(_COMMAND_ANYWHERE.sub("## ", _COMMAND_AT_START.sub(": ", text)), most)


def readable(text: str, most: int = LONGEST) -> str:
    """As :func:`printable`, for places that no CI log is read from: its lines stay lines."""
    text = text[: most + 1].replace("\r\n", "\n")
    return shortened("".join(char if char in "\n\t" or char.isprintable() else _escaped(char) for char in text), most)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """The lines of a text on one: a line that begins a sentence stays one."""
    first, *rest = [line.strip() for line in text.splitlines()] or [""]
    return first + "".join(
        f"{_between(before, line)}{line}" for before, line in zip([first, *rest], rest, strict=False)
    )


def _between(before: str, line: str) -> str:
    if before.endswith((".", "!", "?", ":", ";", ",")):
        return " "
    return ". " if _SENTENCE.match(line) else "; "


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= most else text[: max(most - 3, 0)] + "..."
