"""Preferences of people, from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from gate_project import block, check, ends, mentions, passed, stopped, write_jsonl
from judge_project import N, PythonJudged, task

WIN, LOSS, TIE = "candidate", "baseline", "tie"


class Rated(PythonJudged):
    """The models never say the same, so that there is something to prefer."""

    def answer_of(self, model: str, index: int) -> str:
        return f"{super().answer_of(model, index)} ({model})"


@pytest.fixture
def judged(pytester: pytest.Pytester) -> Rated:
    return Rated(pytester)


def words(wins: int, losses: int) -> list[str]:
    return [WIN] * wins + [LOSS] * losses + [TIE] * (N - wins - losses)


def rated(judged: Rated, *raters: Sequence[str], gate: dict[str, Any] | None = None) -> dict[str, Any]:
    lines = ["id,preferred,rater"]
    lines += [f"t{i},{word},r{r}" for r, said in enumerate(raters) for i, word in enumerate(said)]
    judged.file("prefs.csv", "\n".join(lines) + "\n")
    return by_file(judged, **(gate or {}))


def by_file(judged: Rated, path: str = "prefs.csv", **gate: Any) -> dict[str, Any]:
    return judged.judge(metric={"name": "human_preference", "path": path}, **gate)


def test_people_may_judge_answers_to_which_none_is_expected(judged: Rated) -> None:
    write_jsonl(judged.path / "test.jsonl", [{"id": f"t{i}", "input": task(i)} for i in range(N)])
    passed(rated(judged, words(40, 10)))


def test_one_rater(judged: Rated) -> None:
    gate = passed(rated(judged, words(40, 10)))
    assert (gate["baseline"]["value"], gate["candidate"]["value"], gate["gain"]) == (0.5, 0.75, 0.25)
    (judge,) = gate["judges"]
    assert (judge["judge"], judge["model"], judge["raters"], judge["kappa"]) == ("people", None, 1, None)
    (pair,) = judge["pairs"]
    assert (pair["wins"], pair["ties"], pair["losses"], pair["disagreements"]) == (40, 10, 10, None)
    assert check(gate, "human_preference.agreement")["message"].startswith("one rater")
    assert "attested, not verified" in check(gate, "human_preference.outputs")["message"]
    lines = block(gate, verbose=True)
    told = lines[lines.index("human_preference by 1 rater") + 1]
    assert told.startswith("  candidate against baseline: 40 won, 10 ties, 10 lost of 60 examples; the longer")


def test_people_who_prefer_the_baseline_make_the_gate_red(judged: Rated) -> None:
    gate = ends(rated(judged, words(20, 30)), "fail")
    assert gate["gain"] == pytest.approx(-5 / N)


def test_two_raters_agree_by_cohens_kappa(judged: Rated) -> None:
    """25 say yes twice, 15 no twice, and 20 are in dispute: agreement 40/60, by chance (35*35 + 25*25)/3600."""
    one = [WIN] * 35 + [LOSS] * 25
    other = [WIN] * 25 + [LOSS] * 10 + [WIN] * 10 + [LOSS] * 15
    gate = rated(judged, one, other, gate={"margin": 0.01})
    (judge,) = gate["judges"]
    by_chance = (35 * 35 + 25 * 25) / 3600
    assert (judge["raters"], judge["kappa_kind"], judge["n_kappa"]) == (2, "Cohen", 60)
    assert judge["kappa"] == pytest.approx((40 / 60 - by_chance) / (1 - by_chance))
    assert check(gate, "human_preference.agreement")["message"] == (
        f"2 raters on 60 examples: pairwise agreement 67 %, Cohen's kappa {judge['kappa']:.2f}"
    )
    assert gate["candidate"]["value"] == pytest.approx(35 / 60)
    assert gate["method"].startswith("exact")  # no mean preference is between -1, 0 and 1


def test_three_raters_agree_by_fleiss_kappa_and_hardly_at_all_is_called_out(judged: Rated) -> None:
    said = [[WIN if (i + r) % 3 else LOSS for i in range(N)] for r in range(3)]
    gate = rated(judged, *said)
    (judge,) = gate["judges"]
    assert (judge["kappa_kind"], judge["raters"]) == ("Fleiss", 3)
    assert judge["kappa"] == pytest.approx(-0.5)
    assert check(gate, "human_preference.agreement")["status"] == "warning"


def test_people_who_agree_on_one_model_nearly_always_have_a_low_kappa(judged: Rated) -> None:
    """Chance would make them agree as often."""
    said = [[LOSS if i % 12 == 3 * r else WIN for i in range(N)] for r in range(3)]
    seen = check(rated(judged, *said), "human_preference.agreement")
    assert seen["status"] == "warning"
    assert seen["message"] == "3 raters on 60 examples: pairwise agreement 83 %, Fleiss's kappa -0.09"
    assert "kappa is low" in seen["advice"]


def test_a_and_b_may_stand_for_the_models(judged: Rated) -> None:
    lines = ["id,a,b,preferred"]
    for i, word in enumerate(words(40, 10)):
        sides = (WIN, LOSS) if i % 2 else (LOSS, WIN)
        lines.append(f"t{i},{','.join(sides)},{word if word == TIE else 'AB'[sides.index(word)]}")
    judged.file("prefs.csv", "\n".join(lines) + "\n")
    assert by_file(judged)["gain"] == 0.25


def test_there_is_nothing_to_prefer_between_equal_outputs(judged: Rated) -> None:
    judged.predictions("ft.jsonl", N, output=lambda i: judged.answer_of("ft" if i < 5 else "base", i))
    gate = ends(rated(judged, words(N, 0)), "fail")
    assert gate["gain"] == pytest.approx(2.5 / N)
    equal = check(gate, "human_preference.equal")
    assert (equal["status"], equal["observed"]) == ("warning", 55)
    assert "prefs.csv:7" in equal["message"]


def test_a_missing_answer_is_preferred_by_nobody(judged: Rated) -> None:
    judged.predictions("ft.jsonl", N, output=lambda i: judged.answer_of("ft", i) if i else None)
    gate = rated(judged, words(N, 0), gate={"missing_answers": "wrong"})
    assert gate["candidate"]["value"] == pytest.approx((N - 1) / N)
    assert check(gate, "human_preference.equal")["observed"] == 1


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hashed(judged: Rated, changed: int | None = None) -> None:
    lines = ["id,preferred,baseline_sha256,candidate_sha256"]
    for i, word in enumerate(words(40, 10)):
        candidate = judged.answer_of("ft", i) if i != changed else "another answer"
        lines.append(f"t{i},{word},{sha(judged.answer_of('base', i))},{sha(candidate)}")
    judged.file("prefs.csv", "\n".join(lines) + "\n")


def test_preferences_may_name_the_outputs_that_they_are_about(judged: Rated) -> None:
    hashed(judged)
    gate = passed(by_file(judged))
    assert check(gate, "human_preference.outputs")["status"] == "pass"
    hashed(judged, changed=7)
    gate = ends(by_file(judged), "error")
    outputs = check(gate, "human_preference.outputs")
    assert outputs["observed"] == 1
    assert all(text in outputs["message"] for text in ("prefs.csv:9", "candidate", "t7"))


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("t99,tie,", "prefs.csv:62: id: no test example has the id"),
        ("t0,tie,", 'prefs.csv:62: the id "t0" is rated twice without a rater, first in prefs.csv:2'),
        ("t0,better,r2", 'prefs.csv:62: preferred: must be candidate, baseline or tie, got "better"'),
        ("t0,a,r2", 'prefs.csv:62: preferred: prefers "a", and the columns a and b'),
        ("t0,tie", "prefs.csv:62: the row has 2 cells, the header 3"),
    ],
)
def test_rows_that_cannot_be_used(judged: Rated, row: str, text: str) -> None:
    lines = ["id,preferred,rater", *(f"t{i},{word}," for i, word in enumerate(words(40, 10))), row]
    judged.file("prefs.csv", "\n".join(lines) + "\n")
    mentions(stopped(by_file(judged)), text)


def test_one_person_in_two_spellings_agrees_with_nobody(judged: Rated) -> None:
    lines = [f"t{i},{word},{rater}" for i, word in enumerate(words(40, 10)) for rater in ("anna", "Anna ")]
    judged.file("prefs.csv", "\n".join(["id,preferred,rater", *lines]) + "\n")
    mentions(stopped(by_file(judged)), 'prefs.csv:3: the id "t0" is rated twice by anna, first in prefs.csv:2')


def test_an_example_that_nobody_rated_is_an_error(judged: Rated) -> None:
    judged.file("prefs.jsonl", '{"id": "t0", "preferred": "tie"}\n')
    told = stopped(by_file(judged, "prefs.jsonl"))["message"]
    assert told.startswith('prefs.jsonl: 59 of 60 test examples have no preference, the first is "t1"')


@pytest.mark.parametrize(
    "several",
    [{"repeats": 2}, {"baseline": ..., "baselines": {"x": "recorded:base.jsonl", "y": "recorded:base.jsonl"}}],
)
def test_a_file_is_about_one_answer_each_of_two_models(judged: Rated, several: dict[str, Any]) -> None:
    judged.file("prefs.csv", "id,preferred\nt0,tie\n")
    mentions(stopped(by_file(judged, **several)), "human_preference compares one answer each")
