"""The audit of the training set from end to end: each finding, red or yellow, and its near miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from gate_project import Project, check, label, refused, statuses, write_jsonl

FINDINGS = ("leaked_near", "conflicts", "near_duplicates", "labels_missing", "imbalance", "truncated", "chat_format")
NAMES = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
ITEMS = ["lamp", "carpet", "bicycle", "wardrobe", "telescope", "keyboard", "umbrella", "mattress", "saucepan", "violin"]
LEAK = "where is the parcel that I ordered last week from your shop in the old town"

Row = dict[str, Any]


def rows(n: int = 200) -> list[Row]:
    return [{"input": f"training question {i}", "expected": label(i)} for i in range(n)]


def train(project: Project, more: Sequence[Row] = (), n: int = 200) -> None:
    write_jsonl(project.path / "train.jsonl", [*rows(n), *more])


def judged(project: Project, **keys: Any) -> dict[str, Any]:
    project.gate_test(**keys)
    return project.gate()


def test_a_good_training_set_has_no_finding(project: Project) -> None:
    gate = judged(project)
    assert gate["verdict"] == "pass"
    assert not {*FINDINGS, "too_long", "label_quality", "training_size", "audit"} & statuses(gate).keys()
    assert check(gate, "leaked")["message"] == "no test example stands in the training set, not even nearly"
    assert gate["training"] == {
        **gate["training"],
        "near_duplicates": 0,
        "leaked_near": 0,
        "truncated": 0,
        "chat_errors": 0,
        "too_long": 0,
        "imbalance": 67 / 66,
        "suspicious": 0,
    }


def test_gates_on_one_training_set_have_it_audited_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_ftgate.checks import training_set as training

    audited = []
    audit = training.audit_training_set
    monkeypatch.setattr(
        training, "audit_training_set", lambda *sets, **keys: audited.append(sets) or audit(*sets, **keys)
    )
    other = project.mark(name="other")
    project.gate_test(f"def test_gate():\n    pass\n\n\n{other}\ndef test_other():\n    pass\n", name="one")
    project.run().assert_outcomes(passed=2)
    assert len(audited) == 1


# --- near copies ---------------------------------------------------------------------------------------------


def leak(project: Project, text: str, expected: str = "refund") -> None:
    """The first test example is a sentence; the last training row nearly the same."""
    test = [{"id": f"t{i}", "input": f"customer question {i}", "expected": label(i)} for i in range(60)]
    test[0]["input"] = LEAK
    write_jsonl(project.path / "test.jsonl", test)
    train(project, [{"input": text, "expected": expected}])


@pytest.mark.parametrize(
    "text",
    [
        LEAK.replace("week", "month"),
        f"Please: {LEAK}?",
        LEAK.replace("parcel", "pacrel"),
        LEAK.upper() + "!!",
        f"from your shop in the old town {LEAK.removesuffix(' from your shop in the old town')}",
    ],
)
def test_a_near_copy_of_a_test_example_is_a_leak(project: Project, text: str) -> None:
    leak(project, text)
    project.gate_test()
    message = refused(project, "fail")
    assert message == (
        "1 of 60 test examples has a near copy in the training set "
        "(resemblance of 4-character shingles at least 0.75): test.jsonl:1 ~ train.jsonl:201"
    )
    gate = project.gate()
    assert (gate["training"]["leaked"], gate["training"]["leaked_near"]) == (0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("where is the lamp that I bought last year from your shop in the new mall", "refund"),
        (LEAK.replace("week", "month"), "shipping"),
        (LEAK + " 17", "refund"),
    ],
    ids=["another sentence", "another answer", "another number"],
)
def test_what_looks_alike_is_no_leak(project: Project, text: str, expected: str) -> None:
    leak(project, text, expected)
    assert judged(project)["verdict"] == "pass"


def test_an_exact_leak_is_named_once(project: Project) -> None:
    leak(project, LEAK)
    gate = judged(project)
    assert statuses(gate)["leaked"] == "fail"
    assert gate["training"]["leaked_near"] == 0


def padded(project: Project, bases: int) -> None:
    said = ("{}", "please, {}", "{} please", "{}!!", "I ask you: {}")
    base = [f"where is the {item} that {name} ordered from your shop" for name in NAMES for item in ITEMS][:bases]
    write_jsonl(
        project.path / "train.jsonl",
        [{"input": form.format(text), "expected": "refund"} for text in base for form in said],
    )


def test_a_set_padded_with_near_copies_is_not_enough(project: Project) -> None:
    padded(project, 40)
    project.gate_test()
    gate = project.gate()
    assert gate["verdict"] == "fail"
    assert gate["models_called"] is False
    assert check(gate, "min_training_examples")["status"] == "pass"
    found = check(gate, "near_duplicates")
    assert (found["status"], found["required"]) == ("fail", 200)
    assert found["observed"] == gate["training"]["near_duplicates"] >= 160
    assert "left, 200 needed: train.jsonl:2 ~ train.jsonl:1, line 3 ~ line 1" in found["message"]


def test_near_copies_beside_enough_others_are_a_warning(project: Project) -> None:
    train(project, [{"input": LEAK, "expected": "refund"}, {"input": f"{LEAK}?", "expected": "refund"}])
    gate = judged(project)
    assert gate["verdict"] == "pass"
    found = check(gate, "near_duplicates")
    assert found["status"] == "warning"
    assert found["message"].startswith("1 of 202 usable rows is a near copy of an earlier one (resemblance ")
    assert found["message"].endswith("without them 201 are left: train.jsonl:202 ~ train.jsonl:201")
    project.result.stdout.fnmatch_lines(["*warning near_duplicates: 1 of 202 *"])


def test_the_gate_may_take_near_copies_for_examples(project: Project) -> None:
    padded(project, 40)
    for level, status in (("warn", "warning"), ("fail", "fail"), ("ignore", None)):
        gate = judged(project, audit={"near_duplicates": level})
        assert gate["verdict"] == ("fail" if level == "fail" else "pass")
        assert statuses(gate).get("near_duplicates") == status
        assert gate["training"]["near_duplicates"] >= 160
        assert ("audit" in statuses(gate)) == (level != "fail")


# --- contradictions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("conflicts", "status"), [(2, "warning"), (3, "fail")])
def test_contradictions_above_one_percent_fail(project: Project, conflicts: int, status: str) -> None:
    train(project, [{"input": f"Training question {3 * i}", "expected": "invoice"} for i in range(conflicts)])
    found = check(judged(project), "conflicts")
    assert (found["status"], found["observed"]) == (status, conflicts)
    assert "at most 1 % is tolerated" in found["message"]
    assert "train.jsonl:201 against train.jsonl:1" in found["message"]


def test_no_contradiction_is_tolerated_where_the_gate_says_so(project: Project) -> None:
    train(project, [{"input": "training question 0", "expected": "invoice"}])
    assert judged(project, audit={"conflicts": "fail"})["verdict"] == "fail"
    assert judged(project, audit={"conflicts": "warn"})["verdict"] == "pass"


# --- labels --------------------------------------------------------------------------------------------------


def test_a_label_that_the_training_set_hardly_has(project: Project) -> None:
    test = [{"id": f"t{i}", "input": f"customer question {i}", "expected": label(i)} for i in range(60)]
    test[58]["expected"], test[59]["expected"] = "rare", "absent"
    write_jsonl(project.path / "test.jsonl", test)
    train(project, [{"input": f"rare question {i}", "expected": "rare"} for i in range(4)])
    found = check(judged(project), "labels_missing")
    assert (found["status"], found["observed"]) == ("warning", 2)
    assert found["message"] == (
        "the training set has no example of 'absent' (test.jsonl:60), which the test set expects, "
        "and hardly any of 'rare' (4 rows)"
    )
    assert judged(project, audit={"labels_missing": "fail"})["verdict"] == "fail"
    train(project, [{"input": f"rare question {i}", "expected": "rare"} for i in range(5)])
    assert check(judged(project), "labels_missing")["observed"] == 1


@pytest.mark.parametrize(("count", "found"), [(7, False), (6, True)])
def test_labels_out_of_balance(project: Project, count: int, found: bool) -> None:
    train(project, [{"input": f"other question {i}", "expected": "other"} for i in range(count)])
    gate = judged(project)
    assert gate["verdict"] == "pass"
    assert ("imbalance" in statuses(gate)) == found
    if found:
        assert (
            "label 'invoice' has 67 training rows, 'other' has 6 (train.jsonl:201)"
            in check(gate, "imbalance")["message"]
        )


def test_a_label_that_all_neighbours_contradict_is_named(project: Project) -> None:
    said = ("send my {} back to me", "print a bill for the {}", "how long does a {} travel")
    more = [{"input": said[i % 3].format(item), "expected": label(i)} for item in ITEMS for i in range(3)]
    train(project, more)
    assert "label_quality" not in statuses(judged(project))
    more[3]["expected"] = "invoice"
    train(project, more)
    gate = judged(project)
    assert gate["training"]["suspicious"] == 1
    assert check(gate, "label_quality")["status"] == "note"
    assert "train.jsonl:204 ('invoice', they say 'refund')" in check(gate, "label_quality")["message"]


# --- rows ----------------------------------------------------------------------------------------------------


def test_unfinished_outputs_are_named(project: Project) -> None:
    whole = [{"input": f"training question {i}", "expected": f'{{"intent": "{label(i)}"}}'} for i in range(200)]
    cut = [{"input": "a", "expected": '{"intent": "ref'}, {"input": "b", "expected": " "}]
    write_jsonl(project.path / "train.jsonl", [*whole, *cut])
    gate = judged(project)
    assert check(gate, "truncated")["message"] == (
        "2 outputs of the training set are unfinished: train.jsonl:201 (JSON that does not end), line 202 (empty)"
    )
    assert (gate["verdict"], gate["training"]["truncated"]) == ("pass", 2)
    assert judged(project, audit={"truncated": "fail"})["verdict"] == "fail"


def chats(project: Project, roles: Sequence[str]) -> None:
    def turn(role: str, i: int) -> Row:
        return {"role": role, "content": f"{role} {i}" if role == "user" else "refund"}

    ordinary = [{"messages": [turn(role, i) for role in ("system", "user", "assistant")]} for i in range(200)]
    write_jsonl(project.path / "train.jsonl", [*ordinary, {"messages": [turn(role, 200) for role in roles]}])


def test_turns_out_of_order_are_named(project: Project) -> None:
    chats(project, ["user", "assistant", "user", "assistant"])
    assert "chat_format" not in statuses(judged(project))
    chats(project, ["user", "user", "assistant"])
    gate = judged(project)
    assert check(gate, "chat_format")["status"] == "warning"
    assert check(gate, "chat_format")["message"].endswith("train.jsonl:201 (two turns of the user in a row)")
    assert judged(project, audit={"chat_format": "fail"})["verdict"] == "fail"
    chats(project, ["system", "user"])
    assert "train.jsonl:201" in refused(project, "error")


def test_rows_over_the_token_limit_are_named(project: Project) -> None:
    train(project, [{"input": "long " * 100, "expected": "refund"}])
    assert "too_long" not in statuses(judged(project))
    gate = judged(project, audit={"max_tokens": 120})
    assert check(gate, "too_long")["message"] == (
        "1 training row has more than 120 tokens (estimated as UTF-8 bytes / 4): train.jsonl:201 (about 126)"
    )
    assert gate["training"]["too_long"] == 1


@pytest.mark.parametrize(("n", "noted"), [(2000, False), (2001, True)])
def test_more_than_two_thousand_rows_are_noted(project: Project, n: int, noted: bool) -> None:
    train(project, n=n)
    gate = judged(project)
    assert gate["verdict"] == "pass"
    assert ("training_size" in statuses(gate)) == noted


# --- the key audit -------------------------------------------------------------------------------------------


def test_what_is_loosened_is_said_whether_it_is_found_or_not(project: Project) -> None:
    gate = judged(project, audit={"leaked": "ignore", "truncated": "ignore"})
    assert gate["verdict"] == "pass"
    project.result.stdout.fnmatch_lines(["*warning audit: the training audit is loosened: leaked: ignore, *(marker)"])


@pytest.mark.parametrize(("level", "status"), [("warn", "warning"), ("ignore", "note")])
def test_loosened_failures_still_count(project: Project, level: str, status: str) -> None:
    train(project, [{"input": "Customer question 7", "expected": "refund"}], n=150)
    gate = judged(project, audit={"leaked": level, "usable": level})
    assert gate["verdict"] == "pass"
    assert (check(gate, "leaked")["status"], check(gate, "min_training_examples")["status"]) == (status, status)
    assert (gate["training"]["leaked"], gate["training"]["usable"]) == (1, 151)


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        ({"leaks": "fail"}, "audit.leaks: unknown key; did you mean 'leaked'?"),
        ({"leaked": "limit"}, "audit.leaked: must be one of 'fail', 'warn' or 'ignore', got the text 'limit'"),
        ({"max_tokens": 0}, "audit.max_tokens: must be at least 1"),
        ("fail", "audit: must be a mapping, got the text 'fail'"),
    ],
)
def test_what_cannot_be_meant_is_refused(project: Project, audit: Any, message: str) -> None:
    project.gate_test(audit=audit)
    assert refused(project, "error").startswith(f"test_gate.py:4: {message}")


def test_a_mark_that_loosens_the_audit_meets_no_obligation(project: Project) -> None:
    project.gate_file(
        "version: 1\ngates:\n  support: {test_set: test.jsonl, training_set: train.jsonl, margin: 0.05, "
        "baseline: 'recorded:base.jsonl', candidate: 'recorded:ft.jsonl'}\n"
    )
    project.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    gate = "import pytest\n@pytest.mark.ftgate('support', audit={{'conflicts': '{}'}})\ndef test_gate(): pass\n"
    project.file("test_gate.py", gate.format("fail"))
    assert project.report()["unjudged"] == []
    project.file("test_gate.py", gate.format("warn"))
    (unjudged,) = project.report()["unjudged"]
    assert unjudged["reason"].endswith("asks for less than the file: audit.conflicts: fail above a limit -> warn")
