"""A gate on its way to a verdict, of which a test of one rule gives the parts that the rule looks at."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import GateKeys, Layer, Source, resolve_gate

PLACE = "ftgate.yaml:9"
KEYS: dict[str, Any] = {
    "test_set": "t.jsonl",
    "training_set": "r.jsonl",
    "baseline": "openai:base",
    "candidate": "openai:ft",
    "margin": 0.05,
}
ACCURACY: Any = SimpleNamespace(
    name="accuracy",
    kind="right_wrong",
    low=0.0,
    high=1.0,
    greater_is_better=True,
    share=True,
    sign=1,
)


def config(keys: Mapping[str, Any]) -> GateKeys:
    """Return the usual keys with these in place of some, all of them written at one place; ``...`` leaves one out."""
    values = {name: value for name, value in {**KEYS, **keys}.items() if value is not ...}
    source = Source("file", PLACE, Path.cwd())
    return resolve_gate(
        [Layer(values, dict.fromkeys(values, source))], file=None, gate=None, default_name="x"
    )


def context(
    keys: Mapping[str, Any] | None = None,
    *,
    result: Mapping[str, Any] | None = None,
    **facts_by_name: Any,
) -> Context:
    """Return a gate with these keys, these facts in its result, and these parts; what is not given is nothing."""
    settled = config(keys or {})
    usual = {"test": (), "training": (), "audit": None, "models": {}, "now": 0.0}
    usual["metrics"] = {settled.metric.name: ACCURACY}
    values: Any = {**usual, **facts_by_name}
    facts = {"nodeid": "x", **(result or {})}
    models = {
        **facts.get("baselines", {}),
        **({"candidate": facts["candidate"]} if "candidate" in facts else {}),
    }
    values.setdefault(
        "measured",
        {
            role: SimpleNamespace(facts=model_facts, scores={})
            for role, model_facts in models.items()
        },
    )
    return Context(settled, facts=facts, **values)
