"""Read the pages of the documentation and their fenced blocks."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
    ROOT / "README.md",
]

_BLOCK = re.compile(
    r'^( *)```(\w+)(?: title="([^"\n]*)"| file=(\S+))?\n(.*?)^\1```$',
    flags=re.MULTILINE | re.DOTALL,
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
    return (
        page.relative_to(DOCS) if page.is_relative_to(DOCS) else page.relative_to(ROOT)
    ).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        inner = re.sub(f"^{match[1]}", "", match[5], flags=re.MULTILINE)
        yield Block(page, line, match[2], match[3] or match[4] or "", inner)


def file_of(page: str, name: str) -> str:
    """Return the text of the only file of this name on a page."""
    (text,) = [block.text for block in blocks(DOCS / page) if block.title == name]
    return text


def blocks_under(page: str, heading: str) -> list[Block]:
    """Return the blocks of the section with this heading of the second level."""
    text = (DOCS / page).read_text(encoding="utf-8")
    preamble, _, following = text.partition(f"\n## {heading}\n")
    first = preamble.count("\n") + 1
    last = first + following.partition("\n## ")[0].count("\n") + 2
    assert following, f"{page} has no section {heading}"
    return [block for block in blocks(DOCS / page) if first < block.line < last]


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output shown below it; a backslash joins two lines."""
    first, *sessions = re.split(r"^\$ ", re.sub(r" *\\\n *", " ", block.text), flags=re.MULTILINE)
    assert not first, f"{block.place}: a console block begins with a command after '$ '"
    return [
        (command, output)
        for command, _, output in (session.partition("\n") for session in sessions)
    ]


def build_site(folder: Path) -> Path:
    """Build the documentation, which mkdocs must do without a warning."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return folder
