"""Build the documentation site: no warning, nothing loaded from other hosts, no raw Markdown."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_pages import DOCS, PAGES, build_site

mkdocs = pytest.mark.skipif(
    not (find_spec("mkdocs") and find_spec("material")),
    reason="mkdocs is missing: pip install --group docs",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@mkdocs
def test_every_page_is_there_and_has_one_title(site: Path) -> None:
    """In the navigation, in search, in the list for language models, and in the heading."""
    llms = (site / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", llms, flags=re.MULTILINE)
    titles = search_titles(site)

    for title, link in listed:
        name = "index.md" if link == "index.html" else f"{link.rstrip('/')}.md"
        heading = (DOCS / name).read_text(encoding="utf-8").partition("\n")[0]
        assert (site / link).exists()
        assert heading == f"# {title}"
        assert titles[link.removesuffix("index.html")] == title

    pages = [page for page in PAGES if page.is_relative_to(DOCS)]
    assert len(listed) == len(titles) == len(pages)


def search_titles(site: Path) -> dict[str, str]:
    """Return the titles of pages, by their place, as search knows them."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    return {
        entry["location"]: entry["title"] for entry in index["docs"] if "#" not in entry["location"]
    }


@mkdocs
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loads = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"?([^\"\s>]+)", text
        )
        assert loads
        assert not [url for url in loads if re.match(r"(?:https?:)?//", url)], page
        assert 'data-md-component="source"' not in text, (
            "its script asks api.github.com for the repository's stars"
        )


@mkdocs
def test_no_page_shows_raw_markdown(site: Path) -> None:
    """Find fences, lists and tables that mkdocs, unlike GitHub, shows as text."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        body = re.sub(
            r"<pre>.*?</pre>|<code>.*?</code>|<script.*?</script>", "", text, flags=re.DOTALL
        )
        assert "```" not in text, page
        assert not re.search(
            r"<p>(?:(?!</p>).)*^(?:- |\d\. |\| )", body, flags=re.MULTILINE | re.DOTALL
        ), page
        assert "](" not in body, page
