"""The audit of the training set: each finding, red or yellow, and its near miss."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, block, check, label, mentions, passed, statuses, stopped, write_jsonl

FINDINGS = {"leaked_near", "conflicts", "near_duplicates", "labels_missing", "imbalance", "empty_outputs"}
NAMES = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
ITEMS = ["lamp", "carpet", "bicycle", "wardrobe", "telescope", "keyboard", "umbrella", "mattress", "saucepan", "violin"]
LEAK = "where is the parcel that I ordered last week from your shop in the old town"


def test_a_good_training_set_has_no_finding(project: Project) -> None:
    gate = passed(project.judge())
    assert not {*FINDINGS, "chat_format", "too_long"} & statuses(gate).keys()


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
    fixture = "import json\n\n\n@pytest.fixture\ndef ftgate_training_set():\n"
    fixture += "    return [json.loads(line) for line in open('train.jsonl')]\n\n\n"
    both = {"training_set": ...}
    other = project.mark(name="other", **both)
    project.gate_test(f"def test_gate():\n    pass\n\n\n{fixture}{other}\ndef test_other():\n    pass\n", **both)
    project.run()
    assert len(audited) == 2


def test_the_warnings_about_one_training_set_are_shown_once(project: Project) -> None:
    project.training_set(200, [{"input": f"{LEAK}{'?' * i}", "expected": "r"} for i in range(3)])
    other = project.mark(name="other")
    project.gate_test(f"def test_gate():\n    pass\n\n\n{other}\ndef test_other():\n    pass\n", name="one")
    result = project.run()
    warnings = [line for line in result.outlines if line.startswith("  warning ")]
    assert len(warnings) > 1
    assert len(warnings) == len(set(warnings))
    result.stdout.fnmatch_lines(["training set: * warnings, as for gate one"])


# --- near copies ---------------------------------------------------------------------------------------------


def leak(project: Project, text: str, expected: str = "refund") -> dict[str, Any]:
    """Make the first test example a sentence, and the last training row nearly the same."""
    project.test_set(60, input=lambda i: f"customer question {i}" if i else LEAK)
    project.training_set(200, [{"input": text, "expected": expected}])
    return project.judge()


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
    gate = leak(project, text)
    found = stopped(gate, "fail")
    assert (found["name"], found["observed"], found["required"]) == ("leaked_near", 1, 0)
    mentions(found, "test.jsonl:1", "train.jsonl:201", "75 %")
    assert gate["training"]["leaked"] == 0


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
    assert leak(project, text, expected)["verdict"] == "pass"


def test_an_exact_leak_is_named_once(project: Project) -> None:
    gate = leak(project, LEAK)
    assert stopped(gate, "fail")["name"] == "leaked"
    assert "leaked_near" not in statuses(gate)


def test_every_training_row_to_remove_is_named_at_once(project: Project) -> None:
    """Without the named rows the audit finds nothing: neither repeats, nor copies behind an exact one, come later."""
    copies = [LEAK, LEAK, LEAK.upper(), f"{LEAK}!", f"please: {LEAK}", LEAK.replace("week", "month"), f"so, {LEAK}"]
    project.test_set(60, input=lambda i: f"customer question {i}" if i > 1 else LEAK if i else f"Hello, {LEAK}")
    project.training_set(200, [{"input": text, "expected": "refund"} for text in copies])
    gate = project.judge()
    training = gate["training"]
    assert (training["leaked"], check(gate, "leaked_near")["observed"]) == (1, 2)
    named = {pair["other"] for pair in (*training["leaked_pairs"], *training["near_pairs"])}
    assert named == {f"train.jsonl:{line}" for line in range(201, 208)}
    assert {pair["row"] for pair in training["near_pairs"]} == {"test.jsonl:1", "test.jsonl:2"}
    mentions(check(gate, "leaked"), "these 3", "train.jsonl:201", "train.jsonl:202", "train.jsonl:203")
    shown = "\n".join(block(gate, verbose=True))
    for pair in training["near_pairs"]:
        assert f"{pair['row']} ~ {pair['other']}: {pair['text']!r} and {pair['other_text']!r}" in shown


def test_a_set_padded_with_near_copies_is_not_enough_unless_the_gate_takes_them(project: Project) -> None:
    said = ("{}", "please, {}", "{} please", "{}!!", "I ask you: {}")
    base = [f"where is the {item} that {name} ordered from your shop" for name in NAMES for item in ITEMS][:40]
    project.training_set(0, [{"input": form.format(text), "expected": "refund"} for text in base for form in said])
    for level, status in (("limit", "fail"), ("fail", "fail"), ("warn", "warning"), ("ignore", "note")):
        gate = project.judge(checks={} if level == "limit" else {"near_duplicates": level})
        assert (gate["verdict"], gate["models_called"]) == (("fail", False) if status == "fail" else ("pass", True))
        assert statuses(gate).get("near_duplicates") == status
        assert statuses(gate)["min_training_examples"] == "pass"
        if status == "fail":
            found = check(gate, "near_duplicates")
            assert (found["observed"] >= 160, found["required"]) == (True, 200)
            mentions(found, "train.jsonl:2")


def test_near_copies_beside_enough_others_are_a_warning(project: Project) -> None:
    project.training_set(200, [{"input": text, "expected": "refund"} for text in (LEAK, f"{LEAK}?")])
    gate = passed(project.judge())
    found = check(gate, "near_duplicates")
    assert (found["status"], found["observed"], found["required"]) == ("warning", 1, None)
    mentions(found, "201", "train.jsonl:202", "line 201")
    assert any("near_duplicates" in line for line in block(gate))


# --- contradictions and labels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conflicts", "level", "status"),
    [(2, None, "warning"), (3, None, "fail"), (1, "fail", "fail"), (3, "warn", "warning")],
)
def test_contradictions_above_one_percent_fail(
    project: Project, conflicts: int, level: str | None, status: str
) -> None:
    more = [{"input": f"Training question {3 * i}", "expected": "invoice"} for i in range(conflicts)]
    project.training_set(200, more)
    gate = project.judge(checks={"conflicts": level} if level else {})
    found = check(gate, "conflicts")
    assert (gate["verdict"], found["status"]) == ("fail" if status == "fail" else "pass", status)
    assert found["observed"] == conflicts
    mentions(found, "train.jsonl:201")
    assert ("1 %" in found["message"]) is (level is None)


def test_a_label_that_the_training_set_hardly_has(project: Project) -> None:
    project.test_set(60, expected=lambda i: {58: "rare", 59: "absent"}.get(i, label(i)))
    rare = [{"input": f"rare question {i}", "expected": "rare"} for i in range(5)]
    project.training_set(200, rare[:4])
    gate = project.judge()
    found = check(gate, "labels_missing")
    assert (gate["verdict"], found["status"], found["observed"]) == ("pass", "warning", 2)
    mentions(found, "'absent' (test.jsonl:60)", "'rare' (4 rows)")
    assert stopped(project.judge(checks={"labels_missing": "fail"}), "fail")["name"] == "labels_missing"
    project.training_set(200, rare)
    assert check(project.judge(), "labels_missing")["observed"] == 1


@pytest.mark.parametrize(("count", "found"), [(7, False), (6, True)])
def test_labels_out_of_balance(project: Project, count: int, found: bool) -> None:
    project.training_set(200, [{"input": f"other question {i}", "expected": "other"} for i in range(count)])
    gate = passed(project.judge())
    assert ("imbalance" in statuses(gate)) == found
    if found:
        imbalance = check(gate, "imbalance")
        assert (imbalance["observed"], imbalance["required"]) == (67 / 6, 10)
        mentions(imbalance, "'invoice'", "67", "'other'", "train.jsonl:201")


# --- rows ----------------------------------------------------------------------------------------------------


def test_empty_outputs_are_named(project: Project) -> None:
    project.training_set(200, [{"input": "a", "expected": ""}, {"input": "b", "expected": " "}])
    gate = project.judge()
    found = check(gate, "empty_outputs")
    assert (gate["verdict"], found["status"], found["observed"]) == ("pass", "warning", 2)
    mentions(found, "train.jsonl:201", "train.jsonl:202")
    assert stopped(project.judge(checks={"empty_outputs": "fail"}), "fail")["name"] == "empty_outputs"


def test_turns_out_of_order_are_named(project: Project) -> None:
    def chats(*roles: str) -> dict[str, Any]:
        """200 rows in order, and one of these roles."""
        rows = [
            {"messages": [{"role": role, "content": f"{role} {i}" if role == "user" else "refund"} for role in turns]}
            for i, turns in enumerate([("system", "user", "assistant")] * 200 + [roles])  # type: ignore[list-item]
        ]
        write_jsonl(project.path / "train.jsonl", rows)
        return project.judge()

    assert "chat_format" not in statuses(chats("user", "assistant", "user", "assistant"))
    found = check(chats("user", "user", "assistant"), "chat_format")
    assert (found["status"], found["observed"]) == ("warning", 1)
    mentions(found, "train.jsonl:201")
    assert stopped(project.judge(checks={"chat_format": "fail"}), "fail")["name"] == "chat_format"
    mentions(stopped(chats("system", "user")), "train.jsonl:201")


def test_rows_over_the_token_limit_are_named(project: Project) -> None:
    project.training_set(200, [{"input": "long " * 100, "expected": "refund"}])
    assert "too_long" not in statuses(project.judge())
    gate = project.judge(training_set={"path": "train.jsonl", "max_tokens": 120})
    found = check(gate, "too_long")
    assert (found["status"], found["observed"], found["required"]) == ("warning", 1, 120)
    assert found["threshold"] == {"key": "training_set.max_tokens", "value": 120, "weaker": "higher"}
    mentions(found, "train.jsonl:201", "126")


# --- the key checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "status"), [("warn", "warning"), ("ignore", "note")])
def test_a_finding_that_is_accepted_still_counts(project: Project, level: str, status: str) -> None:
    project.training_set(200, [{"input": "Customer question 7", "expected": "refund"}])
    gate = passed(project.judge(checks={"leaked": level}))
    found = check(gate, "leaked")
    assert (found["status"], found["source"], gate["training"]["leaked"]) == (status, "marker", 1)


def test_a_mark_that_loosens_the_audit_meets_no_obligation(required: Project) -> None:
    required.marked("'support', checks={'conflicts': 'fail'}")
    assert required.report()["unjudged"] == []
    required.marked("'support', checks={'conflicts': 'warn'}")
    (unjudged,) = required.report()["unjudged"]
    assert "checks.conflicts" in unjudged["reason"]


def test_copies_within_the_test_set_count_as_one_group(project: Project) -> None:
    """Ten questions in six spellings are ten groups, which join written groups."""
    said = ("{}", "please, {}", "{} please", "{}!!", "hello, {}", "so, {}")

    def asked(i: int) -> str:
        return said[i % 6].format(f"where is the {ITEMS[i // 6]} that {NAMES[i // 6]} ordered from your shop")

    project.test_set(60, input=asked, expected=lambda i: label(i // 6))
    for name, wrong_at in (("base.jsonl", [i for i in range(60) if i % 6 < 2 + i // 6 % 3]), ("ft.jsonl", ())):
        project.predictions(
            name, 60, wrong_at=wrong_at, output=lambda i, at=wrong_at: "x" if i in at else label(i // 6)
        )
    gate = passed(project.judge())
    warned = check(gate, "test_near_duplicates")
    assert (warned["status"], warned["observed"]) == ("warning", 50)
    mentions(warned, "test.jsonl:2 ~ line 1")
    assert len(gate["test_set"]["near_pairs"]) == 50
    assert "group" in gate["method"]
    project.test_set(60, input=asked, expected=lambda i: label(i // 6), group=lambda i: f"customer {i // 12}")
    assert check(project.judge(), "groups")["observed"] == 5
    assert statuses(project.judge(checks={"test_near_duplicates": "ignore"}))["test_near_duplicates"] == "note"


def test_test_examples_that_differ_in_an_id_count_as_one_group(project: Project) -> None:
    """Fifteen wins on one message under fifteen ticket numbers are one win, as they would be one leak."""
    messages = [f"the {ITEMS[i % 10]} of {NAMES[i // 10]} {NAMES[i % 7]} never came" for i in range(45)]
    messages += [f"ticket #{48211 + i}: my card was charged twice for it" for i in range(15)]
    project.test_set(60, input=messages.__getitem__, expected=lambda i: label(i) if i < 45 else "invoice")
    for name, said in (("base.jsonl", "refund"), ("ft.jsonl", "invoice")):
        project.predictions(name, 60, output=lambda i, said=said: label(i) if i < 45 else said)
    gate = project.judge()
    assert gate["passed"] is False
    assert check(gate, "test_near_duplicates")["observed"] == 14


def test_a_group_in_both_sets_is_a_warning(project: Project) -> None:
    project.test_set(60, group=lambda i: f"customer {i}")
    project.training_set(200, [{"input": "one more question", "expected": "refund", "group": "customer 7"}])
    gate = project.judge()
    warned = check(gate, "group_overlap")
    assert (gate["verdict"], warned["status"], warned["observed"]) == ("pass", "warning", 1)
    mentions(warned, "customer 7", "test.jsonl:8", "train.jsonl:201")
    assert stopped(project.judge(checks={"group_overlap": "fail"}), "fail")["name"] == "group_overlap"
