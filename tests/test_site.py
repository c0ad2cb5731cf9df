"""Build the documentation site: no warning, nothing loaded from other hosts, no raw Markdown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import site_hooks
from doc_pages import DOCS, ROOT

mkdocs = pytest.mark.skipif(
    not (find_spec("mkdocs") and find_spec("material")), reason="mkdocs is missing: pip install --group docs"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@mkdocs
def test_every_page_is_there(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        built = site / (name.parent if name.name == "index" else name) / "index.html"
        assert built.exists(), name


@mkdocs
def test_language_models_find_every_page(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# pytest-ftgate\n\n> ")
    links = re.findall(r"^- \[.+\]\((.+)\)$", text, flags=re.MULTILINE)
    assert len(links) == len(list(DOCS.rglob("*.md")))
    for link in links:
        assert (site / link).exists(), link


@mkdocs
def test_a_page_has_one_title(site: Path) -> None:
    """In the navigation, in search, and in the heading."""
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (site / "llms.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    searched = {one["location"]: one["title"] for one in found if "#" not in one["location"]}
    for title, link in listed:
        page = DOCS / ("index.md" if link == "index.html" else f"{link.rstrip('/')}.md")
        heading = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert title == heading == searched[link.removesuffix("index.html")]
    assert len({title for title, _ in listed}) == len(listed) == len(searched)


@mkdocs
def test_it_can_be_searched(site: Path) -> None:
    assert "f1_macro" in (site / "search" / "search_index.json").read_text(encoding="utf-8")


@mkdocs
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"?([^\"\s>]+)", text)
        assert loads
        assert not [url for url in loads if re.match(r"(?:https?:)?//", url)], page


@mkdocs
def test_no_page_shows_raw_markdown(site: Path) -> None:
    """Find fences, lists and tables that mkdocs, unlike GitHub, shows as text."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        body = re.sub(r"<pre>.*?</pre>|<code>.*?</code>|<script.*?</script>", "", text, flags=re.DOTALL)
        assert "```" not in text, page
        assert not re.search(r"<p>(?:(?!</p>).)*^(?:- |\d\. |\| )", body, flags=re.MULTILINE | re.DOTALL), page
        assert "](" not in body, page


def test_links_out_of_the_documentation_lose_the_link() -> None:
    text = "[the example](../examples/voice_commands/README.md) and [money](money.md#a-limit), [gone](../absent.md)"
    kept = "the example and [money](money.md#a-limit), [gone](../absent.md)"
    assert site_hooks.within(text, DOCS, DOCS) == kept
