"""``--ftgate-report=card:PATH``: the Hub reads the header, and the text says what was asked and found."""

import re

import pytest
from gate_project import Project


def test_the_hub_reads_the_card_of_a_judged_gate(project: Project) -> None:
    hub = pytest.importorskip("huggingface_hub")
    project.gate_test(
        metric=["accuracy", "f1_macro"],
        hypothesis={"from": 0.66, "to": 0.9, "because": "it *rises*"},
        goal="classification",
    )
    gate = project.gate("--ftgate-report=card:card.md")
    card = hub.ModelCard.load(project.path / "card.md")
    results = {eval_result.metric_type: eval_result for eval_result in card.data.eval_results}
    assert card.data.model_name == gate["candidate"]["name"]
    assert {name: result.metric_value for name, result in results.items()} == gate["candidate"][
        "metrics"
    ]
    assert {result.dataset_revision for result in results.values()} == {gate["test_set"]["sha256"]}
    assert {result.task_type for result in results.values()} == {"text-classification"}
    assert re.search(r"\d\d:\d\d:\d\dZ", card.text)
    fragments = (
        "goal: classification",
        "hypothesis: accuracy goes from 0.66 to 0.9",
        "&#42;rises&#42;",
        ": reached",
        gate["training"]["sha256"],
        "+26.7 points",
        "recorded:ft.jsonl",
    )
    for fragment in (*fragments, "revision not named"):
        assert fragment in card.text


def test_a_gate_that_was_not_measured_has_no_results(project: Project) -> None:
    project.gate_test(candidate="recorded:nothing.jsonl")
    project.run("--ftgate-report=card:card.md")
    assert (project.path / "card.md").read_text().startswith("No candidate was scored.")
