"""An option of a wrong type is told with the form to paste: what is probably meant, or its example."""

from pathlib import Path

import pytest

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.config.metric_options import OPTIONS
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import build_metric

CALLS = ('[{"name": "f", "arguments": {"a": 1}}]',)
MISTAKES = [
    ("accuracy", {"pattern": 5}, ("no", "yes"), 'pattern: "label: (\\\\w+)"'),
    ("accuracy", {"labels": "yes, no"}, ("no", "yes"), 'labels: ["yes", "no"]'),
    ("accuracy", {"normalize": "lower"}, ("no", "yes"), "normalize: [case, whitespace]"),
    ("accuracy", {"json_field": ["a"]}, ("no", "yes"), "json_field: a"),
    ("within", {"tolerance": "5 %"}, ("1", "2"), "tolerance: 0.05"),
    ("within", {"relative": -0.01}, ("1", "2"), "relative: 0.01"),
    ("absolute_error", {"cap": "30"}, ("1", "2"), "cap: 30"),
    ("absolute_error", {"cap": 0}, ("1", "2"), "cap: 30"),
    ("format", {"max_chars": "80"}, (), "max_chars: 80"),
    ("format", {"json_schema": 5}, (), "json_schema: schemas/order.json"),
    ("labels_f1", {"separator": 5}, ("a", "b"), 'separator: ";"'),
    ("field_f1", {"average": "macro"}, ('{"a": 1}',), "average: micro"),
    ("field_f1", {"tolerance": "1"}, ('{"a": 1}',), "tolerance: 0.5"),
    ("tool_call_exact", {"order": "on"}, CALLS, "order: true"),
    ("tool_call_exact", {"arguments": 5}, CALLS, "arguments: {tolerance: 0.01}"),
]


@pytest.mark.parametrize(("name", "options", "expected", "form"), MISTAKES)
def test_the_message_ends_with_the_form_to_paste(name, options, expected, form):
    spec = MetricSpec(name, options, Source("file", "ftgate.yaml:9", Path()))
    with pytest.raises(ConfigError) as caught:
        build_metric(spec, labels=expected, custom={})
    assert caught.value.what.endswith(form), caught.value.what
    ((key, _),) = options.items()
    assert caught.value.where.key == key
    assert key in OPTIONS
