"""The names of checks are what gates, reports and people use: each is on this list, or it is not printed."""

import ast
import re
from pathlib import Path

import pytest

import pytest_ftgate
from pytest_ftgate.check_names import CHANGEABLE, CHECKS, CheckName
from pytest_ftgate.reports.text import block
from pytest_ftgate.result import Check, GateResult, Threshold, merged_by_name, verdict_of

DECIDED = """
    models margin evidence max_drop cheaper_by faster_by thresholds min_training_examples min_test_examples
    baseline_answers candidate_answers identical_outputs degenerate_candidate guards slices economics agreement
    max_attempts max_age_days min_fixed headroom power weakened unlabeled more_data
    interrupted configuration
"""
CHANGED = """
    goal weak_baseline baseline_prompt formatting_gain prompt_leak recording_order rare_group_loss circular
    prompt_mismatch knowledge alternatives attempts base_changed untracked test_set_changed hypothesis
    leaked leaked_near conflicts near_duplicates test_near_duplicates group_overlap labels_in_common labels_missing
    imbalance empty_outputs chat_format too_long retries few_raters answer_length
"""
MESSAGES = Path(__file__).parents[2] / "messages/__snapshots__/test_messages/test_messages.md"


def test_the_names_are_those_of_the_list():
    assert set(CHANGEABLE) == set(CHANGED.split())
    assert set(CHECKS) == {*DECIDED.split(), *CHANGED.split()}
    assert len(CHECKS) <= 60


def test_the_code_writes_no_other_name():
    """Those in variables are seen where they are printed."""
    trees = (
        ast.parse(file.read_text("utf-8"))
        for file in Path(pytest_ftgate.__file__).parent.rglob("*.py")
    )
    calls = (
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args
    )
    places = {"Check": 0, "error_check": 1}  # of the name among the arguments
    names = []
    for call in calls:
        place = places.get(ast.unparse(call.func).rpartition(".")[2])
        if place is not None:
            names += call.args[place : place + 1]
    names_found = {name.value for name in names if isinstance(name, ast.Constant)}
    assert names_found <= set(CHECKS)
    assert len(names_found) > 30


def test_no_other_name_is_printed():
    lines = re.findall(
        r"^(?:error|fail|inconclusive|warning|note|pass) (\w+)[.\w]*: ",
        MESSAGES.read_text("utf-8"),
        re.M,
    )
    assert set(lines) <= set(CHECKS)
    assert len(set(lines)) > 30


def test_a_check_has_the_kind_of_its_name_and_one_of_a_hook_has_none():
    kinds = [
        Check(name, "pass", "").kind
        for name in ("thresholds.a.b", "guards.refunds", "leaked", "own.budget")
    ]
    assert kinds == ["gain", "gain", "data", None]


def test_of_several_checks_of_one_name_the_worst_remains_and_says_what_the_others_found():
    bound = Threshold("margin", 0.05)
    first = Check("margin", "pass", "a", 0.2, 0.05, "f.yaml:1", threshold=bound)
    second = Check("margin", "fail", "b", 0.01, cure="Do more.")
    third = Check("margin", "warning", "c", cure="Do.")
    (check_object,) = merged_by_name([first, second, third])
    assert (check_object.status, check_object.message, check_object.cure) == (
        "fail",
        "b; a; c",
        "Do more. Do.",
    )
    assert (
        check_object.observed,
        check_object.required,
        check_object.source,
        check_object.threshold,
    ) == (
        0.01,
        0.05,
        "f.yaml:1",
        bound,
    )
    assert [
        check.name for check in merged_by_name([first, Check("power", "note", ""), second])
    ] == [
        "margin",
        "power",
    ]
    assert verdict_of(merged_by_name([first, second])) == verdict_of((first, second)) == "fail"


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_each_rule_is_a_whole_sentence_of_one_line(check: CheckName) -> None:
    assert check.rule[0].isupper()
    assert check.rule.endswith(".")
    assert "\n" not in check.rule
    assert "`" not in check.rule


def test_verbose_blocks_say_the_sentence_of_each_rule_that_does_not_hold() -> None:
    checks = (
        Check("leaked", "fail", "7 of 9"),
        Check("guards.refunds", "warning", "m"),
        Check("power", "pass", "m"),
    )
    result = GateResult("g", "n", "fail", checks=checks)
    lines = " ".join(line.text.strip() for line in block(result, verbosity=1))
    for name in ("leaked", "guards"):
        assert f"rule: {CHECKS[name].rule}" in lines
    assert lines.count("rule: ") == 2
    assert "rule: " not in " ".join(line.text for line in block(result))
