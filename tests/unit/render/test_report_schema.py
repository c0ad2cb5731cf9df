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


def test_it_explains_all_names_of_this_version_and_allows_no_others():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["const"] == REPORT_VERSION
    assert not VALIDATOR.is_valid({**written(), "version": REPORT_VERSION + 1})
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        assert part["additionalProperties"] is False
        assert sorted(part["required"]) == sorted(part["properties"])
        assert part["description"]
    assert SCHEMA["$defs"]["Check"]["properties"]["observed"]["description"]
    assert "`" not in render_report_schema()


def test_a_range_may_have_no_end_and_what_was_seen_may_be_anything():
    checks = tuple(Check("c", "note", "m", observed=one) for one in (1, "x", None, [1], {"a": True}))
    for span in ((0.0, 1.0), (0.0, float("inf")), (float("-inf"), float("inf"))):
        VALIDATOR.validate(written(GateResult("a", "b", "pass", metric_range=span, checks=checks)))


CHANGES = [{"verdict": "green"}, {"margin": "0.05"}, {"passed": None}, {"margn": 0.05}, {"metric_range": [0]}]
CHANGES += [{"candidate": None}, {"gains": {"x": 1}}, {"loosened": [1]}]


@pytest.mark.parametrize("change", CHANGES)
def test_another_gate_is_refused(change):
    document = written(GateResult("a", "b", "pass"))
    document["gates"][0] |= change
    assert not VALIDATOR.is_valid(document)
