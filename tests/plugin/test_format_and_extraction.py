"""Gates on format and on the fields of JSON answers, end to end on recorded answers."""

import json

import pytest
from gate_project import check, mentions, on_a_branch, passed, statuses

ROOMS = ("kitchen", "hall", "attic")
SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["light", "heat"]}, "slots": {"properties": {"room": {"enum": [*ROOMS]}}}},
    "required": ["intent"],
}


def wanted(i):
    return {"intent": ("light", "heat")[i % 2], "slots": {"room": ROOMS[i % 3], "level": i}}


@pytest.fixture
def project(project):
    project.test_set(60, input="say {}".format, expected=wanted)
    project.training_set(0, [{"input": f"train {i}", "expected": wanted(i + 1000)} for i in range(200)])
    project.file("schemas/intent.json", json.dumps(SCHEMA))
    answers(project, "base.jsonl", lambda i: typo(i) if i < 20 else fenced(i) if i < 26 else right(i))
    answers(project, "ft.jsonl", lambda i: typo(i) if i in (30, 31) else right(i))
    return project


def answers(project, name, answer, **fields):
    project.predictions(name, 60, output=answer, **fields)


def right(i):
    return json.dumps(wanted(i))


def typo(i):
    return right(i).replace('"room": "', '"room": "x')


def fenced(i):
    return f"```json\n{right(i)}\n```"


def gate_file(project, keys, name="ftgate.yaml"):
    text = (
        "version: 1\ngates:\n  g:\n    test_set: test.jsonl\n    training_set: train.jsonl\n"
        "    baseline: recorded:base.jsonl\n    candidate: recorded:ft.jsonl\n    margin: 0.05\n" + keys
    )
    project.file(name, text)


FORMAT = "    metric: {name: format, json_schema: schemas/intent.json}\n"


def test_format_alone_decides_and_says_that_it_looks_at_nothing_else(project):
    gate_file(project, FORMAT)
    gate = passed(project.judge("g"))
    assert "weak_baseline" not in statuses(gate)
    assert check(gate, "formatting_gain")["status"] == "warning"
    gate_file(project, FORMAT + "    thresholds: {exact_match: {min: 0.5}}\n")
    assert "formatting_gain" not in statuses(project.judge("g"))
    for bound in ("min: 0", "max: 1"):  # which any answer keeps
        gate_file(project, FORMAT + f"    thresholds: {{exact_match: {{{bound}}}}}\n")
        assert check(project.judge("g"), "formatting_gain")["status"] == "warning"


@pytest.mark.parametrize(("file", "name"), [("ft.jsonl", "degenerate_candidate"), ("base.jsonl", "weak_baseline")])
def test_one_answer_to_everything_is_no_model_whatever_its_form(project, file, name):
    answers(project, file, lambda i: right(0) if file == "ft.jsonl" else "no idea")
    gate_file(project, FORMAT)
    gate = project.judge("g")
    assert (gate["verdict"], statuses(gate)[name]) == ("fail", "fail")


@pytest.mark.parametrize("average", ["micro", "samples"])
def test_every_part_of_a_gate_takes_the_metric(project, average):
    """Guards, slices, groups, a hypothesis, a drop that is allowed, repeats, and the stage before training."""
    metric = f"{{name: field_f1, average: {average}}}"
    grouped = {"group": lambda i: f"g{i % 20}", "lang": lambda i: "ab"[i % 2]}
    project.test_set(60, input="say {}".format, expected=wanted, **grouped)
    extra = "    slices: [lang]\n    checks: {rare_group_loss: warn}\n    hypothesis: {from: 0.83, to: 0.99}\n"
    gate_file(project, f"    metric: {metric}\n{extra}")
    gate = passed(project.judge("g"))
    assert [one["verdict"] for one in gate["slices"]] == ["pass", "pass"]
    assert "20 groups" in gate["note"]
    gate_file(project, f"    metric: {metric}\n    stage: ready\n")
    text = (project.path / "ftgate.yaml").read_text()
    project.gate_file(text.replace("    candidate: recorded:ft.jsonl\n", ""))
    ready = project.judge("g")
    assert [one["role"] for one in ready["breakdowns"]] == ["baseline"]
    assert statuses(ready)["headroom"] == "pass"
    assert "power" in statuses(ready)


@pytest.mark.parametrize("average", ["micro", "samples"])
def test_a_guard_by_fields_rules_a_drop_out(project, average):
    project.test_set(80, "guard.jsonl", prefix="q", input="ask {}".format, expected=lambda i: wanted(i + 500))
    for name, broken in (("base.jsonl", ()), ("ft.jsonl", (3,))):
        said = lambda i, broken=broken: (typo if i in broken else right)(i + 500)  # noqa: E731
        project.predictions(name, 80, prefix="q", add=True, output=said)
    metric = f"{{name: field_f1, average: {average}}}"
    gate_file(
        project,
        f"    metric: field_f1\n    guards: {{q: {{test_set: guard.jsonl, metric: {metric}, max_drop: 0.1}}}}\n",
    )
    (guard,) = project.judge("g")["guards"]
    assert guard["verdict"] == "pass", guard
    assert -0.1 < guard["lower_bound"] < guard["gain"] < 0
    assert guard["gain"] == pytest.approx(-1 / 240)


def test_the_expected_outputs_that_break_the_format_are_one_warning(project):
    project.test_set(60, input="say {}".format, expected=lambda i: typo(i) if i < 3 else right(i))
    gate_file(project, FORMAT)
    found = check(project.judge("g"), "formatting_gain")
    assert found["status"] == "warning"
    assert found["observed"] == 3
    mentions(found, "3 of 60", "test.jsonl:1", "$.slots.room: 'xkitchen' is not one of ['kitchen', 'hall', 'attic']")


def test_a_schemas_path_is_relative_to_the_file_that_names_it(project):
    project.file("suite/test_gate.py", f"import pytest\n\n\n{schema_mark(project)}\ndef test_gate():\n    pass\n")
    project.file("suite/own.json", json.dumps(SCHEMA))
    assert project.gate()["verdict"] == "pass"


def schema_mark(project):
    files = {key: f"../{project.keys[key]}" for key in ("test_set", "training_set")}
    models = {key: {"provider": "recorded", "path": f"../{name}"} for key, name in
              (("baseline", "base.jsonl"), ("candidate", "ft.jsonl"))}  # fmt: skip
    metric = {"name": "format", "json_schema": "own.json"}
    return project.mark(**files, **models, metric=metric)


def test_a_rule_that_is_replaced_in_the_same_change_is_called_out(project):
    gate_file(project, FORMAT)
    on_a_branch(project.path)
    assert "weakened" not in statuses(project.judge("g"))
    gate_file(project, FORMAT.replace("json_schema: schemas/intent.json", "max_chars: 80"))
    found = check(project.judge("g"), "weakened")
    assert found["status"] == "warning"
    mentions(found, "metric.json_schema: schemas/intent.json -> removed", "metric.max_chars: not given -> 80")
