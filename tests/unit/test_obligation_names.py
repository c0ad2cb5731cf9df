from __future__ import annotations

import pytest

from pytest_ftgate.plugin.obligations import Seen, Unmet, find_unmet
from pytest_ftgate.result import GateResult

FILE = ("intents", "other")


def judged(name: str, verdict: str = "pass", **facts: object) -> GateResult:
    return GateResult(name, f"test_gate.py::test_{name}", verdict, gate=name, **facts)  # type: ignore[arg-type]


def test_a_gate_that_passed_owes_nothing() -> None:
    assert find_unmet(["intents"], [judged("intents")], Seen(), in_file=FILE) == []


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(), "no collected test has this marker"),
        (
            Seen(collected={"intents"}),
            "its test was collected but not judged: the run stopped early, or a worker crashed",
        ),
        (Seen(deselected={"intents"}), "its test was deselected (-k, -m, --deselect, --lf or the like)"),
        (Seen(collected={"intents"}, skipped={"intents": "later"}), "its test was skipped: later"),
    ],
)
def test_an_absent_gate_says_why(seen: Seen, reason: str) -> None:
    assert find_unmet(["intents"], [judged("other")], seen, in_file=FILE) == [Unmet("intents", reason)]


def test_an_unknown_gate_suggests_one_of_the_file_or_of_a_marker() -> None:
    seen = Seen(tests={"orders": {"test_a"}})
    reasons = [one.reason for one in find_unmet(["intnts", "order", "x"], [], seen, in_file=FILE)]
    assert ["'intents'" in reasons[0], "'orders'" in reasons[1], "did you mean" in reasons[2]] == [True, True, False]


def test_every_judged_test_must_pass() -> None:
    found = find_unmet(["intents"], [judged("intents"), judged("intents", "inconclusive")], Seen(), in_file=FILE)
    assert found == [Unmet("intents", "the verdict of test_gate.py::test_intents is inconclusive", shown=True)]


def test_a_mark_may_not_loosen_the_file() -> None:
    found = find_unmet(["intents"], [judged("intents", loosened=("margin: 0.1 -> 0.01",))], Seen(), in_file=FILE)
    assert found[0].reason == "test_gate.py::test_intents requires less than the gate file: margin: 0.1 -> 0.01"


def test_another_gate_cannot_take_the_name_of_one_in_the_file() -> None:
    impostor = GateResult("intents", "test_gate.py::test_x", "pass", gate="easy")
    assert find_unmet(["intents"], [impostor], Seen(), in_file=FILE) == [
        Unmet("intents", "test_gate.py::test_x is a different gate with that name")
    ]


@pytest.mark.parametrize("judged_id", ["a[1]/test_gate.py::test_orders", "a[1]/test_gate.py::test_orders[x::y]"])
def test_a_name_of_marks_alone_is_owed_by_every_test_that_carries_it(judged_id: str) -> None:
    found = [GateResult("orders", judged_id, "pass")]
    seen = Seen(tests={"orders": {"a[1]/test_gate.py::test_orders"}})
    assert find_unmet(["orders"], found, seen, in_file=FILE) == []
    seen.see("a[1]/test_gate.py::test_orders_2", "orders", deselected=True)
    assert find_unmet(["orders"], found, seen, in_file=FILE) == [
        Unmet("orders", "a[1]/test_gate.py::test_orders_2 has this gate too and was not judged")
    ]


def test_what_a_worker_saw_adds_up() -> None:
    seen = Seen(collected={"a"}, tests={"a": {"one"}})
    worker = Seen(collected={"b"}, deselected={"c"}, skipped={"d": "why"}, tests={"a": {"two"}}, broken={"e"})
    seen.add(worker.to_plain())
    assert seen == Seen({"a", "b"}, {"c"}, {"d": "why"}, {"a": {"one", "two"}}, {"e"})
