"""Report pages as a browser and a host of Markdown read them: elements and text."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """A parsed page. An element that is not closed in its turn fails an assertion.

    Attributes:
        elements: all elements with their attributes.
    """

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.markup = markup
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(markup)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._words.append(data)
            if self._open and any(tag in ("h1", "h2", "h3") for tag in self._open):
                self.headings[-1] += data

    @property
    def text(self) -> str:
        """Return the visible text with single spaces."""
        return " ".join("".join(self._words).split())

    def attributes(self, name: str) -> list[str]:
        """Return the values of an attribute of all elements."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    def classes(self, tag: str) -> list[str]:
        """Return the classes of all elements with this name."""
        return [
            attributes.get("class") or "" for element, attributes in self.elements if element == tag
        ]


class Rendered(Page):
    """Markdown as a host shows it, by a CommonMark parser with GitHub's tables and links.

    Attributes:
        read: all that is read, without the spaces of no width that break references apart.
        loose: the same with them, without code, in which hosts look for no people, issues, emoji and links.
        cells: the texts of all cells of tables.
    """

    def __init__(self, markdown: str) -> None:
        self.read = self.loose = ""
        self.cells: list[str] = []
        super().__init__(MarkdownIt("gfm-like", {"html": True}).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        self.loose += "\n" * (tag == "br")
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        read = data.replace("\u200b", "")
        self.read += read
        if not {"pre", "code"} & set(self._open):
            self.loose += data
        if {"td", "th"} & set(self._open):
            self.cells[-1] += read
