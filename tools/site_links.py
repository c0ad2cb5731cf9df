"""A hook of mkdocs: what a page of docs/ links to outside of it stands on the site without the link.

In the repository such links lead to a file. The site has no such file, and the address of the repository is not known.
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
