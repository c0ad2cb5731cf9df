"""``noise``: how much the baseline disagrees with itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from endpoint_project import EndpointProject, answer, index_of
from gate_project import Project, check, mentions, wrong

from pytest_ftgate.checks.noise import SAMPLE


def test_a_steady_baseline_is_a_note(http: EndpointProject) -> None:
    gate = http.judge(noise=3)
    assert (gate["verdict"], check(gate, "noise")["status"], check(gate, "noise")["observed"]) == ("pass", "note", 0)
    calls = Counter(body["model"] for body in http.server.bodies)
    assert calls == {"base": 60 + 2 * SAMPLE, "ft": 60}


def test_a_baseline_that_differs_by_more_than_the_margin_is_a_warning(http: EndpointProject) -> None:
    """A right answer in the first of two calls, a wrong one in the second, for every fourth example."""
    seen: Counter[int] = Counter()

    def unsteady(body: dict[str, Any]) -> str:
        index = index_of(body)
        if body["model"] == "ft" or index % 4:
            return answer(body)
        seen[index] += 1
        return answer(body) if seen[index] == 1 else wrong(index)

    http.server.answer = unsteady
    found = check(http.judge(noise=2), "noise")
    assert found["status"] == "warning"
    assert 0.1 < found["observed"] < 0.3
    mentions(found, "temperature", "repeats", "seed")


def test_it_is_planned_and_recorded(http: EndpointProject) -> None:
    http.gate_test(name="g", noise=3)
    http.run("--ftgate-report=recordings:recordings")
    assert (http.path / "recordings" / "g.baseline_noise.jsonl").exists()
    http.forget()
    http.file("pytest.ini", "[pytest]\nftgate_recordings = recordings\n")
    asked = len(http.server.requests)
    assert check(http.gate("--ftgate-offline"), "noise")["status"] == "note"
    assert len(http.server.requests) == asked


def test_it_cannot_be_measured_with_recorded_answers(project: Project) -> None:
    gate = project.judge(noise=3)
    assert (gate["verdict"], check(gate, "noise")["status"]) == ("pass", "note")


def test_answers_that_are_not_recorded_have_a_cause_and_a_cure(http: EndpointProject) -> None:
    http.gate_test(name="g")
    http.run("--ftgate-report=recordings:recordings")
    http.forget()
    http.file("pytest.ini", "[pytest]\nftgate_recordings = recordings\n")
    http.gate_test(name="g", noise=3)
    found = check(http.gate("--ftgate-offline"), "noise")
    assert (found["status"], "\n" in found["message"]) == ("warning", False)
    mentions(found, "--ftgate-report=recordings")
