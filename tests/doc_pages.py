"""Read the pages of the documentation and their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + sorted((ROOT / "examples").glob("*/README.md"))

_BLOCK = re.compile(
    r'^( *)```(\w+)(?: title="([^"\n]*)"| file=(\S+))?\n(.*?)^\1```$', flags=re.MULTILINE | re.DOTALL
)  # GitHub shows the file name of README's blocks nowhere


class Block(NamedTuple):
    """One fenced block; ``title`` is a file name or the exit status of its commands, and may be empty."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return (page.relative_to(DOCS) if page.is_relative_to(DOCS) else page.relative_to(ROOT)).as_posix()


def page_named(name: str) -> Path:
    return DOCS / name


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        inner = re.sub(f"^{found[1]}", "", found[5], flags=re.MULTILINE)
        yield Block(page, line, found[2], found[3] or found[4] or "", inner)


def file_of(page: str, name: str) -> str:
    """Return the text of the only file of this name on a page."""
    (text,) = [block.text for block in blocks(page_named(page)) if block.title == name]
    return text


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output shown below it."""
    first, *parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not first, f"{block.place}: a console block begins with a command after '$ '"
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
