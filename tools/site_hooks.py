"""Hooks of mkdocs: links that leave docs/, and ``llms.txt``, the list of pages for language models (llmstxt.org).

In the repository a link to a file outside of docs/ leads there. The site has no such file: only the words stay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page, as mkdocs asks for it."""
    source = Path(page.file.abs_src_path)
    return within(markdown, source.parent, Path(page.file.src_dir))


def within(markdown: str, folder: Path, docs: Path) -> str:
    """Return the text without its links to files that exist but are not below ``docs``; ``folder`` is the page's."""

    def kept(found: re.Match[str]) -> str:
        target = (folder / found[2]).resolve()
        return found[1] if target.exists() and not target.is_relative_to(docs.resolve()) else found[0]

    return _LINK.sub(kept, markdown)


def on_nav(nav: Any, config: Any, **_: Any) -> None:
    """Keep the navigation for ``llms.txt``."""
    config.extra["pages"] = nav.items


def on_post_build(config: Any, **_: Any) -> None:
    """Write ``llms.txt`` beside the site's first page."""
    parts = [f"# {config.site_name}", f"> {config.site_description}", *sections("Docs", config.extra["pages"])]
    Path(config.site_dir, "llms.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def sections(title: str, items: list[Any]) -> list[str]:
    """Return a list of links under this title, then a part for each section."""
    links = [f"- [{item.title}]({item.url or 'index.html'})" for item in items if item.is_page]
    parts = [f"## {title}", "\n".join(links)] if links else []
    for item in items:
        if item.is_section:
            parts += sections(item.title, item.children)
    return parts
