"""Gates on format and on the fields of JSON answers, end to end on recorded answers."""

import json

import pytest
from gate_project import check, mentions, on_a_branch, passed, statuses

ROOMS = ("kitchen", "hall", "attic")
SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["light", "heat"]},
        "slots": {"properties": {"room": {"enum": [*ROOMS]}}},
    },
    "required": ["intent"],
}
FORMAT = {"name": "format", "json_schema": "schemas/intent.json"}


def wanted(i):
    return {"intent": ("light", "heat")[i % 2], "slots": {"room": ROOMS[i % 3], "level": i}}


def right(i):
    return json.dumps(wanted(i))


def typo(i):
    return right(i).replace('"room": "', '"room": "x')


def fenced(i):
    return f"```json\n{right(i)}\n```"


@pytest.fixture
def project(project):
    project.test_set(60, input="say {}".format, expected=wanted)
    project.training_set(
        0, [{"input": f"train {i}", "expected": wanted(i + 1000)} for i in range(200)]
    )
    project.file("schemas/intent.json", json.dumps(SCHEMA))
    project.predictions(
        "base.jsonl", 60, output=lambda i: typo(i) if i < 20 else fenced(i) if i < 26 else right(i)
    )
    project.predictions("ft.jsonl", 60, output=lambda i: typo(i) if i in (30, 31) else right(i))
    return project


def test_format_alone_decides_and_says_that_it_looks_at_nothing_else(project):
    assert "weak_baseline" not in statuses(passed(project.judge(metric=FORMAT)))
    for metric, status in ((FORMAT, "warning"), ([FORMAT, "exact_match"], None)):
        assert statuses(project.judge(metric=metric)).get("formatting_gain") == status


@pytest.mark.parametrize(
    ("file", "answer", "name"),
    [("ft.jsonl", right(0), "degenerate_candidate"), ("base.jsonl", "no idea", "weak_baseline")],
)
def test_one_answer_to_everything_is_no_model_whatever_its_form(project, file, answer, name):
    project.predictions(file, 60, output=answer)
    gate = project.judge(metric=FORMAT)
    assert (gate["verdict"], statuses(gate)[name]) == ("fail", "fail")


@pytest.mark.parametrize("average", ["micro", "samples"])
def test_every_part_of_a_gate_takes_the_metric(project, average):
    """Guards, slices, groups, a hypothesis, a drop that is allowed, and the stage before training."""
    metric = {"name": "field_f1", "average": average}
    project.test_set(
        80, "guard.jsonl", prefix="q", input="ask {}".format, expected=lambda i: wanted(i + 500)
    )
    for name, broken in (("base.jsonl", ()), ("ft.jsonl", (3,))):
        answer_form = lambda i, broken=broken: (typo if i in broken else right)(i + 500)  # noqa: E731
        project.predictions(name, 80, prefix="q", add=True, output=answer_form)
    (guard,) = project.judge(
        metric="field_f1",
        guards={"q": {"test_set": "guard.jsonl", "metric": metric, "max_drop": 0.1}},
    )["guards"]
    assert guard["verdict"] == "pass", guard
    assert -0.1 < guard["lower_bound"] < guard["gain"] < 0
    assert guard["gain"] == pytest.approx(-1 / 240)
    grouped = {"group": lambda i: f"g{i % 30}", "lang": lambda i: "ab"[i % 2]}
    project.test_set(60, input="say {}".format, expected=wanted, **grouped)
    keys = {"slices": ["lang"], "hypothesis": {"from": 0.83, "to": 0.99}}
    gate = passed(project.judge(metric=metric, **keys))
    assert [slice_result["verdict"] for slice_result in gate["slices"]] == ["pass", "pass"]
    assert "30 groups" in gate["note"]
    ready = project.judge(metric=metric, stage="ready", candidate=...)
    assert statuses(ready)["headroom"] == "pass"
    assert "power" in statuses(ready)


def test_a_schemas_path_is_relative_to_the_file_that_names_it(project):
    (project.path / "schemas").rename(project.path / "suite")
    paths = {key: f"../{project.keys[key]}" for key in ("test_set", "training_set")}
    for role in ("baseline", "candidate"):
        paths[role] = project.keys[role].replace(":", ":../")
    mark = project.mark(**paths, metric={"name": "format", "json_schema": "intent.json"})
    project.file("suite/test_gate.py", f"import pytest\n\n\n{mark}\ndef test_gate():\n    pass\n")
    passed(project.gate())


def test_a_rule_that_is_replaced_in_the_same_change_is_called_out(project):
    project.filed(", metric: {name: format, json_schema: schemas/intent.json}")
    on_a_branch(project.path)
    assert "weakened" not in statuses(project.judge("support"))
    project.filed(", metric: {name: format, max_chars: 80}")
    finding = check(project.judge("support"), "weakened")
    assert finding["status"] == "warning"
    mentions(
        finding,
        "metric.json_schema: schemas/intent.json -> removed",
        "metric.max_chars: not given -> 80",
    )
