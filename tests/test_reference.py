"""Compare docs/reference/ with the code."""

import pytest
import reference
from doc_pages import DOCS

from pytest_ftgate import metrics
from pytest_ftgate.check_names import CHECKS
from pytest_ftgate.config.gate_keys import GateKeys

PAGES = reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_those_of_the_code(name: str) -> None:
    """If this fails, run: python tools/reference.py"""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]


def test_no_page_is_left_over() -> None:
    assert {f"reference/{page.name}" for page in (DOCS / "reference").iterdir()} == set(PAGES) - {
        "llms.txt"
    }


def test_every_key_and_every_metric_has_a_row() -> None:
    for key in GateKeys.model_fields:
        assert f"\n|`{key}`<br>" in PAGES["reference/gate-file.md"]
    for name in metrics.built_in_names():
        assert f"\n|`{name}`|" in PAGES["reference/metrics-and-checks.md"]
    for name in CHECKS:
        assert f'\n|<a id="check-{name}"></a>`{name}' in PAGES["reference/metrics-and-checks.md"]


def test_a_metric_without_an_explanation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*metrics.built_in_names(), "newest"]
    monkeypatch.setattr(metrics, "built_in_names", lambda: names)
    with pytest.raises(ValueError, match="newest"):
        reference.pages()
