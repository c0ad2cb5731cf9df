"""A policy of several repositories: a gate may tighten what it asks for, and not loosen it."""

import shutil
from typing import Any

import pytest
from gate_project import Project, check, checks, git, mentions, on_a_branch, passed, stopped

POLICY = """version: 1
defaults:
  margin: 0.05
  min_test_examples: 55
  evidence: significant
  repeats: 1
  thresholds: {accuracy: {min: 0.8}}
  checks: {leaked_near: fail, imbalance: warn}
  slices: {fields: [lang], max_drop: 0.5}
  metric: f1_macro
  goal: classification
"""
GATE = """version: 1
defaults: {{extends: {extends}}}
gates:
  support:
    test_set: test.jsonl
    training_set: train.jsonl
    baseline: recorded:base.jsonl
    candidate: recorded:ft.jsonl
"""


@pytest.fixture
def governed(project: Project) -> Project:
    project.test_set(60, lang="en")
    project.file("rules/policy.yaml", POLICY)
    project.gate_file(GATE.format(extends="rules/policy.yaml"))
    return project


def test_its_values_are_defaults_that_a_gate_may_tighten(governed: Project) -> None:
    gate = passed(governed.judge("support"))
    assert gate["margin"] == 0.05
    assert check(gate, "thresholds.accuracy")["source"] == "rules/policy.yaml:7"
    passed(
        governed.judge(
            "support",
            margin=0.1,
            thresholds={"accuracy": {"min": 0.9}},
            checks={"imbalance": "fail"},
        )
    )
    passed(
        governed.judge(
            "support", confidence=0.9, min_training_examples=100, checks={"group_overlap": "ignore"}
        )
    )
    passed(governed.judge("support", metric=["f1_macro", "accuracy"], goal="classification"))
    # not a key of a gate
    mentions(stopped(governed.judge("support", extends="rules/policy.yaml")), "extends")


# in the marker: the key with both values, and the policy's line
LOOSER: list[tuple[dict[str, Any], str, int]] = [
    ({"margin": 0.04}, "margin: 0.05 -> 0.04", 3),
    ({"min_test_examples": 54}, "min_test_examples: 55 -> 54", 4),
    ({"evidence": "observed"}, "evidence: significant -> observed", 5),
    ({"thresholds": {"accuracy": {"min": 0.7}}}, "thresholds.accuracy.min: 0.8 -> 0.7", 7),
    ({"thresholds": {"accuracy": {"max": 1}}}, "thresholds.accuracy.min: 0.8 -> removed", 7),
    ({"checks": {"leaked_near": "warn"}}, "checks.leaked_near: fail -> warn", 8),
    ({"checks": {"imbalance": "ignore"}}, "checks.imbalance: warn -> ignore", 8),
    ({"slices": ["topic"]}, "slices.fields: lang -> topic", 9),
    ({"metric": "accuracy"}, "metric: f1_macro -> accuracy", 10),
    ({"goal": "format"}, "goal: classification -> format", 11),
    (
        {"baselines": {"a": {"model": "recorded:base.jsonl", "margin": 0.01}}},
        "baselines.a.margin: 0.05 -> 0.01",
        3,
    ),
]


@pytest.mark.parametrize(
    ("keys", "values", "line"), LOOSER, ids=[values for _, values, _ in LOOSER]
)
def test_a_looser_key_is_an_error_with_both_places(
    governed: Project, keys: Any, values: str, line: int
) -> None:
    fragments = (*values.split(": "), f"rules/policy.yaml:{line}")
    mentions(stopped(governed.judge("support", **keys)), "test_gate.py:4", *fragments)
    if "baselines" not in keys:
        written = "".join(f"    {name}: {value}\n" for name, value in keys.items())
        governed.gate_file(GATE.format(extends="rules/policy.yaml") + written)
        mentions(stopped(governed.judge("support")), "ftgate.yaml:9", *fragments)


GUARD = {"test_set": "test.jsonl", "metric": "f1_macro", "max_drop": 0.5}
LOOSER_GUARDS: list[tuple[dict[str, Any], str]] = [
    ({"old": {**GUARD, "test_set": "easy.jsonl"}}, "guards.old.test_set: test.jsonl -> easy.jsonl"),
    ({"old": {**GUARD, "metric": "accuracy"}}, "guards.old.metric: f1_macro -> accuracy"),
    ({"old": {**GUARD, "max_drop": 0.6}}, "guards.old.max_drop: 0.5 -> 0.6"),
    ({"new": GUARD}, "guards.old: given -> removed"),
]


def test_a_guard_is_compared_whole(governed: Project) -> None:
    """Its test set and its metric say what it guards, and not only its max_drop."""
    written = str(GUARD).replace("'test.jsonl'", "../test.jsonl").replace("'", "")
    governed.file("rules/policy.yaml", f"{POLICY}  guards: {{old: {written}}}\n")
    passed(governed.judge("support"))
    passed(governed.judge("support", guards={"old": {**GUARD, "max_drop": 0.4}, "new": GUARD}))
    for guards, values in LOOSER_GUARDS:
        finding = stopped(governed.judge("support", guards=guards))
        mentions(finding, *values.split(": "), "rules/policy.yaml:12")


def test_a_further_metric_and_a_champion_are_the_gates_own(governed: Project) -> None:
    case = {"name": "accuracy", "normalize": ["case"]}
    passed(
        governed.judge("support", metric=["f1_macro", case], thresholds={"accuracy": {"min": 0.9}})
    )
    champion = {"model": "recorded:ft.jsonl", "max_drop": 0.1}
    baselines = {"prompt": "recorded:base.jsonl", "champion": champion}
    assert checks(governed.judge("support", baselines=baselines), "configuration") == []


@pytest.mark.parametrize("marks_of_a_package", [["site/acme_rules/__init__.py"], []])
def test_a_file_in_a_package(
    governed: Project, monkeypatch: pytest.MonkeyPatch, marks_of_a_package: list[str]
) -> None:
    for name in marks_of_a_package:
        governed.file(name, "")
    governed.file("site/acme_rules/gates.yaml", POLICY)
    monkeypatch.syspath_prepend(governed.path / "site")
    governed.gate_file(GATE.format(extends='"acme_rules:gates.yaml"'))
    passed(governed.judge("support"))
    mentions(stopped(governed.judge("support", margin=0.01)), "acme_rules:gates.yaml:3")


@pytest.mark.parametrize(
    ("extends", "policy", "fragments"),
    [
        ("absent.yaml", POLICY, ["ftgate.yaml:2: defaults.extends", "absent.yaml"]),
        (
            '"no_such_package:gates.yaml"',
            POLICY,
            ["ftgate.yaml:2: defaults.extends", "no_such_package"],
        ),
        ("3", POLICY, ["ftgate.yaml:2: defaults.extends", "text"]),
        (
            "rules/policy.yaml",
            POLICY + "  margn: 1\n",
            ["rules/policy.yaml:12: defaults.margn", "margin"],
        ),
        (
            "rules/policy.yaml",
            POLICY + "  extends: x\n",
            ["rules/policy.yaml:12: defaults.extends"],
        ),
        ("rules/policy.yaml", POLICY + "gates: {}\n", ["rules/policy.yaml:12: gates"]),
        ("rules/policy.yaml", "version: 2\n", ["rules/policy.yaml:1: version"]),
        ("rules/policy.yaml", "", ["rules/policy.yaml", "version: 1"]),
    ],
)
def test_a_policy_that_cannot_be_used(
    governed: Project, extends: str, policy: str, fragments: list[str]
) -> None:
    governed.file("rules/policy.yaml", policy)
    governed.gate_file(GATE.format(extends=extends))
    mentions(stopped(governed.judge("support")), *fragments)


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
@pytest.mark.parametrize(
    "change",
    [
        ("rules/policy.yaml", "margin: 0.05", "margin: 0.03"),
        ("ftgate.yaml", "defaults: {extends: rules/policy.yaml}", "defaults: {margin: 0.03}"),
    ],
)
def test_a_policy_that_is_loosened_or_left_is_seen(
    governed: Project, change: tuple[str, str, str]
) -> None:
    governed.marked()
    governed.ini_file("ftgate_forbid_weakening = true")
    on_a_branch(governed.path)
    passed(governed.gate())
    name, old, new = change
    path = governed.path / name
    path.write_text(path.read_text().replace(old, new))
    git(governed.path, "commit", "-qam", "change")
    finding = stopped(governed.gate(), "fail")
    mentions(finding, "margin: 0.05 -> 0.03", name)
    assert finding["name"] == "weakened"


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_policy_outside_the_repository_is_not_compared(governed: Project) -> None:
    """It may ask for less from one run to the next; but a gate that leaves it is found."""
    policy = governed.path / "outside/policy.yaml"
    governed.file("outside/policy.yaml", POLICY)
    governed.file(".gitignore", "outside/\n.ftgate/\n__pycache__/\nreport.json\n")
    governed.gate_file(GATE.format(extends="outside/policy.yaml"))
    on_a_branch(governed.path)
    governed.ini["ftgate_forbid_weakening"] = True
    policy.write_text(POLICY.replace("margin: 0.05", "margin: 0.01"))
    passed(governed.judge("support"))

    governed.gate_file(GATE.replace("defaults: {{extends: {extends}}}", "defaults: {margin: 0.05}"))
    finding = stopped(governed.judge("support"), "fail")
    mentions(finding, "extends: outside/policy.yaml -> removed (ftgate.yaml:2 at main)")
    mentions(finding, "min_test_examples: 55 -> 50 (outside/policy.yaml:4 at main)")
