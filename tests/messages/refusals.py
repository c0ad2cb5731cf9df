"""What a marker or a gate file may not say, value by value: each refusal is told in ``test_refusals.md``.

In a file the message names the line of the exact key. Other things that are wrong with YAML: tests/unit/config.
"""

from typing import Any

from gate_project import Project
from messages.cases import PRICED

NAN = float("nan")
SPLITS = {"train": [("a", "b")], "test": [("a", "b")]}
ENDPOINT = {"provider": "openai", "model": "m", "system": "s"}
OTHER = {"provider": "echo"}
PRICES = [{"gpu_hour_usd": 2, "output_per_1m": 1}, {"gpu_hour_usd": -1}, {"input_per_1m": -1}]
OF_AN_ENDPOINT: dict[str, list[Any]] = {
    "system_file": ["s.md"],
    "api_key_env": ["sk-1", ["sk-1"], {"a": "sk-1"}],
    "base_url": ["localhost:1/v1?k=2", "https://me:sk-1@host/v1"],
    "params": [[1], {"temperature": float("inf")}],
    "concurrency": [0, True],
    "timeout_s": [0, 10**400, None],
    "price": PRICES,
    "few_shot": [{"k": 8}, -1],
    "retrieval": [-1],
    "requests_per_minute": [0],
    "revision": [20260501],
    "template": [print],
    "latency": [50],
    "latency_sample": [1.5],
    "temperature": [0],
}
MODELS = [
    *(
        "ft.jsonl",
        "gpt-4",
        "my model:x",
        "openai:",
        "callable:f",
        "python:pkg.mod",
        "python:pkg/mod.py:f",
        3,
        ["openai:x"],
        None,
    ),
    *(
        {"model": "x"},
        {},
        {"openai": "x"},
        {"provider": 5},
        {"provider": "openai"},
        {"provider": "python"},
    ),
    *("record:ft.jsonl", {"provider": "opnai", "model": "x"}),
    *(
        {"provider": "recorded"},
        {"provider": "openai", 5: "x", "model": "m"},
        {"provider": "recorded", "paht": "x"},
    ),
    *({**OTHER, **keys} for keys in ({"retries": -1}, {"x": {"y": NAN}}, {"price": PRICES[0]})),
    *({**ENDPOINT, key: value} for key, values in OF_AN_ENDPOINT.items() for value in values),
]
NOT_OPEN = ("margin", "thresholds.accuracy", "guards.refunds", "weakened")
MATCH: list[dict[str, Any]] = [  # beside max_drop and cheaper_by
    *(
        {"margin": 0.05},
        {"max_drop": ...},
        {"cheaper_by": ...},
        {"evidence": "observed"},
        {"max_drop": 2},
    ),
    *({"max_drop": 0}, {"cheaper_by": 1}, {"hypothesis": {"from": 0.9, "to": 0.879}}),
]
MARKER: dict[str, list[Any]] = {
    "margn": [1],
    "max": [1],
    "margin": ["0.05", "0,05", True, -0.1, NAN, 3],
    "confidence": [95, 100],
    "baseline": [None],
    "baselines": [
        *({"candidate": "openai:n"}, {"x": "nonsense"}, {"extends": "x"}, {1: "x:y"}),
        *({"x": {"model": "python:a:b", **keys}} for keys in (
            *({}, {"margin": 0.1, "max_drop": 0.1}, {"max_dropp": 0.1}, {"max_drop": 0}),
        )),
        *({"x": spec} for spec in ({"model": None, "margin": 0.1}, {"max_drop": 0.1}, {"extends": "x", "model": "m"})),
        {"x": {"provider": "recorded", "path": "x.jsonl", "max_drop": 0.1}},
    ],
    "candidate": MODELS,
    "candidates": [{"a": "recorded:ft.jsonl"}],
    "test_set": [500, b"x", (), [("a", NAN)], [("a", "b", "c")], {"a"}, [{"input": "a", "expected": "b"}] * 2, SPLITS],
    "training_set": [200, {"path": "train.jsonl", "max_tokens": 0}],
    "metric": [["f1", ["f1"]], ["f1", "accuracy", "f1"], ["accuracy", "accuracy"], [], "", "f1_makro"],
    "temperature": [0],
    "thresholds": [
        *({"accuracy": 0.8}, {"cost_usd": 3}, {"accuracy": {"min": "x"}}, {"accuracy": {"min": 80}}, {"accuracy": {}}),
        {"error_rate": {"max": 5}},
    ],
    "checks": [
        *("fail", {"leaks": "fail"}, {"leaked": "limit"}, {"leaked": False}, {"leaked": "off"}),
        *({name: "warn"} for name in NOT_OPEN),
    ],
    "economics": [
        *("free", {"calls_per_month": 0}, {"calls_per_month": "many"}, {"calls_per_moth": 1}),
        *({"training_cost_usd": cost} for cost in (
            *(-1, {}, {"gpu_hours": 2}, {"epochs": 3}, {"usd_per_1m_tokens": 8, "epochs": 0}, {"gpu_hour": 2}),
            *({"gpu_hours": -2, "gpu_hour_usd": 2}, {"gpu_hours": 2, "gpu_hour_usd": 2, "epochs": 3}),
        )),
        *({"candidate_price": price} for price in (0.3, {"input_per_1m": 0.3}, {"gpu_hour_usd": 2})),
        *({"candidate_price": {"input_per_1m": -1, "output_per_1m": 1}}, {"iterations": 0}, {"iterations": 1.5}),
    ],
    "hypothesis": [
        *({"from": start, "to": end} for start, end in ((85, 95), (0.85, 95), (-0.1, 0.5))),
        *({"from": start, "to": end} for start, end in ((0.9, 0.8), (0.9, 0.9), (0.7, 0.7499))),
    ],
    "guards": [
        *({"a": {"test_set": "guard.jsonl", **guard}} for guard in (
            *({"max_drop": 3}, {"max_drop": 0}, {"max_drop": 0.1, "metric": "acuracy"}, {"maxdrop": 0.1}),
            *({"max_drop": 0.1, "test_set": "absent.jsonl"}, {"max_drop": 0.1, "test_set": "same.jsonl"}),
        )),
    ],
    "slices": [
        *({"fields": fields} for fields in (["langs"], ["group"], ["lang", "lang"])),
        *({"fields": ["lang"], "max_drop": 3}, ["langs"], "lang", {"field": ["lang"]}),
    ],
    "goal": ["knowlege"],
    "timeout_s": [0, -1, "soon", NAN, True],
    "max_attempts": [0, 6],
    "missing_answers": ["wrng"],
}  # fmt: skip

FILE = """# yaml-language-server: $schema=ftgate.schema.json
version: 1
defaults: {confidence: 0.9}
models:
  tuned: recorded:ft.jsonl
gates:
  intents:
    hypothesis: "macro-F1 rises from 0.82 to at least 0.87"
    test_set: test.jsonl
    training_set: train.jsonl
    baseline:
      provider: openai
      model: gpt-4.1-mini
      few_shot: 8
    candidate: tuned
    metric: accuracy
    margin: 0.05
    thresholds:
      accuracy: {min: 0.80}
  orders: {margin: 0}
"""
KEYS = {  # what stands in place of a line's key or value
    "version: 1": ["version: 2", "version: true", "version: '1'", "version: 1\nfoo: 2", "defaults: {}"],
    "gates:": [
        "gates: [{name: a}]\nothers:",
        *("  c: d\n  d: c\ngates:", "  c: 5\ngates:"),
        *("gate:", "  a: {extends: a}\ngates:", "  a: {extends: tuned, few_shoot: 1}\ngates:", "  a:b: x:y\ngates:"),
        *(f"  a: {{extends: b}}\n  b: {{extends: {base}}}\ngates:" for base in ("a", "tune")),
    ],
    "confidence: 0.9": [
        *(f"confidence: {value}" for value in ("95", "0.5", "1")),
        *(f"{key}: -1" for key in ("min_test_examples", "min_training_examples")),
        *("evidence: significance", "missing_answers: wrnog", "min_training_examples: 1_000", "goal: stile"),
        *("repeats: 0", "repeats: 1001", "name: 5", "name: ' '", "name: all"),
        *("metric: []", "metric: [f1, 2]", "metric: {pos_label: a}"),
    ],
    "test_set: test.jsonl": [
        *(f"test_set: {value}" for value in ("500", "[a, b]", "{limit: 5}", "''", '"a\\0b"', "test.txt")),
        *(f"test_set: {{path: a, limit: {value}}}" for value in ("0", "10000000000")),
        "test_set: {path: a, fields: {input: 3}}",
    ],
    "    training_set: train.jsonl\n": [""],
    "model: gpt-4.1-mini": ["modl: gpt-4.1-mini"],
    "few_shot: 8": ["few_shot: -1", "few_shot: 2.5", "few_shot: {k: 8}", "api_key: sk-1", "max_tokens: 5"],
    "candidate: tuned": [
        *("candidate: tuned\n    baselines: {a: tuned}", "candidate: python:colorsys:nosuch"),
        *(f"candidate: {{{keys}}}" for keys in (
            *("provider: recrded, path: base.jsonl", "extends: tund", "extends: 3", "extends: tuned, target: 'm:f'"),
            *("extends: tuned, price: -1", "extends: tuned, provider: python"),
        )),
    ],
    "metric: accuracy": [
        *("metric: acuracy", "metric: {name: rouge_l, lang: x}", "metric: {name: format, json_schema: x.json}"),
        *(f"metric: {{name: accuracy, {option}}}" for option in ("normalise: case", "pattern: '('")),
        *(f"metric: {{name: rubric, {line}}}" for line in (
            *("rubric: a", "judge: tuned", "judge: tuned, rubric: a, rubric_file: x", "judge: tund, rubric: a"),
            *("judge: [tuned, 'openai:b'], rubric: a", "judge: {model: tuned}, rubric: a"),
            *(f"judge: tuned, rubric: a, {line}" for line in (
                *("scales: [1, 5]", "scale: [5, 1]", "scale: [1, 3, 5]", "api_key: sk-1"),
                *("calibration: {path: x}", "calibration: {path: x, min_kappa: 0}"),
                "calibration: {path: x, min_kappa: 2}",
            )),
        )),
    ],
    "margin: 0.05": [
        *("margn: 0.05", "MARGIN: 0.05"),
        *(f"margin: {value}" for value in ("'0.05'", "5%", "true", ".nan", "1e999", "", "[1]", "-1")),
    ],
    "accuracy: {min: 0.80}": [
        *("accuracy: {mim: 0.80}", "accuracy: {}", "accuracy: {min: 0.8, max: 0.5}", "accuracy: {min: .nan}"),
        *("accuracy: {min: 0.8, of: base}", "accuracy: {min: 93}", "latency_p95: {max: 1}"),
    ],
    "orders: {margin: 0}": [
        *("orders:", "' ': {}", "orders: {name: intents}", "orders: {}\n  again: {name: orders}"),
        *(f"orders: {{{keys}}}" for keys in (
            *("margin: -1", "baselines: tuned", "baselines: {}", "baselines: {candidate: tuned}", "stage: redy"),
            *("candidates: {a: tuned}", "hypothesis: 0.9", 'hypothesis: " "', "hypothesis: {from: 0.8}"),
            *("hypothesis: {fron: 0.8, to: 0.9}", "hypothesis: {from_: 0.8, to: 0.9}"),
            *("hypothesis: {from: 85 %, to: 0.9}", "hypothesis: {from: 0.8, to: .nan}"),
            *("hypothesis: {metric: f1, from: 0.8, to: 1}", "margn: 1, repeats: 0"),
        )),
    ],
}  # fmt: skip


def refused(project: Project) -> list[str]:
    """Return every refused value with what is said of it."""
    lines = []
    project.test_set(60, lang="en")
    project.test_set(2, "same.jsonl", input="one and the same")
    project.test_set(60, "guard.jsonl", prefix="g", input="guard {}".format)
    for key, values in MARKER.items():
        lines.append(f"\n## marker: {key}\n")
        for value in values:
            changes = {"baseline": ..., key: value} if key == "baselines" else {key: value}
            lines.append(f"- `{value!r}`"[:100] + said(project.judge(**changes)))
    lines.append("\n## marker: max_drop\n")
    for keys in MATCH:
        changes = {"margin": ..., "max_drop": 0.02, "cheaper_by": 6, **PRICED, **keys}
        lines.append(f"- `{keys!r}`{said(project.judge(**changes))}")
    for old, several in KEYS.items():
        lines.append(f"\n## in place of {old.strip()!r}\n")
        for new in several:
            assert old in FILE
            project.gate_file(FILE.replace(old, new))
            lines.append(f"- {new.strip()!r}{said(project.judge('intents'))}")
    return lines


def said(gate: dict[str, Any]) -> str:
    """Return what a gate says that was refused before any call, and see that it shows no secret."""
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    checks = [check for check in gate["checks"] if check["status"] == "error"]
    text = "".join(
        f": {check['message']}" + f" | {check['cure']}" * bool(check["cure"]) for check in checks
    )
    assert "sk-1" not in text
    return text
