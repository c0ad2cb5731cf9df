"""The audit of the training set: each finding, red or yellow, and its near miss."""

import json
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import (
    Project,
    block,
    check,
    checks,
    ends,
    label,
    mentions,
    passed,
    read_jsonl,
    statuses,
    stopped,
    write_jsonl,
    wrong,
)
from judge_project import ServedJudged
from loopback import LoopbackServer

NAMES = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
NAMES += ["Karin", "Lars", "Meera", "Nadia", "Oskar"]
ITEMS = [
    "lamp",
    "carpet",
    "bicycle",
    "wardrobe",
    "telescope",
    "keyboard",
    "umbrella",
    "mattress",
    "saucepan",
    "violin",
]
ITEMS += ["armchair", "blanket", "hammock", "trumpet", "backpack"]
LEAK = "where is the parcel that I ordered last week from your shop in the old town"


# observed, required, and the status where the gate says nothing: below 1 % of the rows a note
FOUND = {
    "leaked": (1, 0, "fail"),
    "leaked_near": (1, 0, "fail"),
    "conflicts": (1, None, "warning"),
    "near_duplicates": (1, None, "note"),
    "group_overlap": (1, None, "warning"),
    "labels_missing": (2, None, "warning"),
    "imbalance": (18, 10, "warning"),
    "empty_outputs": (2, None, "note"),
    "too_long": (1, 120, "note"),
    "chat_format": (1, None, "note"),
}
ROWS = [
    *({"input": f"a new question {i}", "expected": label(i)} for i in range(200)),
    {"input": "Customer question 7", "expected": label(7)},
    {"input": LEAK.replace("week", "month"), "expected": "refund"},
    {"input": "A new question 0", "expected": "invoice"},
    *(
        {"input": f"my {article} is not what I had expected it to be", "expected": "refund"}
        for article in ("hat", "hats")
    ),
    {"input": "one more question", "expected": "refund", "group": "customer 3"},
    *({"input": f"rare question {i}", "expected": "rare"} for i in range(4)),
    *({"input": text, "expected": " "} for text in ("a", "b")),
    {"input": "long " * 100, "expected": "refund"},
    {
        "input": [{"role": "user", "content": f"what I {word}"} for word in ("say", "add")],
        "expected": "invoice",
    },
]
STATUS = {"fail": "fail", "warn": "warning", "ignore": "note"}


def test_a_good_training_set_has_no_finding(project: Project) -> None:
    gate = passed(project.judge())
    assert not {*FOUND} - {"leaked"} & statuses(gate).keys()
    assert statuses(gate)["leaked"] == "pass"


@pytest.mark.parametrize("level", [None, *STATUS])
def test_each_finding_is_judged_as_the_gate_says(project: Project, level: str | None) -> None:
    """What is accepted still counts."""
    answers = {0: "refund", 57: "rare", 58: "absent", 59: "refnud"}
    project.test_set(
        60,
        input=lambda i: f"customer question {i}" if i else LEAK,
        group=lambda i: f"customer {i}",
        expected=lambda i: answers.get(i, label(i)),
    )
    write_jsonl(project.path / "train.jsonl", ROWS)
    keys = {"checks": dict.fromkeys(FOUND, level)} if level else {}
    gate = project.judge(training_set={"path": "train.jsonl", "max_tokens": 120}, **keys)
    ends(gate, "fail" if level in (None, "fail") else "pass")
    for name, (observed, required, usual) in FOUND.items():
        finding = check(gate, name)
        status = STATUS[level] if level else usual
        assert (finding["name"], finding["status"], finding["observed"]) == (name, status, observed)
        assert (finding["required"], gate["training"]["leaked"]) == (required, 1)
    assert check(gate, "leaked")["source"] == "marker"
    assert check(gate, "too_long")["threshold"] == {"key": "training_set.max_tokens", "value": 120}
    mentions(check(gate, "labels_missing"), "'absent' (test.jsonl:59)")
    mentions(check(gate, "labels_missing"), "'refnud' (test.jsonl:60; did you mean 'refund'?)")
    mentions(check(gate, "group_overlap"), "customer 3", "test.jsonl:4")
    mentions(check(gate, "chat_format"), "train.jsonl:214")


@pytest.mark.parametrize(
    ("tested", "trained", "named"),
    [
        ("card_losts", "card_lost", "did you mean 'card_lost'?"),
        ("card_loan", "card_lost", "of 'card_loan' (test.jsonl:1)"),
        ("+", "-", "of '+' (test.jsonl:1)"),
    ],
)
def test_labels_that_are_written_in_another_way(
    project: Project, tested: str, trained: str, named: str
) -> None:
    project.test_set(60, expected=lambda i: label(i) if i else tested)
    names = [trained if i % 4 == 3 else label(i) for i in range(240)]
    project.training_set(
        0,
        (
            {"input": f"what a person once asked {i}", "expected": name}
            for i, name in enumerate(names)
        ),
    )
    mentions(check(project.judge(), "labels_missing"), named, "misspelt")


@pytest.mark.parametrize(("form", "first"), [("intent/{}", "'intent/refund'"), ("{:.1}", "'r'")])
def test_no_label_of_the_test_set_in_the_training_set_fails(
    project: Project, form: str, first: str
) -> None:
    rows = [
        {"input": f"what a person once asked {i}", "expected": form.format(label(i))}
        for i in range(240)
    ]
    project.training_set(0, rows)
    gate = project.judge()
    finding = stopped(gate, "fail")
    assert (finding["name"], finding["observed"], finding["required"]) == ("labels_in_common", 3, 0)
    mentions(
        finding,
        "'refund' (test.jsonl:1)",
        "'invoice' (test.jsonl:2)",
        f"{first} (80 rows)",
        "alike",
    )
    assert "labels_missing" not in statuses(gate)
    assert "labels_in_common" not in statuses(project.judge(metric="rouge_l"))  # of texts
    accepted = passed(project.judge(checks={"labels_in_common": "warn"}))
    assert statuses(accepted)["labels_in_common"] == "warning"


def test_labels_that_differ_in_case_alone_are_in_common(project: Project) -> None:
    rows = [
        {"input": f"what a person once asked {i}", "expected": label(i).upper()} for i in range(240)
    ]
    project.training_set(0, rows)
    assert {"labels_in_common", "labels_missing"}.isdisjoint(statuses(passed(project.judge())))
    gate = project.judge(metric={"name": "accuracy", "normalize": []})
    assert statuses(gate)["labels_missing"] == "warning"


def test_gates_on_one_training_set_have_it_audited_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_ftgate.gate import state as training

    audited, audit = [], training.audit_training_set
    monkeypatch.setattr(
        training,
        "audit_training_set",
        lambda *sets, **keys: audited.append(sets) or audit(*sets, **keys),
    )
    fixture = (
        "@pytest.fixture\ndef ftgate_training_set():\n"
        "    return [json.loads(line) for line in Path('train.jsonl').read_text().splitlines()]\n"
    )
    for source, keys in (("", {}), (fixture, {"training_set": ...})):
        tests = (
            f"{project.mark(name=name, **keys)}\ndef test_{name}(): pass\n"
            for name in ("one", "other")
        )
        project.file(
            "test_gate.py",
            f"import json, pytest\nfrom pathlib import Path\n{source}{''.join(tests)}",
        )
        project.run().assert_outcomes(passed=2)
    assert len(audited) == 2


# --- near copies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        (LEAK.replace("week", "month"), "refund", "leaked_near"),
        (LEAK, "refund", "leaked"),
        (
            "where is the lamp that I bought last year from your shop in the new mall",
            "refund",
            None,
        ),
        (LEAK.replace("week", "month"), "shipping", None),  # another answer
        (LEAK.replace("week", "month") + " 17", "refund", None),  # another number
        (f"please tell me {LEAK}, or when it comes", "shipping", "leaked"),  # within a longer one
    ],
)
def test_a_copy_of_a_test_example_is_a_leak(
    project: Project, text: str, expected: str, name: str | None
) -> None:
    """The first test example is a sentence, and the last training row nearly the same; it is named once."""
    project.test_set(60, input=lambda i: f"customer question {i}" if i else LEAK)
    project.training_set(200, [{"input": text, "expected": expected}])
    gate = project.judge()
    assert gate["training"]["leaked"] == (name == "leaked")
    if name is None:
        passed(gate)
        return
    finding = stopped(gate, "fail")
    assert (finding["name"], finding["observed"], finding["required"]) == (name, 1, 0)
    mentions(finding, "test.jsonl:1", "train.jsonl:201", *(["75 %"] * (name == "leaked_near")))
    assert [
        check["name"]
        for check in gate["checks"]
        if check["name"].startswith("leaked") and check["status"] == "fail"
    ] == [name]


def test_every_training_row_to_remove_is_named_at_once(project: Project) -> None:
    """Without the named rows the audit finds nothing: neither repeats, nor copies behind an exact one, come later."""
    copies = [
        LEAK,
        LEAK,
        LEAK.upper(),
        f"{LEAK}!",
        f"please: {LEAK}",
        LEAK.replace("week", "month"),
        f"so, {LEAK}",
    ]
    project.test_set(
        60, input=lambda i: f"customer question {i}" if i > 1 else LEAK if i else f"Hello, {LEAK}"
    )
    project.training_set(200, [{"input": text, "expected": "refund"} for text in copies])
    gate = project.judge()
    training = gate["training"]
    assert (training["leaked"], check(gate, "leaked_near")["observed"]) == (1, 1)
    named = {pair["other"] for pair in (*training["leaked_pairs"], *training["near_pairs"])}
    assert named == {f"train.jsonl:{line}" for line in range(201, 208)}
    mentions(
        check(gate, "leaked"),
        "train.jsonl:201",
        "train.jsonl:202",
        "train.jsonl:203 and 3 more pairs",
    )
    printed = "\n".join(block(gate, verbose=True))
    for pair in training["near_pairs"]:
        assert (
            f"{pair['row']} ~ {pair['other']}: {pair['text']!r} and {pair['other_text']!r}"
            in printed
        )


def test_a_set_padded_with_near_copies_is_not_enough_unless_the_gate_takes_them(
    project: Project,
) -> None:
    templates = ("{}", "please, {}", "{} please", "{}!!", "I ask you: {}")
    base = [
        f"where is the {item} that {name} ordered from your shop"
        for name in NAMES
        for item in ITEMS
    ][:40]
    project.training_set(
        0,
        [{"input": form.format(text), "expected": "refund"} for text in base for form in templates],
    )
    for level, status in (
        ("limit", "fail"),
        ("fail", "fail"),
        ("warn", "warning"),
        ("ignore", "note"),
    ):
        gate = project.judge(checks={} if level == "limit" else {"near_duplicates": level})
        assert (gate["verdict"], gate["models_called"]) == (
            ("fail", False) if status == "fail" else ("pass", True)
        )
        assert statuses(gate).get("near_duplicates") == status
        assert statuses(gate)["min_training_examples"] == "pass"
        if status == "fail":
            finding = check(gate, "near_duplicates")
            assert (finding["observed"] >= 160, finding["required"]) == (True, 200)
            mentions(finding, "train.jsonl:2")
    # all are too few
    assert statuses(project.judge(min_training_examples=201))["near_duplicates"] == "warning"


def test_leaked_rows_of_python_data_are_named_as_python_counts(project: Project) -> None:
    """The cure of exact leaks is read once."""
    copies = [
        {"input": text, "expected": "refund"} for text in (LEAK, LEAK.replace("week", "month"))
    ]
    project.training_set(200, copies)
    rows = [{"input": f"customer question {i}", "expected": label(i)} for i in range(59)]
    project.test_set(0)
    gate = project.judge(
        training_set=read_jsonl(project.path / "train.jsonl"), test_set=[*rows, copies[0]]
    )
    leaked, near = check(gate, "leaked"), check(gate, "leaked_near")
    mentions(leaked, "test_set[59] = training_set[200]")
    mentions(
        near,
        "test_set[59] ~ training_set[201]",
        "leaked_near: warn",
    )
    assert leaked["cure"] not in near["cure"]


@pytest.mark.parametrize(
    ("expected", "hint"), [("refund", "pytest_ftgate dedupe"), ("other", "right")]
)
def test_a_repeated_test_input_says_whether_the_outputs_differ(
    project: Project, expected: str, hint: str
) -> None:
    rows = [{"input": f"customer question {i}", "expected": label(i)} for i in range(60)]
    write_jsonl(
        project.path / "test.jsonl", [*rows, {"input": "Customer question 0", "expected": expected}]
    )
    finding = stopped(project.judge(), "error")
    mentions(finding, "test.jsonl:61", "line 1", hint)


# --- the gain of answers that are known --------------------------------------------------------------------------

LEAKED = [{"input": "Customer question 7", "expected": label(7)}]
UNFIT = {
    "leaked": (LEAKED, {}, "pytest_ftgate dedupe"),
    "leaked_near": (
        [{"input": LEAK.replace("week", "month"), "expected": "refund"}],
        {},
        "checks: {leaked_near: warn}",
    ),
    "conflicts": (
        [{"input": f"training question {3 * i}", "expected": "no"} for i in range(3)],
        {},
        "conflicts: warn",
    ),
    "min_training_examples": ([], {"min_training_examples": 201}, "Add 1 distinct example"),
    "min_test_examples": ([], {"min_test_examples": 61}, "Label 1 more test example"),
    "imbalance": (
        [{"input": "x", "expected": "other"}],
        {"checks": {"imbalance": "fail"}},
        "rare labels",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_where_the_data_fail_recorded_answers_still_show_the_gain(
    project: Project, name: str
) -> None:
    rows, keys, fix = UNFIT[name]
    project.test_set(60, input=lambda i: f"customer question {i}" if i else LEAK)
    project.training_set(200, rows)
    gate = project.judge(stored=True, **keys)
    assert (stopped(gate, "fail")["name"], gate["gain"], gate["fixed"]) == (name, 16 / 60, 18)
    assert [check["name"] for check in gate["checks"] if check["status"] == "fail"] == [name]
    mentions(check(gate, name), fix)
    lines = block(gate)
    places = [
        lines.index(next(line for line in lines if fragment in line))
        for fragment in (name, "gain +26.7", "ft.jsonl")
    ]
    assert places == sorted(places)
    assert not project.store("SELECT name FROM notes WHERE name LIKE 'green: %'")
    project.lose()
    gate = project.judge(**keys)
    assert [check["name"] for check in gate["checks"] if check["status"] == "fail"] == [
        name,
        "margin",
    ]
    assert name in block(gate)[1]


def test_a_gain_beside_unfit_data_runs_no_body_and_stands_below_them_in_all_reports(
    project: Project,
) -> None:
    project.training_set(200, LEAKED)
    project.gate_test("def test_gate():\n    raise RuntimeError\n")
    reports = [
        f"--ftgate-report={report}"
        for report in ("html:report.html", "markdown:report.md", "recordings:kept")
    ]
    assert stopped(project.gate(*reports), "fail")["name"] == "leaked"
    project.result.assert_outcomes(failed=1)
    assert "RuntimeError" not in project.result.stdout.str()
    for report in ("report.html", "report.md"):
        text = (project.path / report).read_text(encoding="utf-8")
        assert text.index("train.jsonl:201") < text.index("+26.7")
    assert not (project.path / "kept").exists()


def test_stored_and_committed_answers_show_the_gain_without_a_call_if_none_is_missing(
    http: EndpointProject,
) -> None:
    http.gate_test()
    http.run("--ftgate-report=recordings:recorded")
    http.forget()
    http.training_set(200, LEAKED)
    for revision, gain in (("1", 16 / 60), ("2", None)):
        gate = http.judge(stored=True, candidate=http.model("ft", revision=revision))
        assert (stopped(gate, "fail")["name"], gate["gain"]) == ("leaked", gain)
        assert (gate["candidate"]["value"] is None) is (gain is None)
    http.judge(
        stored=True, candidate="recorded:ft.jsonl", baseline=http.model("base", revision="2")
    )
    http.ini["ftgate_recordings"] = "recorded"
    gate = http.judge()
    assert (stopped(gate, "fail")["name"], gate["gain"], http.server.bodies) == (
        "leaked",
        16 / 60,
        [],
    )


def test_judges_are_not_asked_where_the_data_fail(
    pytester: pytest.Pytester, server: LoopbackServer
) -> None:
    served = ServedJudged(pytester, server)
    served.training_set(200, LEAKED)
    served.by(gate={"checks": {"leaked": "warn"}})
    served.forget()
    gate = served.by()
    assert (stopped(gate, "fail")["name"], gate["gain"] > 0) == ("leaked", True)
    gate = served.by(rubric="Another one.")
    assert (stopped(gate, "fail")["name"], gate["gain"], served.server.bodies) == (
        "leaked",
        None,
        [],
    )


def test_only_an_attempt_that_counts_shows_its_gain_where_the_data_fail(project: Project) -> None:
    """Otherwise unfit data would show the gains of any number of candidates; and such a verdict is no attempt."""
    limited: dict[str, Any] = {"max_attempts": 3, "min_training_examples": 201}
    assert project.judge(**limited)["gain"] is None
    first = passed(project.judge(max_attempts=3))
    ledger = (project.path / "ftgate-attempts.jsonl").read_text()
    assert (first["attempt"]["number"], project.judge(**limited)["gain"]) == (1, first["gain"])
    project.lose()
    assert (project.judge(**limited)["gain"], project.judge(min_training_examples=201)["gain"]) == (
        None,
        -1 / 60,
    )
    assert (project.path / "ftgate-attempts.jsonl").read_text() == ledger


def test_answers_that_cannot_be_judged_leave_unfit_data_as_they_are(project: Project) -> None:
    project.training_set(200, LEAKED)
    gate = project.judge(max_age_days=1)  # undated
    assert (stopped(gate, "fail")["name"], gate["gain"]) == ("leaked", None)
    assert (project.judge()["gain"], project.judge(goal="knowledge")["gain"]) == (16 / 60, None)
    project.predictions("ft.jsonl", 59)
    assert project.judge(missing_answers="wrong")["gain"] is None


# --- contradictions and labels -------------------------------------------------------------------------------


CONTRADICTING = [{"input": f"Training question {3 * i}", "expected": "invoice"} for i in range(3)]
OTHERS = [{"input": f"other question {i}", "expected": "other"} for i in range(7)]


@pytest.mark.parametrize(
    ("extra_rows", "verdict", "name", "location"),
    [
        (CONTRADICTING[:2], "pass", "conflicts", [("warning", 2)]),
        (CONTRADICTING, "fail", "conflicts", [("fail", 3)]),  # more than 1 %
        (OTHERS, "pass", "imbalance", []),
        (OTHERS[:6], "pass", "imbalance", [("warning", 67 / 6)]),
    ],
)
def test_where_a_finding_begins(
    project: Project, extra_rows: Any, verdict: str, name: str, location: Any
) -> None:
    project.training_set(200, extra_rows)
    gate = ends(project.judge(), verdict)
    assert [(check["status"], check["observed"]) for check in checks(gate, name)] == location


# --- the key checks ------------------------------------------------------------------------------------------


def test_copies_within_the_test_set_count_as_one_group(project: Project) -> None:
    """Fifteen questions in four spellings are fifteen groups, which join written groups."""
    spellings = ("{}", "please, {}", "{} please", "{}!!")

    def asked(i: int) -> str:
        return spellings[i % 4].format(
            f"where is the {ITEMS[i // 4]} that {NAMES[i // 4]} ordered from your shop"
        )

    project.test_set(60, input=asked, expected=lambda i: label(i // 4))
    for name, wrong_at in (
        ("base.jsonl", [i for i in range(60) if i % 4 < 2 + i // 4 % 2]),
        ("ft.jsonl", ()),
    ):
        project.predictions(
            name,
            60,
            wrong_at=wrong_at,
            output=lambda i, wrong_rows=wrong_at: label(i // 4 + (i in wrong_rows)),
        )
    gate = passed(project.judge(checks={"weak_baseline": "ignore"}))
    warned = check(gate, "test_near_duplicates")
    assert (warned["status"], warned["observed"]) == ("warning", 45)
    mentions(warned, "test.jsonl:2 ~ line 1")
    assert "group" in gate["method"]
    project.test_set(
        60, input=asked, expected=lambda i: label(i // 4), group=lambda i: f"customer {i // 12}"
    )
    assert check(project.judge(), "min_fixed")["observed"] == 5
    assert (
        statuses(project.judge(checks={"test_near_duplicates": "ignore"}))["test_near_duplicates"]
        == "note"
    )


def test_test_examples_that_differ_in_an_id_count_as_one_group(project: Project) -> None:
    """Fifteen wins on one message under fifteen ticket numbers are one win, as they would be one leak."""
    messages = [
        f"the {ITEMS[i % 10]} of {NAMES[i // 10]} {NAMES[i % 7]} never came" for i in range(45)
    ]
    messages += [f"ticket #{48211 + i}: my card was charged twice for it" for i in range(15)]
    project.test_set(
        60, input=messages.__getitem__, expected=lambda i: label(i) if i < 45 else "invoice"
    )
    rows = []
    for i in range(200):
        text = f"{NAMES[i // 70]} asks {NAMES[i // 10 % 7]} where the {ITEMS[i % 10]} is"
        rows.append({"input": text, "expected": label(i)})
    write_jsonl(project.path / "train.jsonl", rows)
    for name, word in (("base.jsonl", "refund"), ("ft.jsonl", "invoice")):
        project.predictions(name, 60, output=lambda i, word=word: label(i) if i < 45 else word)
    gate = project.judge()
    assert gate["passed"] is False
    assert check(gate, "test_near_duplicates")["observed"] == 14


@pytest.mark.parametrize(
    ("outputs", "verdict"),
    [
        (lambda i: f"the answer to the question number {i}", "error"),
        (lambda i: label(i) if i % 10 == 0 else f"answer {i}", "error"),
        (lambda i: label(i) if i % 9 == 0 else f"answer {i}", "pass"),
        (lambda i: f"label {i // 2}", "pass"),
    ],
)
def test_labels_stand_in_several_rows(project: Project, outputs: Any, verdict: str) -> None:
    """Of free text nine in ten outputs stand in no other row, and no label metric compares them.

    So it is for a guard.
    """
    project.test_set(60, expected=outputs)
    for name, wrong_at in (("base.jsonl", range(0, 60, 3)), ("ft.jsonl", ())):
        missed = set(wrong_at)
        project.predictions(name, 60, output=lambda i, m=missed: "wrong" if i in m else outputs(i))
    gate = project.judge(checks={"formatting_gain": "ignore", "labels_in_common": "ignore"})
    assert gate["verdict"] == verdict
    if verdict == "error":
        names = ("accuracy compares labels", "exact_match", "within", "rouge_l", "rubric")
        mentions(gate["checks"][0], *names)

    project.test_set(
        60, "guard.jsonl", prefix="g", input="other question {}".format, expected=outputs
    )
    project.test_set(60)
    for name, wrong_at in (("base.jsonl", range(40, 60)), ("ft.jsonl", (0, 1))):
        project.predictions(name, 60, wrong_at)
        project.predictions(name, 60, prefix="g", add=True, output=outputs)
    guard = {"test_set": "guard.jsonl", "max_drop": 0.1}
    gate = project.judge(guards={"other": {**guard, "metric": "accuracy"}})
    assert gate["verdict"] == verdict
    if verdict == "error":
        mentions(gate["checks"][0], "guard other", *names)
    passed(project.judge(guards={"other": {**guard, "metric": "exact_match"}}))


@pytest.mark.parametrize(
    "reading",
    [{"json_field": "label"}, {"pattern": '"label": "(.*?)"'}],
)
def test_labels_inside_of_outputs_are_those_that_the_metric_reads(
    project: Project, reading: dict[str, Any]
) -> None:
    """Other text around a label makes neither a label of its own nor a contradiction."""

    def written(name: str, i: int) -> str:
        return json.dumps({"label": name, "note": f"row {i}"})

    project.test_set(60, expected=lambda i: written("voucher" if i == 7 else label(i), i))
    rows = [
        {"input": f"training question {i % 215}", "expected": written(label(i % 215), i)}
        for i in range(220)
    ]
    rows[219]["expected"] = written(wrong(4), 219)
    rows += [{"input": f"rare question {i}", "expected": written("gift", i)} for i in range(2)]
    project.training_set(0, rows)
    for name, wrong_at in (("base.jsonl", range(40, 60)), ("ft.jsonl", ())):
        project.predictions(
            name,
            60,
            output=lambda i, w=wrong_at: written(
                wrong(i) if i in w else "voucher" if i == 7 else label(i), i
            ),
        )
    gate = passed(project.judge(metric={"name": "accuracy", **reading}))
    assert check(gate, "conflicts")["observed"] == 1
    assert check(gate, "labels_missing")["observed"] == 1
    mentions(check(gate, "labels_missing"), "voucher", "test.jsonl:8")
    mentions(check(gate, "imbalance"), "gift", "2 training rows")
