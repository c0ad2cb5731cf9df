"""``max_attempts``: several candidates on one test set, each judged at a part of what is left of alpha."""

import json
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import (
    Project,
    block,
    check,
    checks,
    ends,
    mentions,
    on_a_branch,
    passed,
    read_jsonl,
    statuses,
    stopped,
)

from pytest_ftgate.checks import attempts
from pytest_ftgate.checks.attempts import fingerprint, may_be_shown, same_test_set
from pytest_ftgate.data import Example

LEDGER = "ftgate-attempts.jsonl"
BETTER = range(170, 200)
WORSE = range(110, 190)


@pytest.fixture
def project(project: Project) -> Project:
    project.test_set(200)
    project.predictions("base.jsonl", 200, wrong_at=range(120, 200))
    project.predictions("ft.jsonl", 200, wrong_at=BETTER)
    project.keys["max_attempts"] = 3
    return project


def attempt(
    project: Project, number: int, wrong_at: Iterable[int] = WORSE, **changes: Any
) -> dict[str, Any]:
    """Judge a candidate of this number, which answers these examples wrong."""
    project.predictions(f"ft{number}.jsonl", 200, wrong_at=(*wrong_at, 100 + number))
    return project.judge(candidate=f"recorded:ft{number}.jsonl", **changes)


def ledger(project: Project) -> list[dict[str, Any]]:
    return read_jsonl(project.path / LEDGER)


def shown(project: Project) -> set[str]:
    rows = read_jsonl(project.path / "test.jsonl")
    return {
        row["id"] for row in rows if may_be_shown(Example(row["id"], row["input"], row["expected"]))
    }


def test_each_attempt_takes_half_of_what_is_left_and_the_last_one_all_of_it(
    project: Project,
) -> None:
    for number, confidence in ((1, 0.975), (2, 0.9875)):
        gate = attempt(project, number)
        assert (gate["verdict"], gate["confidence"]) == ("fail", confidence)
        mentions(check(gate, "max_attempts"), f"attempt {number} of 3")
    assert attempt(project, 1)["confidence"] == 0.975
    lines = (project.path / LEDGER).read_text(encoding="utf-8")
    # two branches had it, and were merged
    project.file(LEDGER, lines + lines.splitlines(keepends=True)[0])
    gate = passed(attempt(project, 3, BETTER))
    assert gate["attempt"] == {"number": 3, "most": 3, "confidence": 0.9875}
    assert any("attempt 3 of 3, judged at 98.75 %" in line for line in block(gate))
    entries = ledger(project)
    assert [entry["level"] for entry in entries] == [0.025, 0.0125, 0.025, 0.0125]
    assert [entry["verdict"] for entry in entries] == ["fail", "fail", "fail", "pass"]
    assert set(entries[0]) == {
        "gate",
        "candidate",
        "answers",
        "test_set",
        "gain",
        "verdict",
        "level",
        "at",
    }
    assert "ft1.jsonl" in entries[0]["candidate"]


SPENT = [  # max_attempts and confidence at each attempt, and the confidences that they are judged at
    ([1], [0.95], [0.95]),
    ([2, 2], [0.95] * 2, [0.975, 0.975]),
    ([3, 2], [0.95] * 2, [0.975, 0.975]),
    ([2, 3, 3], [0.95] * 3, [0.975, 0.9875, 0.9875]),
    # nothing is left after the last one, nor where the gate becomes stricter than what was spent
    ([1, 2], [0.95] * 2, [0.95, None]),
    ([2, 2, 5], [0.95] * 3, [0.975, 0.975, None]),
    ([2, 2], [0.95, 0.99], [0.975, None]),
    ([2, 2], [0.95, 0.9], [0.975, 0.925]),
]


@pytest.mark.parametrize(("most", "asked", "judged"), SPENT)
def test_the_lines_of_the_ledger_say_what_is_left(
    project: Project, most: list[int], asked: list[float], judged: list[float | None]
) -> None:
    for number, confidence in enumerate(judged, 1):
        keys = {"max_attempts": most[number - 1], "confidence": asked[number - 1]}
        gate = attempt(project, number, BETTER, **keys)
        assert gate["attempt"]["confidence"] == confidence
        if confidence is None:
            mentions(stopped(gate, "fail"), "max_attempts", "nothing is left")
        else:
            assert passed(gate)["confidence"] == confidence
            assert attempt(project, number, BETTER, **keys)["confidence"] == confidence


def test_beyond_the_budget_the_gate_fails_before_any_call_and_the_same_answers_are_no_attempt(
    project: Project,
) -> None:
    attempt(project, 1, BETTER, max_attempts=1)
    project.predictions("again.jsonl", 200, wrong_at=(*BETTER, 101))
    assert (
        passed(project.judge(candidate="recorded:again.jsonl", max_attempts=1))["attempt"]["number"]
        == 1
    )
    gate = attempt(project, 2, BETTER, max_attempts=1)
    finding = stopped(gate, "fail")
    assert (finding["name"], finding["observed"], finding["required"]) == ("max_attempts", 2, 1)
    assert (finding["threshold"], gate["attempt"]["number"]) == (
        {"key": "max_attempts", "value": 1},
        2,
    )
    mentions(finding, "fresh test set", "less than half")
    assert len(ledger(project)) == 1


@pytest.mark.parametrize(("most", "is_last"), [(2, False), (1, True)])
def test_the_baseline_is_kept_where_the_attempts_are_spent(
    project: Project, most: int, is_last: bool
) -> None:
    finding = check(ends(attempt(project, 1, max_attempts=most), "fail"), "margin")
    assert ("Keep the baseline" in str(finding["cure"])) is is_last


def test_a_candidate_beyond_the_budget_is_not_asked(http: EndpointProject) -> None:
    http.judge(stored=True, max_attempts=1)
    assert passed(http.judge(stored=True, max_attempts=1))["attempt"]["number"] == 1
    http.forget()
    gate = http.judge(candidate=http.model("ft", revision="2"), max_attempts=1)
    assert stopped(gate, "fail")["observed"] == gate["attempt"]["number"] == 2
    assert not http.server.requests


def test_more_examples_are_another_attempt(http: EndpointProject) -> None:
    """Whoever adds examples until the gate is green looks at it several times."""
    http.judge(stored=True, max_attempts=2)
    http.test_set(80)
    assert http.judge(refresh=True, max_attempts=2)["attempt"]["number"] == 2


@pytest.mark.parametrize("role", ["candidate", "baseline"])
@pytest.mark.parametrize("limit", [2, None])
def test_other_answers_of_either_model_are_another_attempt(
    project: Project, role: str, limit: int | None
) -> None:
    code, answer = "def answer(text): return Path({!r}).read_text()", project.path / "answer"
    model = {role: "python:own:answer"}
    last = None
    for text, number in (("refund", 1), ("invoice", 2), ("refund", 1), ("shipping", 3)):
        answer.write_text(text)
        project.file("own.py", f"from pathlib import Path\n{code.format(str(answer))}\n")
        sys.modules.pop("own", None)
        gate = project.judge(
            **model, checks={"weak_baseline": "warn"}, max_attempts=limit or ..., stored=True
        )
        if limit is None:
            warnings = checks(gate, "attempts")
            assert [check["status"] for check in warnings] == ["warning"] * (
                last not in (None, text)
            )
            assert all(role in check["message"] for check in warnings)
        elif number <= limit:
            assert gate["attempt"]["number"] == number
        else:
            assert stopped(gate, "fail", called=True)["observed"] == 3
        last = text
    assert (
        limit is None
        or len({str(entry["answers"]) for entry in ledger(project)}) == len(ledger(project)) == 2
    )


def test_the_names_and_the_order_of_baselines_are_no_part_of_an_attempt(project: Project) -> None:
    project.predictions("more.jsonl", 200, wrong_at=range(110, 200))
    two = ["recorded:base.jsonl", "recorded:more.jsonl"]
    for models, number in ((two, 1), (two[::-1], 1), (two[:1], 2)):
        gate = project.judge(baseline=..., baselines=dict(zip(("a", "b"), models, strict=False)))
        assert gate["attempt"]["number"] == number


SAME = [
    *(((0, 100), second_range, True) for second_range in ((0, 100), (50, 150), (90, 100))),
    *(((0, 100), second_range, False) for second_range in ((51, 151), (0, 201))),
    # Of a large one a sample of hashes is kept.
    *(((0, 5000), (start, start + 5000), start < 2500) for start in (0, 2000, 3200, 5000)),
    *(((0, 5000), (start, start + 50), start < 5000) for start in (0, 3200, 5000)),
]


@pytest.mark.parametrize(("first_range", "second_range", "is_same"), SAME)
def test_half_of_the_examples_make_it_the_same_test_set(
    first_range: Any, second_range: Any, is_same: bool
) -> None:
    first_digest, second_digest = (
        fingerprint(Example(str(n), f"question {n}", "x") for n in range(*ids))
        for ids in (first_range, second_range)
    )
    assert len(first_digest) == min(first_range[1], 400)
    assert same_test_set(second_digest, first_digest) is is_same


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"input": "fresh question {}".format}, 1),
        ({"expected": lambda i: f"other {i % 3}"}, 1),
        ({"lang": "en"}, 2),
    ],
)
def test_another_test_set_begins_anew_and_another_gate_does_not(
    project: Project, fields: Any, number: int
) -> None:
    attempt(project, 1)
    project.test_set(200, **fields)
    assert attempt(project, 2, name="another gate")["attempt"]["number"] == number


def test_a_damaged_line_is_an_error_that_names_it(project: Project) -> None:
    attempt(project, 1)
    attempt(project, 2)
    first, second = (project.path / LEDGER).read_text(encoding="utf-8").splitlines()
    for damaged in (
        *(second[:-20], "attempt 1", ""),
        second.replace('"gain"', '"gains"'),
        second.replace('"fail"', '"maybe"'),
        *(
            second.replace(f'"{key}": [', f'"{key}": [{damage}, ')
            for key in ("test_set", "answers")
            for damage in (1, '"00"')
        ),
        *(re.sub(rf'"{key}": \[.*?\]', f'"{key}": []', second) for key in ("test_set", "answers")),
        second.replace('"gain"', '"verdict": "pass", "gain"'),
    ):
        project.file(LEDGER, f"{first}\n{damaged}\n")
        mentions(stopped(attempt(project, 3)), "ftgate-attempts.jsonl:2")


def test_a_candidate_that_could_not_be_judged_is_no_attempt(project: Project) -> None:
    passed(project.judge(stage="ready", candidate=...))
    project.predictions("ft1.jsonl", 199)
    assert project.judge(candidate="recorded:ft1.jsonl")["verdict"] == "error"
    (project.path / LEDGER).mkdir()  # there was none, and none can be written now
    assert stopped(project.judge())["message"].startswith(LEDGER)


CHANGES: dict[str, tuple[Any, str, list[str]]] = {
    "shortened": (lambda lines: lines[1:], "error", ["support"]),
    "reordered": (lambda lines: lines[::-1], "error", ["support"]),
    "edited, of a marker": (
        lambda lines: [lines[0].replace('"fail"', '"pass"'), lines[1]],
        "error",
        [],
    ),
    "emptied": (lambda lines: [], "error", ["support"]),
    "longer": (lambda lines: [*lines, lines[1]], "fail", ["support"]),
}


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
@pytest.mark.parametrize("how", CHANGES)
def test_the_lines_at_the_merge_base_are_kept(project: Project, how: str) -> None:
    change, verdict, named = CHANGES[how]
    project.filed(", max_attempts: 3")
    attempt(project, 1)
    attempt(project, 2)
    on_a_branch(project.path)
    path = project.path / LEDGER
    path.write_text(
        "".join(change(path.read_text(encoding="utf-8").splitlines(keepends=True))),
        encoding="utf-8",
    )
    gate = project.judge(*named, candidate="recorded:ft1.jsonl")
    assert (gate["verdict"], statuses(gate).get("attempts") == "error") == (
        verdict,
        verdict == "error",
    )


def test_a_ci_job_prints_the_line_to_commit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.gate_test()
    finding = stopped(project.gate(), "error", called=True)
    assert finding["name"] == "attempts"
    mentions(finding, LEDGER, "Commit")
    assert not (project.path / LEDGER).exists()
    (line,) = re.findall(
        r"commit this line to ftgate-attempts.jsonl:\n(.*)", project.result.stdout.str()
    )
    project.file(LEDGER, f"{line}\n")
    assert project.gate()["verdict"] == "pass"


def test_an_attempt_that_another_process_takes_meanwhile(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place in the ledger counts, so the gate is judged at the level of the next one."""
    attempt(project, 1, BETTER)
    (line,) = ledger(project)
    (project.path / LEDGER).unlink()
    real = attempts.locked

    @contextmanager
    def locked(config: Any) -> Iterator[None]:
        with real(config):
            project.file(LEDGER, json.dumps({**line, "answers": ["0" * 8, "1" * 8]}) + "\n")
            yield

    monkeypatch.setattr(attempts, "locked", locked)
    gate = passed(project.judge())
    assert (gate["attempt"]["number"], gate["confidence"]) == (2, 0.9875)
    assert [entry["level"] for entry in ledger(project)] == [0.025, 0.0125]


def test_of_two_processes_one_waits_for_the_ledger(project: Project) -> None:
    """Each adds a line after the number of those that it has read, as if it judged in between."""
    path = project.path / LEDGER

    source = SimpleNamespace(kind="marker", absolute=lambda name: project.path / name)
    keys: Any = SimpleNamespace(sources={"max_attempts": source})

    def add(_: int) -> None:
        with attempts.locked(keys):
            first_size = len(path.read_text().splitlines())
            time.sleep(0.02)
            attempts._add_line(path, str(first_size))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    assert path.read_text().splitlines() == ["0", "1", "2"]


@pytest.mark.parametrize(("number", "metric"), [(1, "accuracy"), (2, "accuracy"), (2, "f1_macro")])
def test_only_a_tenth_is_shown_and_it_never_counts(
    project: Project, number: int, metric: str
) -> None:
    for i in range(1, number):
        attempt(project, i)
    gate, tenth = attempt(project, number, metric=metric), shown(project)
    named = {example["id"] for key in ("broken_examples", "wrong") for example in gate[key]}
    assert named
    assert named <= tenth
    assert 10 < len(tenth) < 32
    assert (
        gate["n"]
        == gate["candidate"]["n_expected"]
        == gate["test_set"]["examples"]
        == 200 - len(tenth)
    )
    assert (gate["verdict"], gate["attempt"]["number"]) == ("fail", number)


def test_preview_and_page_show_only_the_tenth_and_recordings_hold_all_answers(
    project: Project,
) -> None:
    attempt(project, 1, max_attempts=2)
    project.gate_test(max_attempts=2)
    result, rows, tenth = (
        project.run("--ftgate-preview=5"),
        read_jsonl(project.path / "test.jsonl"),
        shown(project),
    )
    named = {line for line in result.outlines if line.startswith("test.jsonl:")}
    assert len(named) == 5
    assert named <= {
        f"test.jsonl:{number}" for number, row in enumerate(rows, 1) if row["id"] in tenth
    }
    assert "attempt 2 of 2, judged at 97.5 %" in result.outlines
    assert [line for line in result.outlines if "significant at 97.5 %" in line]
    assert len(ledger(project)) == 1  # it takes no attempt
    project.gate_test(max_attempts=2, margin=0.5)  # a page shows answers of a red gate
    forms = ("recordings:kept", "html:page.html", "predictions:table.jsonl")
    project.run(*(f"--ftgate-report={form}" for form in forms))
    page = (project.path / "page.html").read_text(encoding="utf-8")
    on_page = {row["id"] for row in rows if re.search(rf"{row['input']}\b", page)}
    assert on_page
    assert on_page <= tenth
    table = read_jsonl(project.path / "table.jsonl")
    assert {row["id"] for row in table} == tenth
    assert None not in {row["candidate_score"] for row in table}
    assert [len(read_jsonl(path)) for path in sorted((project.path / "kept").glob("*.jsonl"))] == [
        200,
        200,
    ]


def test_groups_stay_together_and_without_an_example_that_counts_there_is_an_error(
    project: Project,
) -> None:
    examples = {
        may_be_shown(Example("a", "x", "y", group=name)): name for name in map(str, range(60))
    }
    assert examples.keys() == {True, False}
    attempt(project, 1)
    project.test_set(200, group=lambda index: examples[True])
    mentions(stopped(attempt(project, 2, evidence="observed")), "no test example counts")


def test_what_is_shown_changes_no_verdict(project: Project) -> None:
    """A candidate that knows all of it by heart has the gain of one that has all of it wrong."""
    tenth = [int(name[1:]) for name in shown(project)]
    counted = [index for index in BETTER if index not in tenth]
    project.predictions("mended.jsonl", 200, wrong_at=counted)
    project.predictions("broken.jsonl", 200, wrong_at=[*counted, *tenth])
    gates = [project.judge(candidate=f"recorded:{name}.jsonl") for name in ("mended", "broken")]
    assert gates[0]["gain"] == gates[1]["gain"]
    assert [gate["attempt"]["number"] for gate in gates] == [1, 1]


def test_examples_that_may_be_shown_do_not_make_a_test_set_large_enough(project: Project) -> None:
    finding = check(project.judge(min_test_examples=200), "min_test_examples")
    assert (finding["status"], finding["observed"]) == ("fail", 200 - len(shown(project)))
    mentions(finding, str(len(shown(project))))


def test_without_max_attempts_other_answers_are_a_warning(project: Project) -> None:
    assert "attempts" not in statuses(attempt(project, 1, stored=True, max_attempts=...))
    finding = check(attempt(project, 2, BETTER, stored=True, max_attempts=...), "attempts")
    assert finding["status"] == "warning"
    mentions(finding, "max_attempts", "candidate")
    assert "attempts" not in statuses(attempt(project, 2, BETTER, stored=True, max_attempts=...))
    assert "attempts" not in statuses(
        attempt(project, 3, stored=True, max_attempts=..., name="another gate")
    )
    project.store("UPDATE notes SET text = 'of a later version' WHERE name LIKE 'attempt: %'")
    assert "attempts" not in statuses(attempt(project, 1, stored=True, max_attempts=...))
    project.test_set(200, input="fresh question {}".format)
    assert "attempts" not in statuses(attempt(project, 2, stored=True, max_attempts=...))
    assert not (project.path / LEDGER).exists()
    # it was green before, and gets its ledger now
    gate = passed(attempt(project, 2, BETTER, stored=True))
    assert (gate["attempt"]["number"], len(ledger(project))) == (1, 1)


def test_slices_keep_the_confidence_of_the_gate(project: Project) -> None:
    """The level of an attempt is that of a false pass; a stricter one would let a slice lose more."""
    counting = [f"t{index}" for index in range(200) if f"t{index}" not in shown(project)]
    lost = [int(name[1:]) for name in counting[:5]]
    project.test_set(200, lang=lambda index: "de" if f"t{index}" in counting[:40] else None)
    project.predictions("base.jsonl", 200, wrong_at=range(100, 200))
    project.predictions("ft.jsonl", 200, wrong_at=lost)
    keys: dict[str, Any] = {"slices": ["lang"], "evidence": "observed"}
    verdicts = []
    for most in (..., 1):
        gate = project.judge(**keys, max_attempts=most)
        (slice_result,) = (
            slice_result for slice_result in gate["slices"] if slice_result["value"] == "de"
        )
        verdicts.append(
            (slice_result["broken"], slice_result["confidence"], slice_result["verdict"])
        )
    assert verdicts == [(5, 0.975, "fail")] * 2


def test_a_red_gate_of_the_data_shows_the_gain_of_a_known_attempt_only(project: Project) -> None:
    attempt(project, 1, BETTER)
    project.training_set(100)
    first_attempt, new = attempt(project, 1, BETTER), attempt(project, 2, BETTER)
    assert [gate["verdict"] for gate in (first_attempt, new)] == ["fail", "fail"]
    assert [gate["gain"] is None for gate in (first_attempt, new)] == [False, True]
    assert len(ledger(project)) == 1
