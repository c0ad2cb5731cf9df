"""Generate docs/reference/ and both JSON Schemas from the code: python tools/reference.py

The tests generate them again and compare them with the files.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
NOTE = "<!-- By tools/reference.py -->"

_NO_VALUES: tuple[Any, ...] = (None, [], {})
_HUGE = 10**9  # limits that only keep numbers finite are not worth a reader's time
_GATE_DEFS = {
    "DefaultKeys": "`defaults`",
    "GateKeys": "A gate",
    "DataKeys": "A data set",
    "MetricKeys": "A metric",
    "ThresholdKeys": "A threshold",
    "BaselineKeys": "A baseline with its own standard",
    "HypothesisKeys": "`hypothesis`",
    "GuardKeys": "A guard",
    "SliceKeys": "`slices`",
    "AgreementKeys": "`agreement`",
    "EconomicsKeys": "`economics`",
    "TrainingCostKeys": "A training cost",
    "CandidatePriceKeys": "A price of the candidate",
    "Price": "`price`",
}
_METRIC_DEFS = {
    "RubricKeys": "`rubric`",
    "PreferenceKeys": "`preference`",
    "HumanPreferenceKeys": "`human_preference`",
    "CalibrationKeys": "`calibration`",
}
_PROVIDERS = {
    "openai": "OpenAIKeys",
    "transformers": "TransformersKeys",
    "python": "PythonKeys",
    "recorded": "RecordedKeys",
    "others": "OtherKeys",
}
_MODELS = frozenset((*_PROVIDERS.values(), "ExtendsKeys"))
_METRICS = frozenset(("RubricKeys", "PreferenceKeys", "HumanPreferenceKeys", "MetricKeys"))
_PLACES = {
    **{name: ("gate-file.md", title) for name, title in _GATE_DEFS.items()},
    **{name: ("metrics-and-checks.md", title) for name, title in _METRIC_DEFS.items()},
    **dict.fromkeys(_MODELS, ("gate-file.md", "Models")),
    "ChecksKeys": ("metrics-and-checks.md", "Checks"),
}


def pages() -> dict[str, str]:
    """Return all generated files as text, by their path under ``docs``."""
    found = {
        "reference/gate-file.md": _gate_file(),
        "reference/metrics-and-checks.md": _metrics_and_checks(),
        "reference/command-line.md": _command_line(),
        "reference/python-and-json.md": _python_and_json(),
    }
    return {**found, "llms.txt": _site(found)}


def _site(found: Mapping[str, str]) -> str:
    """Return the list of the site's pages for language models (llmstxt.org), as in the navigation of mkdocs.yml."""
    import yaml

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    parts = [f"# {site['site_name']}", f"> {site['site_description']}"]
    for part in site["nav"]:
        for title, names in part.items():
            links = [f"## {title}", ""]
            for name in names:
                page = found.get(name) or (ROOT / "docs" / name).read_text(encoding="utf-8")
                heading = page.partition("\n")[0].removeprefix("# ")
                link = "index.html" if name == "index.md" else f"{name.removesuffix('.md')}/"
                links.append(f"- [{heading}]({link})")
            parts.append("\n".join(links))
    return "\n\n".join(parts) + "\n"


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    for line in lines:
        broken = [cell for cell in line if "|" in cell or "\n" in cell]
        if broken:
            raise ValueError(f"a table cell cannot hold this: {broken[0]!r}")
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


# --- keys
# ----------------------------------------------------------------------------------------------------


class _Schema:
    """Hold the schema of the gate file, and the page that links are relative to."""

    def __init__(self, page: str) -> None:
        from pytest_ftgate.config import render_json_schema

        self.whole: Mapping[str, Any] = json.loads(render_json_schema())
        self.page = page
        if set(_PLACES) != set(self.whole["$defs"]):
            raise ValueError(f"keys and pages differ: {set(_PLACES) ^ set(self.whole['$defs'])}")

    def section(self, name: str) -> str:
        part = self.whole["$defs"][name]
        return f"## {_PLACES[name][1]}\n\n{part['description']}\n\n{self.table(part)}"

    def table(self, part: Mapping[str, Any]) -> str:
        required = part.get("required", ())
        own = (
            (key, one)
            for key, one in part["properties"].items()
            if "/properties/" not in one.get("$ref", "")
        )
        rows = ((self.key(key, one, required), self.meaning(one)) for key, one in own)
        return _table(("key", "meaning"), rows)

    def key(self, key: str, part: Mapping[str, Any], required: Sequence[str] = ()) -> str:
        """Return the cell of a key, its values and its default: on a phone its meaning is beside it."""
        default = _default(part)
        state = "; required" if key in required else f"; default {default}" if default else ""
        return f"`{key}`<br>{self.kind(part)}{state}"

    def meaning(self, part: Mapping[str, Any]) -> str:
        text: str = (
            part.get("description")
            or self.whole["$defs"][part["$ref"].rpartition("/")[2]]["description"]
        )
        return text

    def kind(self, part: Mapping[str, Any]) -> str:
        """Describe the values that are allowed."""
        if "$ref" in part:
            return self._link(part["$ref"].rpartition("/")[2])
        if "const" in part:
            return (
                f"`{json.dumps(part['const'])}`"
                if not isinstance(part["const"], str)
                else f"`{part['const']}`"
            )
        if "enum" in part:
            return ", ".join(
                f"`{one if isinstance(one, str) else json.dumps(one)}`" for one in part["enum"]
            )
        if "anyOf" in part:
            return self._any_of(part["anyOf"])
        if part.get("type") == "array":
            return f"list of {self.kind(part['items'])}" if part.get("items") else "list"
        if part.get("type") == "object":
            values = part.get("additionalProperties")
            return (
                f"mapping of names to {self.kind(values)}"
                if isinstance(values, Mapping) and values
                else "mapping"
            )
        words = {
            "string": "text",
            "integer": "whole number",
            "number": "number",
            "boolean": "`true`, `false`",
            "null": "`null`",
        }
        return words[part["type"]] + _limits_of(part) if "type" in part else "anything"

    def _any_of(self, parts: Sequence[Mapping[str, Any]]) -> str:
        """Describe alternatives; the many forms of a model or a metric have one name each."""
        names = {part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part}
        general = {"[a model](#models)": _MODELS, "[a metric](metrics-and-checks.md)": _METRICS}
        for link, forms in general.items():
            if names >= forms:
                others = [
                    part for part in parts if "$ref" not in part and part.get("type") != "string"
                ]
                place = "gate-file.md" if "#" in link and self.page != "gate-file.md" else ""
                return " or ".join([link.replace("#", f"{place}#"), *map(self.kind, others)])
        return " or ".join(dict.fromkeys(self.kind(part) for part in parts))

    def _link(self, name: str) -> str:
        page, title = _PLACES[name]
        words = title if title.startswith("`") else title[0].lower() + title[1:]
        return f"[{words}]({'' if page == self.page else page}#{_anchor(title)})"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.replace("`", "").lower()).strip("-")


def _limits_of(part: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [
        f"{words[name]} {part[name]:g}" for name in words if name in part and part[name] < _HUGE
    ]
    return f", {' and '.join(found)}" if found else ""


def _default(part: Mapping[str, Any]) -> str:
    value = part.get("default")
    if any(value == one for one in _NO_VALUES):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _gate_file() -> str:
    schema = _Schema("gate-file.md")
    return _page(
        "The gate file",
        "These keys stand in `ftgate.yaml` under `gates.NAME`, under `defaults` for all gates, or in the marker "
        "`@pytest.mark.ftgate(...)`; [the nearest wins](../concepts.md#marker-fixture-file). Paths are relative to the "
        "file in which they are written. An unknown key is an error that suggests the nearest one.",
        "For completion in an editor write `python -m pytest_ftgate schema > ftgate.schema.json`, and put "
        "`# yaml-language-server: $schema=ftgate.schema.json` at the top of the gate file.",
        "## The file\n\n" + schema.table(schema.whole),
        *(schema.section(name) for name in list(_GATE_DEFS)[:-1]),
        _models(schema),
        schema.section("Price"),
    )


def _models(schema: _Schema) -> str:
    """Return one table of the keys of all providers, with a column for each provider."""
    from pytest_ftgate.config.models import SPELLINGS

    every = {provider: schema.whole["$defs"][name] for provider, name in _PROVIDERS.items()}
    rows = []
    for key in dict.fromkeys(key for part in every.values() for key in part["properties"]):
        if key == "provider":
            continue
        given = {
            provider: part["properties"][key]
            for provider, part in every.items()
            if key in part["properties"]
        }
        told = {
            provider: schema.meaning(one).partition(" Default: ") for provider, one in given.items()
        }
        more = (text.partition(". ")[2] for _, _, text in told.values())  # what follows the default
        meaning = " ".join(
            filter(None, (" Or: ".join(dict.fromkeys(text for text, _, _ in told.values())), *more))
        )
        cells = []
        for provider, part in every.items():
            default = told[provider][2].partition(". ")[0].rstrip(".") if provider in told else ""
            cells.append(
                "required"
                if key in part.get("required", ())
                else default or ("yes" if provider in given else "")
            )
        rows.append((schema.key(key, next(iter(given.values()))), meaning, *cells))
    spellings = ", ".join(f"`{one}`" for one in SPELLINGS.split(", "))
    return "\n\n".join(
        (
            "## Models",
            f"A model is a name under `models` in the gate file, a string ({spellings}), a mapping with one `provider` of "
            "the columns, or in Python code a callable. `{extends: NAME, ...}` takes the keys of a model of the file and "
            "replaces some; `few_shot: 0` and `retrieval: 0` turn them off. *Others* are providers of the hook "
            "`pytest_ftgate_model`, to which further keys are passed on. A cell has the default, or says that the key is "
            "possible.",
            _table(
                ("key", "meaning", *(f"`{name}`" if name != "others" else name for name in every)),
                rows,
            ),
        )
    )


# --- metrics
# -------------------------------------------------------------------------------------------------

_MEASURES = {
    "accuracy": "share of answers that equal the expected label",
    "balanced_accuracy": "mean recall over all labels",
    "f1": "F1 of one of two labels, `pos_label`",
    "precision": "precision of `pos_label`",
    "recall": "recall of `pos_label`",
    "f1_macro": "mean F1 over all labels, each with the same weight",
    "f1_micro": "F1 of the counts of all labels together",
    "f1_weighted": "mean F1, weighted by how often each label is expected",
    **{
        f"{score}_{average}": f"{score}, averaged like `f1_{average}`"
        for score in ("precision", "recall")
        for average in ("macro", "micro", "weighted")
    },
    "matthews_corrcoef": "Matthews correlation of answered and expected labels",
    "cohen_kappa": "agreement with the expected labels beyond chance",
    "exact_match": "share of answers that equal the expected text or JSON value",
    "format": "share of answers in the [required format](../metrics.md#format)",
    "labels_f1": "F1 of [several labels](../metrics.md#several-labels), averaged over examples",
    "labels_exact": "share of answers whose labels are exactly the expected ones",
    "within": "share of [numbers](../metrics.md#numbers) within `tolerance` or `relative` of the expected one",
    "absolute_error": "mean distance of numbers from the expected one; lower is better",
    "field_f1": "F1 of the [fields](../metrics.md#extraction) of JSON answers",
    "tool_call_exact": "share of answers that make the right [calls](../metrics.md#tool-calls)",
    "tool_call_f1": "F1 of the calls of an answer",
    "token_f1": "F1 of the [tokens](../metrics.md#free-text), regardless of order",
    "rouge_l": "F1 of the longest common subsequence of words",
    "edit_similarity": "1 minus the edit distance divided by the length of the longer text",
    "rubric": "grade from an [LLM judge](../judges.md)",
    "preference": "share of pairs in which an LLM judge prefers the candidate",
    "human_preference": "share of pairs in which [people](../judges.md#people) prefer the candidate",
}
_OPTION_MEANINGS = {
    "normalize": "differences to ignore: `unicode`, `case`, `whitespace`, `punctuation`, or a list of them; default "
    "for labels: the last three, where labels stay distinct; for fields see "
    "[extraction](../metrics.md#extraction)",
    "pattern": "for labels and numbers: a regular expression that finds it in an answer, and in expected outputs that "
    "hold more (its first group if any); for `format`: one that the whole answer must match",
    "json_field": "dotted path of the label or number in a JSON answer, such as `result.label`",
    "order": "`true`: tool calls must come in the expected order",
    "extra": "further tool calls: `wrong` (default) or `ignore`",
    "ignore_arguments": "arguments of tool calls that are not compared",
    "arguments": "mapping with `lists`, `tolerance`, `normalize`: when two arguments of a tool call are the same",
    "labels": "labels to average over; default: all",
    "pos_label": "the positive label",
    "json_schema": "a JSON Schema, or the path of one, that the answer must satisfy",
    "allowed": "all allowed answers",
    "max_chars": "maximum number of characters",
    "strip_code_fence": "`true`: ignore one Markdown code fence around the whole answer",
    "fields": "dotted names of the fields to score; default: all that the test set expects",
    "average": "`samples` (default) or `micro`",
    "lists": "of `field_f1`: `match` (default) pairs the items of two lists so that most fields agree; of all: "
    "`sequence` compares by position, `set` whole items in any order",
    "tolerance": "allowed difference between numbers: one number, or for fields a mapping of field to number",
    "relative": "allowed difference as a share of the expected number",
    "low": "least number that may be expected; required",
    "high": "greatest number that may be expected; required",
    "separator": "between labels that are not a JSON list; default `,`",
}
_NEEDED_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"pos_label": "yes"} for name in ("f1", "precision", "recall")},
    "format": {"max_chars": 80},
    "within": {"tolerance": 1},
    "absolute_error": {"low": 0, "high": 10},
}
_EXPECTED = {
    "field_f1": ('{"a": 1}', '{"a": 2}'),
    **dict.fromkeys(("within", "absolute_error"), ("1", "2")),
    **dict.fromkeys(
        ("tool_call_exact", "tool_call_f1"), ('[{"name": "f", "arguments": {"a": 1}}]',)
    ),
}


def _watched(name: str) -> tuple[Any, tuple[str, ...], str]:
    """Build a metric as a gate does; return it with the options that it allows and the extra that it loads."""
    from pytest_ftgate.config import MetricSpec, Source
    from pytest_ftgate.metrics import build_metric, text
    from pytest_ftgate.metrics.options import Options, needed

    allowed: list[tuple[str, ...]] = []
    extras = [""]

    def allow(_: Options, *keys: str) -> None:
        allowed.append(keys)

    def load(options: Options, module: str) -> Any:
        extras.append("text")  # what text metrics load is the extra of that name
        return needed(options, module)

    spec = MetricSpec(name, _NEEDED_OPTIONS.get(name, {}), Source("file", "the reference", ROOT))
    with (
        mock.patch.object(Options, "allow", allow),
        mock.patch.object(text, "needed", load),
    ):
        metric = build_metric(spec, labels=_EXPECTED.get(name, ("no", "yes")), custom={})
    # the first options: a mapping within may allow keys of its own
    return metric, allowed[0], extras[-1]


def _judged(name: str) -> Any:
    """Return the class of a judged metric, which cannot be built without its judge.

    Its keys are in the schema.
    """
    from pytest_ftgate.metrics import judged

    return {
        "rubric": judged.Rubric,
        "preference": judged.Preference,
        "human_preference": judged.HumanPreference,
    }[name]


def _metrics(schema: _Schema) -> Iterator[str]:
    from pytest_ftgate.metrics import BUILT_IN, judged

    if set(_MEASURES) != set(BUILT_IN):
        raise ValueError(f"metrics and explanations differ: {set(_MEASURES) ^ set(BUILT_IN)}")
    rows, takers = [], dict[str, list[str]]()
    for name in BUILT_IN:
        metric, options, extra = (_judged(name), (), "") if name in judged.NAMES else _watched(name)
        for option in options:
            takers.setdefault(option, []).append(name)
        measures = [_MEASURES[name]]
        if name == "absolute_error":
            measures.append("from 0 to `high` minus `low`")
        elif name != "rubric" and (metric.low, metric.high) != (0, 1):
            measures.append(f"from {metric.low:g} to {metric.high:g}")
        if extra or name == "format":
            measures.append(f"extra `{extra}`" if extra else "extra `format` for `json_schema`")
        rows.append((f"`{name}`", "; ".join(measures), metric.kind.replace("_", " ")))
    if set(_OPTION_MEANINGS) != set(takers):
        raise ValueError(f"options and explanations differ: {set(_OPTION_MEANINGS) ^ set(takers)}")
    yield "## Metrics"
    yield (
        "**kind**: each answer is right or wrong, or has a number, or only the whole set has a value; the "
        "[statistical test](../methods.md) depends on it. Values are from 0 to 1 where nothing else is said. An "
        '*extra* is installed with `pip install "pytest-ftgate[NAME]"`, in a clone `pip install ".[NAME]"`. '
        "`thresholds` also accepts `latency_p50_s`, `latency_p95_s`, `cost_usd` and `error_rate`, the share of missing "
        "answers."
    )
    yield _table(("name", "measures", "kind"), rows)
    yield "## Options"
    yield _table(
        ("option", "meaning"),
        (
            (f"`{option}`<br>{_named(takers[option])}", meaning)
            for option, meaning in _OPTION_MEANINGS.items()
        ),
    )
    yield from (schema.section(name) for name in _METRIC_DEFS)


def _named(names: Sequence[str]) -> str:
    """Return the names of metrics as text, with the label metrics as one family."""
    from pytest_ftgate.metrics.classification import ONE_LABEL as OF_LABELS

    if set(OF_LABELS) <= set(names):
        names = ["all of labels", *(name for name in names if name not in OF_LABELS)]
    return ", ".join(name if " " in name else f"`{name}`" for name in names)


# --- checks
# --------------------------------------------------------------------------------------------------


_STAGES = {"free": "Before any call", "answered": "After the answers", "scored": "After the scores"}


def _checks() -> Iterator[str]:
    """Return the section of the checks, with a table for each stage."""
    from pytest_ftgate.check_names import CHECKS

    levels = {"limit": "warn, fail above a limit"}
    yield "## Checks"
    yield (
        "A check is printed under its name, with a cure. One that *decides* is `fail`, `inconclusive` or `error`. The "
        "others have a default, and `checks: {NAME: fail}` (or `warn`, `ignore`) in the gate changes it. A level below "
        "the default is reported in every run. Under `-v` a check that does not hold shows its sentence."
    )
    for stage, heading in _STAGES.items():
        rows = []
        for name, check in CHECKS.items():
            if check.stage == stage:
                shown = f"{name}.NAME" if name in ("thresholds", "guards") else name
                level = levels.get(check.default, check.default)
                anchor = f'<a id="check-{name}"></a>'
                rows.append((f"{anchor}`{shown}`<br>{level}", check.rule))
        yield f"### {heading}"
        yield _table(("name, default", "does not hold when"), rows)


def _metrics_and_checks() -> str:
    return _page(
        "Metrics and checks",
        "`metric` is a name, a mapping with `name` and options, or a list of them: the first decides, the others are "
        "shown.",
        *_metrics(_Schema("metrics-and-checks.md")),
        *_checks(),
    )


# --- options, fixtures, hooks
# --------------------------------------------------------------------------------


class _Parser:
    """Record what the plugin adds to pytest's command line and ini file."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, str, dict[str, Any]]] = []

    def getgroup(self, *_: str) -> _Parser:
        return self

    def addoption(self, name: str, **settings: Any) -> None:
        self.options.append((name, settings))

    def addini(self, name: str, help: str, **settings: Any) -> None:  # noqa: A002  # pytest's name
        self.ini.append((name, help, settings))


def _command_line() -> str:
    from pytest_ftgate import plugin
    from pytest_ftgate.cli.commands import _parser

    recorder = _Parser()
    plugin.pytest_addoption(recorder)  # type: ignore[arg-type]
    options = (
        (f"`{_with_value(name, settings)}`", settings["help"])
        for name, settings in recorder.options
    )
    kinds = {"bool": "`true` or `false`", "args": "words"}
    ini = (
        (f"`{name}`<br>{kinds.get(settings.get('type', ''), 'text')}", meaning)
        for name, meaning, settings in recorder.ini
    )
    return _page(
        "Command line",
        "## Options of pytest",
        _table(("option", "does"), options),
        "No option and no environment variable changes a threshold.",
        "## Keys of the ini file",
        _table(("key", "meaning"), ini),
        "They stand in `pytest.ini`, or under `[tool.pytest.ini_options]` in `pyproject.toml`. `-o ftgate_...` is "
        "refused.",
        "## Exit status",
        "Pytest's own: 0 if every gate passed, 1 if one did not, a required gate was not judged or a report could not "
        "be written, 4 for a wrong option or ini key. With `--ftgate-plan` and `--ftgate-preview` 1 means that a free "
        "check or a call failed.",
        "## Commands outside pytest",
        "`python -m pytest_ftgate COMMAND` calls no endpoint and judges nothing. An error is one line on standard "
        "error and exit status 2.",
        *_commands(_parser()),
    )


def _with_value(name: str, settings: Mapping[str, Any]) -> str:
    choices = ",".join(settings.get("choices", ()))
    value = settings.get("metavar") or (choices and f"{{{choices}}}")
    return f"{name}={value}" if value else name


_ABOUT = {
    "init": "It finds the `*test*` and the `*train*` file in the folder or in `data`, warns where a gate would fail, "
    "and proposes a metric (`accuracy` for balanced labels, `f1_macro` for more than 10 or "
    "unbalanced ones, `exact_match` for JSON and text) and a margin of 0.05. It writes "
    "`ftgate.yaml`, a test in the first folder of `testpaths`, and, if pytest has no ini file yet, a `pytest.ini` "
    "that makes the gate [required](../protect.md). Existing files are kept unless you pass `--force`; an existing ini "
    "file is never changed.\n\n"
    "`--dedupe` keeps rows with the same input and different outputs: a person has to decide.",
    "compare": "**Worse** is a worse verdict (in the order `pass`, `inconclusive`, `fail`, `error`), a missing gate, a "
    "required gate that is no longer met, or a weaker threshold. Other changes are shown and do not count; latencies "
    "and costs only if they changed by more than 20 %. A gain that lies within the other's bounds is called noise. If "
    "the test set changed, values are not compared.",
    "schema": "Both ship with the package.",
}


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    (commands,) = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    for choice in commands._choices_actions:
        command = commands.choices[choice.dest]
        rows = []
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                value = f" {action.metavar}" if action.metavar and action.option_strings else ""
                rows.append(
                    (
                        f"`{', '.join(action.option_strings) or action.metavar}{value}`",
                        action.help or "",
                    )
                )
        summary = f"{str(choice.help).capitalize()}."
        yield f"### `{choice.dest}`\n\n{summary}\n\n{_table(('argument', 'meaning'), rows)}"
        yield _ABOUT[choice.dest]


_EVALUATE = """```python
from typing import Any


def test_a_larger_model(ftgate_evaluate: Any) -> None:
    run = ftgate_evaluate("recorded:large.jsonl", "test.jsonl")
    assert run.metrics["accuracy"] > 0.8
    first = run.predictions[0][0]  # of the first example
    assert first.completion.text != ""
```"""
_JUDGE = """```python
from pytest_ftgate import judge

result = judge("intents", candidate="recorded:ft.jsonl", margin=0.08)
print(result)  # the block of the terminal
if result.passed:
    print(result.gain, result.candidate.score("accuracy"))
for check in result.checks:
    if check.status == result.verdict:
        print(check.name, check.message, check.advice)
```"""
_REPORT = """```python title="deploy.py"
from pytest_ftgate import read_report

report = read_report("gates.json")
for gate in report:
    print(gate.name, gate.verdict)
for required in report.unjudged:
    print(required.name, required.reason)
if not report.passed:
    raise SystemExit(1)
```"""
_RUN = {
    "metrics": "values by name",
    "predictions": "`predictions[repeat][example]`, each with `id` and `completion` (`text`, `finish`, "
    "`input_tokens`, `output_tokens`, `latency_s`)",
    "test_set": "`test_set.examples` have `id`, `input` and `expected`",
    "model": "`model.name` is its name",
    "fatal": "always `None`: an error that ends the run is raised",
}
_FACTS = {
    "verdict": "`pass`, `fail`, `inconclusive` or `error`; `passed` is true only for `pass`",
    "name, nodeid, location": "the gate, its test, and the line of its marker",
    "metric, margin, max_drop, evidence, confidence": "what was asked for",
    "gain, lower_bound, upper_bound": "the measured gain, and its one-sided bounds at `confidence`; the sign is "
    "turned where lower is better",
    "margin_proven": "whether the lower bound reaches the margin",
    "n, wins, losses": "compared examples, fixed and broken ones",
    "method, note": "how the gain was tested, with its sources; the basis of the bounds",
    "baseline, baselines, candidate": "the best baseline, all by name, and the candidate, as below",
    "gains": "the gain over each baseline, by name",
    "guards, slices, economics, judges, attempt": "one item for each, `null` or empty where there is none",
    "training, test_set": "path, sha256 and counts of the data",
    "hypothesis": "the expectation; the check `hypothesis` says what came of it",
    "checks": "`name`, `kind`, `status`, `observed`, `required`, `source` (`ftgate.yaml:14`), `message`, `advice`",
}
_MODEL_FACTS = {
    "name, model, revision": "its name in reports, and at the endpoint",
    "value, metrics": "the deciding metric, and all by name; `score(name)` is a float, or a `KeyError` that lists what "
    "was measured or says why the gate was not judged",
    "n_expected, n_scored, n_errors": "answers expected, scored, missing",
    "n_stored, n_retries, n_refused": "answers from the store, calls made again, and answers that were refused or "
    "filtered",
    "latency_p50_s, latency_p95_s, input_tokens, output_tokens, cost_usd": "measured; `null` where one answer lacks it",
}
_ROOT = {
    "version": "1",
    "gates": "a `GateResult` for each judged gate",
    "unjudged": "required gates that were not judged or did not pass; changes that `ftgate_forbid_weakening` forbids",
    "allowed_missing": "required gates were listed, not enforced (`--ftgate-allow-missing`)",
    "environment": "when the report was written, in UTC, and versions of packages",
}


def _python_and_json() -> str:
    from pytest_ftgate import plugin
    from pytest_ftgate.reports.json import render_report_schema
    from pytest_ftgate.runs.runner import Run

    if set(_RUN) != {field.name for field in fields(Run)}:
        raise ValueError(
            f"attributes of Run and explanations differ: {set(_RUN) ^ {one.name for one in fields(Run)}}"
        )
    schema = json.loads(render_report_schema())
    parts = (schema, schema["$defs"]["GateResult"], schema["$defs"]["ModelResult"])
    for part, facts in zip(parts, (_ROOT, _FACTS, _MODEL_FACTS), strict=True):
        gone = {name for names in facts for name in names.split(", ")} - set(part["properties"])
        if gone:
            raise ValueError(f"facts that no report has: {gone}")
    mark, _, meaning = plugin._MARK_HELP.rpartition(": ")
    return _page(
        "Python and JSON",
        "## The marker",
        f"`@pytest.mark.{mark}`",
        f"{meaning[0].upper()}{meaning[1:]} The other keys are those of [a gate](gate-file.md#a-gate).",
        "## Fixtures",
        _table(("fixture", "meaning"), _fixtures()),
        "An overridden fixture gives a key of the gate. `ftgate_evaluate` needs no gate; it returns a `Run`, or raises "
        "`FtgateError`:",
        _EVALUATE,
        _table(("attribute of `Run`", "meaning"), _rows(_RUN)),
        "## Outside pytest",
        "`judge` gives the verdict of a test with the marker in a notebook or a training script, from the same gate "
        "file and the same stored answers:",
        _JUDGE,
        "A `GateResult` has no truth value: `if judge(...)` raises `TypeError`, because it would also be true for a "
        "gate that failed.",
        "`read_report(path)` returns the `Report` of a session, a sequence of its gates. `passed` is true only if "
        "gates were judged, all of them passed, and every required gate was met, not only listed:",
        _REPORT,
        "## `GateResult`",
        "The fixture `ftgate`, `judge`, the hooks and the JSON report have the same facts under the same names, always "
        "all of them; what was not measured is `None` (`null`).",
        _table(("facts", "meaning"), _rows(_FACTS)),
        "Facts of each model:",
        _table(("facts", "meaning"), _rows(_MODEL_FACTS)),
        "## The JSON report",
        "`--ftgate-report=json:PATH` writes it; `python -m pytest_ftgate schema --report` prints its JSON Schema "
        "(draft 2020-12), with every name. Within `version: 1` names may be added, never removed or changed. It holds "
        "no secret.",
        _table(("name", "meaning"), _rows(_ROOT)),
        "## Hooks",
        *_hooks(),
    )


def _rows(facts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for names, meaning in facts.items():
        yield ", ".join(f"`{name}`" for name in names.split(", ")), meaning


def _fixtures() -> Iterator[tuple[str, str]]:
    tree = ast.parse(
        (ROOT / "pytest_ftgate" / "plugin" / "__init__.py").read_text(encoding="utf-8")
    )
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any("pytest.fixture" in ast.unparse(one) for one in node.decorator_list):
            kind = ast.unparse(node.returns) if node.returns else ""
            meaning = " ".join(_prose(ast.get_docstring(node) or "").split())
            yield f"`{node.name}`<br>`{kind}`", meaning.removeprefix("Return ")


def _hooks() -> Iterator[str]:
    from pytest_ftgate import hookspecs

    yield _prose(inspect.getdoc(hookspecs) or "")
    for name, function in vars(hookspecs).items():
        if name.startswith("pytest_ftgate_"):
            names = ", ".join(inspect.signature(function).parameters)
            yield f"### `{name}({names})`\n\n{_prose(inspect.getdoc(function) or '')}"


def _prose(text: str) -> str:
    """Convert a docstring to Markdown: roles, double backquotes, and the text after ``::`` as a Python block."""
    text = re.sub(r":\w+:`[~.]?([^`]*)`", r"`\1`", text).replace("``", "`")
    prose, found, code = text.partition("::\n\n")
    return f"{prose}:\n\n```python\n{textwrap.dedent(code)}\n```" if found else prose


def main() -> None:
    """Write the pages, and the schemas that ship with the package."""
    from pytest_ftgate.config import render_json_schema
    from pytest_ftgate.reports.json import render_report_schema

    files = {f"docs/{name}": text for name, text in pages().items()}
    files["pytest_ftgate/ftgate.schema.json"] = render_json_schema()
    files["pytest_ftgate/report.schema.json"] = render_report_schema()
    for name, text in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
