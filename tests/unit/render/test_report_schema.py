"""The JSON Schema of the report is made from the facts themselves."""

import json
from importlib.resources import files

import jsonschema
import pytest

from pytest_ftgate.reports.json import REPORT_VERSION, Session, render_report_schema, report
from pytest_ftgate.result import Check, GateResult

SCHEMA = json.loads(render_report_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def written(*results):
    text = report(results, Session(unjudged=[("a", "b")], waived_by="--ftgate-allow-missing"))
    return json.loads(text)


def test_the_shipped_schema_is_the_one_of_the_code():
    """Regenerate: python -c "from pytest_ftgate.reports.json import render_report_schema as r; print(r(), end='')" """
    shipped = files("pytest_ftgate").joinpath("report.schema.json").read_text(encoding="utf-8")
    assert shipped == render_report_schema()


def test_it_is_a_schema_of_this_version():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == REPORT_VERSION
    assert not VALIDATOR.is_valid({**written(), "version": REPORT_VERSION + 1})


def test_every_object_has_all_its_names_and_no_others():
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        assert part["additionalProperties"] is False
        assert sorted(part["required"]) == sorted(part["properties"])


def test_names_are_explained_where_the_code_explains_them():
    assert SCHEMA["$defs"]["Check"]["properties"]["observed"]["description"]
    assert "`" not in render_report_schema()
    assert all(part["description"] for part in SCHEMA["$defs"].values())


RANGES = [(0.0, 1.0), (0.0, float("inf")), (float("-inf"), float("inf"))]


@pytest.mark.parametrize("span", RANGES)
def test_a_range_may_have_no_end(span):
    VALIDATOR.validate(written(GateResult("a", "b", "pass", metric_range=span)))


def test_what_was_seen_may_be_anything():
    checks = tuple(Check("c", "note", "m", observed=one) for one in (1, "x", None, [1], {"a": True}))
    VALIDATOR.validate(written(GateResult("a", "b", "pass", checks=checks)))


CHANGES = [{"verdict": "green"}, {"margin": "0.05"}, {"passed": None}, {"margn": 0.05}, {"metric_range": [0]}]
CHANGES += [{"candidate": None}, {"gains": {"x": 1}}, {"loosened": [1]}]


@pytest.mark.parametrize("change", CHANGES)
def test_another_gate_is_refused(change):
    document = written(GateResult("a", "b", "pass"))
    document["gates"][0] |= change
    assert not VALIDATOR.is_valid(document)
