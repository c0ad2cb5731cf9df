"""The figures of examples/shipped, on the answers that its models gave: shipped_answers.json has the wrong ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, read_jsonl, recorded, write_jsonl

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples/voice_commands/data"
README = " ".join((ROOT / "examples/shipped/README.md").read_text(encoding="utf-8").split())
WRONG = json.loads((Path(__file__).parent / "shipped_answers.json").read_text(encoding="utf-8"))
"""The wrong answers of each model by the ids of the examples."""


def judged(project: Project, models: dict[str, dict[str, str]], **keys: Any) -> dict[str, Any]:
    """Judge the second of two models against the first, on right answers but for these."""
    paths = []
    for name, wrong in models.items():
        answers = []
        for row in read_jsonl(DATA / "test.jsonl"):
            answers.append({"id": row["id"], "output": wrong.get(row["id"], row["expected"])})
        paths.append(f"{name}.jsonl")
        write_jsonl(project.path / paths[-1], answers)

    baseline, candidate = map(recorded, paths)
    return project.judge(
        test_set=str(DATA / "test.jsonl"),
        training_set=str(DATA / "train.jsonl"),
        baseline=baseline,
        candidate=candidate,
        **keys,
    )


def percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


AGREEMENT: dict[str, Any] = {"agreement": {"with": "baseline", "min": 0.95}, "margin": ...}


@pytest.mark.parametrize(
    ("differ", "verdict"),
    [((), "pass"), ((0,), "pass"), ((0, 40), "pass"), ((0, 40, 80), "inconclusive")],
)
def test_what_a_copy_proves(project: Project, differ: tuple[int, ...], verdict: str) -> None:
    rows = read_jsonl(DATA / "test.jsonl")
    other = {rows[index]["id"]: "other" for index in differ}
    gate = judged(project, {"adapter": {}, "copy": other}, **AGREEMENT)
    assert (gate["verdict"], gate["agreement"]["note"]) == (verdict, "122 groups")


@pytest.mark.parametrize(
    ("name", "verdict", "n_differ"),
    [("merged", "pass", "0"), ("served", "pass", "1"), ("unscaled", "fail", "17")],
)
def test_what_each_artifact_of_the_page_proves(
    project: Project, name: str, verdict: str, n_differ: str
) -> None:
    models = {"adapter": WRONG["adapter"], name: WRONG[name]}
    gate = judged(project, models, **AGREEMENT)
    agreement = gate["agreement"]
    assert gate["verdict"] == verdict
    assert f"95 % lower bound {percent(agreement['lower_bound'])}; {n_differ} of 225" in README
    assert f"{percent(agreement['share'])} with" in README
    assert f"candidate {name} {100 * gate['candidate']['value']:.1f} % 225/225" in README


def test_what_the_fine_tune_gains_on_the_page(project: Project) -> None:
    models = {"prompted": WRONG["prompted"], "adapter": WRONG["adapter"]}
    gate = judged(project, models, margin=0.1)
    assert gate["verdict"] == "pass"
    gain, bound = (f"{100 * gate[key]:+.1f}" for key in ("gain", "lower_bound"))
    assert f"gain {gain} points accuracy, needs +10.0; 95 % lower bound {bound}" in README
    assert f"{gate['fixed']} fixed, {gate['broken']} broken of 225 examples (122 groups)" in README
