"""A gate that is to match a large model, before there is a small one."""

from __future__ import annotations

from gate_project import Project, check, label, refused, statuses, write_jsonl

PRICE = {"input_per_1m": 1.0, "output_per_1m": 1.0}


def matched(project: Project, n: int, **keys: object) -> None:
    """A priced baseline that is right on two of three, and no candidate yet."""
    project.test_set(n)
    rows = [
        {"id": f"t{i}", "output": label(i) if i % 3 else "none", "usage": {"input_tokens": 9, "output_tokens": 1}}
        for i in range(n)
    ]
    write_jsonl(project.path / "base.jsonl", rows)
    baseline = {"provider": "recorded", "path": "base.jsonl", "price": PRICE}
    gate = {"candidate": ..., "margin": ..., "stage": "ready", "objective": "match", "cheaper_by": 2}
    project.gate_test(**{"baseline": baseline, "max_drop": 0.05, **gate, **keys})


def test_green_means_train_now(project: Project) -> None:
    matched(project, 240)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["candidate"]["value"] is None
    assert not {"room", "power"} & statuses(gate).keys()


def test_too_few_examples_to_rule_a_drop_out_are_said_before_training(project: Project) -> None:
    matched(project, 50)
    assert refused(project, "inconclusive").endswith("59 examples are needed, and there are 50")


def test_a_price_that_is_not_known_is_said_before_training(project: Project) -> None:
    matched(project, 240, baseline="recorded:base.jsonl")
    refused(project)
    assert check(project.gate(), "cheaper_by")["status"] == "error"
