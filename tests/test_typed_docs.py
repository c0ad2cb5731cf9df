"""The Python of README and the docs passes mypy's strict checks, in the environment of the session ``types``."""

from pathlib import Path

import pytest
from doc_pages import PAGES, blocks

api = pytest.importorskip("mypy.api", reason="mypy is missing: pip install --group lint")

SOURCES = [block for page in PAGES for block in blocks(page) if block.language == "python"]


def test_python_of_the_pages_is_typed(tmp_path: Path) -> None:
    """A recipe of a metric follows the import of the first one on its page. Libraries without types are skipped."""
    untyped = tmp_path / "mypy.ini"
    untyped.write_text(
        "[mypy]\nstrict = True\n[mypy-distributed.*,sacrebleu.*]\nfollow_imports = skip\n"
    )
    files = []
    for number, block in enumerate(SOURCES):
        follows = "@metric(" in block.text and "import metric" not in block.text
        files.append(tmp_path / f"block_{number}.py")
        files[-1].write_text(
            "from pytest_ftgate import metric\n" * follows + block.text, encoding="utf-8"
        )
    options = [
        "--config-file",
        str(untyped),
        "--ignore-missing-imports",
        "--cache-dir",
        str(tmp_path),
    ]
    report, errors, status = api.run([*options, *map(str, files)])
    places = [
        f"{name.name}: {block.place}"
        for name, block in zip(files, SOURCES, strict=True)
        if name.name in report
    ]
    assert (status, errors) == (0, ""), "\n".join([report, *places])
