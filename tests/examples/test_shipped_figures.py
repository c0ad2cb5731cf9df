"""The figures of examples/shipped that follow from its test set alone, on recorded answers."""

from pathlib import Path

import pytest
from gate_project import Project, read_jsonl, recorded, write_jsonl

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples/voice_commands/data"


@pytest.mark.parametrize(
    ("differ", "verdict", "bound"),
    [((), "pass", "96.16 %"), ((0,), "pass", "95.63 %"), ((0, 40), "pass", ""), ((0, 40, 80), "inconclusive", "")],
)  # fmt: skip
def test_what_a_copy_proves(
    project: Project, differ: tuple[int, ...], verdict: str, bound: str
) -> None:
    rows = read_jsonl(DATA / "test.jsonl")
    for name, others in (("adapter.jsonl", ()), ("copy.jsonl", differ)):
        answers = []
        for index, row in enumerate(rows):
            output = "other" if index in others else row["expected"]
            answers.append({"id": row["id"], "output": output})
        write_jsonl(project.path / name, answers)

    gate = project.judge(
        test_set=str(DATA / "test.jsonl"),
        training_set=str(DATA / "train.jsonl"),
        baseline=recorded("adapter.jsonl"),
        candidate=recorded("copy.jsonl"),
        agreement={"with": "baseline", "min": 0.95},
        margin=...,
    )
    assert (gate["verdict"], gate["agreement"]["note"]) == (verdict, "122 groups")
    shown = f"{gate['agreement']['lower_bound']:.2%}".replace("%", " %")
    text = (ROOT / "examples/shipped/README.md").read_text(encoding="utf-8")
    assert not bound or (shown == bound and bound in text)
