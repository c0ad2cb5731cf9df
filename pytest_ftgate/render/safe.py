"""Text from models and data files is not trusted: no control character of it reaches a terminal or a log."""

from __future__ import annotations


def printable(text: str, most: int | None = None) -> str:
    """One line of harmless text: control characters escaped, CI commands broken, at most ``most`` characters.

    ``##[`` starts a command anywhere in a line of some CI logs; ``::`` does so at a line's start, where callers
    never put foreign text.
    """
    if most is not None and len(text) > most:
        text = text[: max(most - 3, 0)] + "..."
    text = text.replace("##[", "## [")
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
