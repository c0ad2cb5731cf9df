"""Markdown as a host shows it: rendered by a CommonMark parser with GitHub's tables and links, and taken apart."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

_VOID = {"br", "img", "hr", "input"}


class Rendered(HTMLParser):
    """The page's elements and text.

    Attributes:
        tags: the names of all elements.
        text: all that is read, without the spaces of no width that break references apart.
        loose: the same with them, without code, in which hosts look for no people, issues, emoji and links.
        open: elements that were never closed, and closed ones that were never open.
    """

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.loose = ""
        self.cells: list[str] = []
        self.feed(MarkdownIt("gfm-like", {"html": True}).render(markdown))
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "br":
            self.loose += "\n"
        if tag not in _VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.open.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        read = data.replace("\u200b", "")
        self.text += read
        if not {"pre", "code"} & set(self.open):
            self.loose += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += read
