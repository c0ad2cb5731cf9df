"""Writes docs/reference/ from the code, and docs/limits.md from README: python tools/reference.py

The tests make these pages again and compare, so that what they say of keys, options, hooks, metrics, fixtures and
reports is what the code says.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
NOTE = "<!-- Made by tools/reference.py: edit the code, or the part of README, that it is made from. -->"

_NO_VALUES: tuple[Any, ...] = (None, [], {})
_KINDS = {
    "right_wrong": "right or wrong",
    "graded": "graded",
    "set": "whole set",
}
_GATE_DEFS = (
    "GateKeys", "DataKeys", "AlternativesKeys", "AlternativeKeys", "MetricKeys", "BoundKeys", "HypothesisKeys",
    "GuardKeys", "SliceKeys", "AuditKeys", "EconomicsKeys", "ClockKeys",
)  # fmt: skip
_MODEL_DEFS = ("OpenAIKeys", "PythonKeys", "RecordedKeys", "OtherKeys", "FewShot", "Retrieval", "Latency", "Price")
_METRIC_DEFS = ("RubricKeys", "PreferenceKeys", "HumanPreferenceKeys", "CalibrationKeys")
_PAGES = {"gate-keys.md": _GATE_DEFS, "model-keys.md": _MODEL_DEFS, "metrics.md": _METRIC_DEFS}
_TITLES = {
    "GateKeys": "A gate",
    "DataKeys": "A data set",
    "AlternativesKeys": "Baselines made from one model",
    "AlternativeKeys": "An alternative",
    "MetricKeys": "A metric",
    "BoundKeys": "A bound under `require`",
    "HypothesisKeys": "`hypothesis`",
    "GuardKeys": "A guard",
    "SliceKeys": "`slices`",
    "AuditKeys": "`audit`",
    "EconomicsKeys": "`economics`",
    "ClockKeys": "`clock`",
    "OpenAIKeys": "`provider: openai`",
    "PythonKeys": "`provider: python`",
    "RecordedKeys": "`provider: recorded`",
    "OtherKeys": "Other providers",
    "FewShot": "`few_shot`",
    "Retrieval": "`retrieval`",
    "Latency": "`latency`",
    "Price": "`price`",
    "RubricKeys": "`rubric`",
    "PreferenceKeys": "`preference`",
    "HumanPreferenceKeys": "`human_preference`",
    "CalibrationKeys": "`calibration`",
}
_MODELS = frozenset(("OpenAIKeys", "PythonKeys", "RecordedKeys", "OtherKeys"))
_METRICS = frozenset(("RubricKeys", "PreferenceKeys", "HumanPreferenceKeys", "MetricKeys"))


def pages() -> dict[str, str]:
    """All generated pages as text, by their path under ``docs``."""
    return {
        "reference/gate-keys.md": _gate_keys(),
        "reference/model-keys.md": _model_keys(),
        "reference/metrics.md": _metrics(),
        "reference/options.md": _options(),
        "reference/fixtures.md": _fixtures(),
        "reference/hooks.md": _hooks(),
        "reference/report.md": _report(),
        "limits.md": _limits(),
    }


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    for line in lines:
        broken = [cell for cell in line if "|" in cell or "\n" in cell]
        if broken:
            raise ValueError(f"this cannot stand in a table: {broken[0]!r}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- keys ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Schema:
    """The schema of the gate file, and the page from which links are made."""

    whole: Mapping[str, Any]
    page: str

    def section(self, name: str) -> str:
        part = self.whole["$defs"][name]
        rows = self.table(part)
        more = ["", "Further keys are handed to what takes them."] if part.get("additionalProperties") is True else []
        return "\n".join([f"## {_TITLES[name]}", "", part["description"], "", rows, *more])

    def table(self, part: Mapping[str, Any]) -> str:
        required = part.get("required", ())
        return _table(
            ("key", "value", "default", "meaning"),
            ((f"`{key}`", self.kind(one), _default(key, one, required), self.meaning(one))
             for key, one in part["properties"].items()),
        )  # fmt: skip

    def meaning(self, part: Mapping[str, Any]) -> str:
        said: str = part.get("description") or self.whole["$defs"][part["$ref"].rpartition("/")[2]]["description"]
        return said

    def kind(self, part: Mapping[str, Any]) -> str:
        """What may be written, in words."""
        if "$ref" in part:
            return self._link(part["$ref"].rpartition("/")[2])
        if "const" in part:
            return f"`{json.dumps(part['const'])}`" if not isinstance(part["const"], str) else f"`{part['const']}`"
        if "enum" in part:
            return ", ".join(f"`{one}`" for one in part["enum"])
        if "anyOf" in part:
            return self._any_of(part["anyOf"])
        if part.get("type") == "array":
            return f"list of {self.kind(part['items'])}" if part.get("items") else "list"
        if part.get("type") == "object":
            values = part.get("additionalProperties")
            return f"mapping of names to {self.kind(values)}" if isinstance(values, Mapping) and values else "mapping"
        words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
        return words[part["type"]] + _limits_of(part) if "type" in part else "anything"

    def _any_of(self, parts: Sequence[Mapping[str, Any]]) -> str:
        """Models and metrics have many forms, and one name."""
        names = {part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part}
        if names >= _MODELS and len(names) == len(parts) - 1:
            return self._link("model")
        if names >= _METRICS and len(names) == len(parts) - 1:
            return self._link("metric")
        return " or ".join(dict.fromkeys(self.kind(part) for part in parts))

    def _link(self, name: str) -> str:
        general = {"model": ("a model", "model-keys.md"), "metric": ("a metric", "metrics.md")}
        if name in general:
            words, page = general[name]
            return f"[{words}]({page})"
        (page,) = [page for page, names in _PAGES.items() if name in names]
        title = _TITLES[name]
        return f"[{_spoken(title)}]({'' if page == self.page else page}#{_anchor(title)})"


def _spoken(title: str) -> str:
    return title if title.startswith("`") else title[0].lower() + title[1:]


def _anchor(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.replace("`", "").lower()).strip("-")


def _limits_of(part: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{words[name]} {part[name]:g}" for name in words if name in part]
    return f", {' and '.join(found)}" if found else ""


def _default(key: str, part: Mapping[str, Any], required: Sequence[str]) -> str:
    if key in required:
        return "required"
    value = part.get("default")
    if any(value == one for one in _NO_VALUES):
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _schema(page: str) -> _Schema:
    from pytest_ftgate.config import render_json_schema

    whole = json.loads(render_json_schema())
    placed = sorted(name for names in _PAGES.values() for name in names)
    if placed != sorted(whole["$defs"]):
        raise ValueError(f"keys without a page, or pages without keys: {set(placed) ^ set(whole['$defs'])}")
    return _Schema(whole, page)


def _gate_keys() -> str:
    schema = _schema("gate-keys.md")
    return _page(
        "Keys of gates",
        "These keys stand in `ftgate.yaml` under `gates.NAME`, or under `defaults` for all gates; in the mark "
        "`@pytest.mark.ftgate(...)`; or, for models and data, in an overridden [fixture](fixtures.md). The nearest "
        "wins, key by key: the mark, a fixture, the gate, the defaults. Paths are relative to the file in which they "
        "are written. A key that does not exist is an error that names the nearest one.",
        "The same as a JSON Schema, for editors: `python -m pytest_ftgate schema`.",
        "## The gate file\n\n" + schema.table(schema.whole),
        *(schema.section(name) for name in _GATE_DEFS),
    )  # fmt: skip


def _model_keys() -> str:
    from pytest_ftgate.config.models import SPELLINGS

    schema = _schema("model-keys.md")
    spellings = ", ".join(f"`{one}`" for one in SPELLINGS.split(", "))
    return _page(
        "Keys of models",
        f"A model is a name under `models` in the gate file; a spelling ({spellings}); a mapping with a `provider`; "
        "or, in Python code, a callable (`str -> str`, sync or async), which is asked anew in each session.",
        *(schema.section(name) for name in _MODEL_DEFS),
    )


# --- metrics -------------------------------------------------------------------------------------------------

_MEASURES = {
    "accuracy": "the share of answers that are the expected label",
    "balanced_accuracy": "the mean over labels of recall",
    "f1": "F1 of one of two labels, `pos_label`",
    "precision": "precision of one of two labels, `pos_label`",
    "recall": "recall of one of two labels, `pos_label`",
    "f1_macro": "F1 of each label, averaged: each label counts the same",
    "f1_micro": "F1 of all labels' counts together",
    "f1_weighted": "F1 of each label, averaged by how often it is expected",
    "precision_macro": "precision, averaged as `f1_macro`",
    "precision_micro": "precision, averaged as `f1_micro`",
    "precision_weighted": "precision, averaged as `f1_weighted`",
    "recall_macro": "recall, averaged as `f1_macro`",
    "recall_micro": "recall, averaged as `f1_micro`",
    "recall_weighted": "recall, averaged as `f1_weighted`",
    "matthews_corrcoef": "the correlation of answered and expected labels",
    "cohen_kappa": "agreement with the expected labels beyond chance",
    "exact_match": "the share of answers that are the expected text or JSON value",
    "format": "the share of answers that have [the form](../format-and-extraction.md) asked for",
    "field_f1": "F1 of the [fields](../format-and-extraction.md) of JSON answers",
    "field_accuracy": "the share of [fields](../format-and-extraction.md) that are right",
    "token_f1": "F1 of [tokens](../text-metrics.md), in any order",
    "rouge_l": "the longest common subsequence of [words](../text-metrics.md)",
    "chrf": "F-score of runs of [characters](../text-metrics.md)",
    "edit_similarity": "1 less the [edit distance](../text-metrics.md) by the length of the longer text",
    "bleu": "[corpus BLEU](../text-metrics.md) by 100",
    "embedding_similarity": "cosine of [vectors](../text-metrics.md) that a function of yours makes",
    "command": "what [a command](../command-metric.md) says of an answer",
    "rubric": "the grade that [a judge](../judges.md) gives",
    "preference": "the share of pairs in which [a judge](../judges.md) prefers the candidate",
    "human_preference": "the share of pairs in which [people](../judges.md#people) prefer the candidate",
}
_OPTION_MEANINGS = {
    "normalize": "differences that do not count: `unicode`, `case`, `whitespace`, `punctuation`, or a list of them; "
    "for fields see [there](../format-and-extraction.md)",
    "pattern": "of labels: a regular expression that finds the label in an answer (its first group, where it has one); "
    "of `format`: one that the whole answer must match",
    "json_field": "where in a JSON answer the label stands, as `result.label`",
    "labels": "the labels that are averaged over; those of the test set where absent",
    "pos_label": "the label that counts as positive",
    "json_schema": "a JSON Schema, or the path of one, that the value must be valid by",
    "type": "`json`, `yaml`, `xml` or `csv`",
    "allowed": "the list of all answers that hold",
    "min_chars": "the fewest characters",
    "max_chars": "the most characters",
    "strip_code_fence": "`true`: one Markdown fence around the whole answer does not count",
    "fields": "dotted names of the fields that count; all that the test set expects where absent",
    "average": "`micro`, `macro` or `samples`",
    "lists": "`sequence`, or `set`: in any order",
    "tolerance": "how far numbers may lie apart: a number, or a mapping of fields",
    "tokenize": "sacrebleu's tokenizer: `13a`, `intl`, `zh`, `char` or `none`",
    "embed": "the function that makes vectors, as `python:module:function`",
    "argv": "the program and its arguments, a list",
    "score": "`exit_code`, or a pattern with one group that finds a number in the output",
    "low": "the lowest number",
    "high": "the highest number",
    "greater_is_better": "the direction",
    "timeout_s": "seconds of one run",
    "concurrency": "runs at once",
}
_NEEDED_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"pos_label": "yes"} for name in ("f1", "precision", "recall")},
    "format": {"type": "json"},
    "embedding_similarity": {"embed": "python:builtins:len"},
    "command": {"argv": ["true"]},
}
_EXPECTED = {
    **dict.fromkeys(("field_f1", "field_accuracy"), ('{"a": 1}', '{"a": 2}')),
    "bleu": ("a text of four words", "another text of five words"),
}


@dataclass
class _Seen:
    """What building a metric asked for."""

    options: tuple[str, ...] = ()
    extra: str = ""


def _watched(name: str) -> tuple[Any, _Seen]:
    """The metric, built as a gate builds it, with the options that it allows and the extra that it loads."""
    from pytest_ftgate.config import MetricSpec, Source
    from pytest_ftgate.metrics import bleu, build_metric, similarity
    from pytest_ftgate.metrics.options import Options, needed

    seen = _Seen()

    def allow(_: Options, *keys: str) -> None:
        seen.options = keys

    def load(options: Options, module: str, *, extra: str) -> Any:
        seen.extra = extra
        return needed(options, module, extra=extra)

    spec = MetricSpec(name, _NEEDED_OPTIONS.get(name, {}), Source("file", "the reference", ROOT))
    with (
        mock.patch.object(Options, "allow", allow),
        mock.patch.object(similarity, "needed", load),
        mock.patch.object(bleu, "needed", load),
    ):
        return build_metric(spec, labels=_EXPECTED.get(name, ("no", "yes")), custom={}), seen


def _judged(name: str) -> Any:
    """A metric that a judge or people make: what is known of it without them. Its keys are in the schema."""
    from pytest_ftgate.metrics import judged

    return {"rubric": judged.Rubric, "preference": judged.Preference, "human_preference": judged.HumanPreference}[name]


def _metrics() -> str:
    from pytest_ftgate.metrics import BUILT_IN, judged

    schema = _schema("metrics.md")
    if set(_MEASURES) != set(BUILT_IN):
        raise ValueError(f"metrics that are not explained, or are none: {set(_MEASURES) ^ set(BUILT_IN)}")
    rows, takers = [], dict[str, list[str]]()
    for name in BUILT_IN:
        metric, seen = (_judged(name), _Seen()) if name in judged.NAMES else _watched(name)
        extra = "format" if name == "format" else seen.extra
        for option in seen.options:
            takers.setdefault(option, []).append(name)
        rows.append(
            (f"`{name}`", _MEASURES[name], _KINDS[metric.kind], _range(name, metric), f"`{extra}`" if extra else "")
        )
    if set(_OPTION_MEANINGS) != set(takers):
        raise ValueError(f"options that are not explained, or are none: {set(_OPTION_MEANINGS) ^ set(takers)}")
    options = ((f"`{option}`", _named(takers[option]), meaning) for option, meaning in _OPTION_MEANINGS.items())
    return _page(
        "Metrics",
        "`metric` is a name, or a mapping of `name` and options; so are the entries of `show`, and `metric` under "
        "`require`, `guards` and `hypothesis`. Greater is better by all of them, but for a `command` that says "
        "otherwise.",
        "**kind**: each answer is right or wrong; or each is graded by a number; or only the whole set has a value. "
        "How a gain is judged depends on it: see [How sure is the gain?](../evidence.md).",
        _table(("name", "measures", "kind", "range", "extra"), rows),
        '**extra**: `pip install "pytest-ftgate[EXTRA]"`; `format` needs it for `json_schema` alone. Metrics of your '
        "own come by [a hook](hooks.md): see "
        "[A metric and a provider of your own](../howto/custom-metric-and-provider.md).",
        "Under `require` there are, besides: `latency_p50_s` and `latency_p95_s` in seconds, `cost_usd`, and "
        "`error_rate`, the share of answers that never arrived.",
        "## Options",
        _table(("option", "of", "meaning"), options),
        *(schema.section(name) for name in _METRIC_DEFS),
    )  # fmt: skip


def _range(name: str, metric: Any) -> str:
    if name == "command":
        return "0 to 1, or `low` to `high`"
    if name == "rubric":
        return "`scale`"
    return f"{metric.low:g} to {metric.high:g}"


def _named(names: Sequence[str]) -> str:
    """Names of metrics; those of labels are one family."""
    from pytest_ftgate.metrics.classification import NAMES as OF_LABELS

    if set(OF_LABELS) <= set(names):
        names = ["all metrics of labels", *(name for name in names if name not in OF_LABELS)]
    elif set(OF_LABELS) - {"accuracy"} <= set(names):
        names = ["all metrics of labels but accuracy", *(name for name in names if name not in OF_LABELS)]
    return ", ".join(name if " " in name else f"`{name}`" for name in names)


# --- options, fixtures, hooks --------------------------------------------------------------------------------


class _Parser:
    """Hears what the plugin adds to pytest's command line and ini file."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, str, dict[str, Any]]] = []

    def getgroup(self, *_: str) -> _Parser:
        return self

    def addoption(self, name: str, **settings: Any) -> None:
        self.options.append((name, settings))

    def addini(self, name: str, help: str, **settings: Any) -> None:  # noqa: A002  # pytest's own name for it
        self.ini.append((name, help, settings))


def _options() -> str:
    from pytest_ftgate import plugin
    from pytest_ftgate.cli.commands import _parser

    heard = _Parser()
    plugin.pytest_addoption(heard)  # type: ignore[arg-type]
    options = ((f"`{_with_value(name, settings)}`", settings["help"]) for name, settings in heard.options)
    ini = (
        (f"`{name}`", {"bool": "`true` or `false`", "args": "words"}.get(settings.get("type", ""), "text"), said)
        for name, said, settings in heard.ini
    )
    return _page(
        "Options and ini keys",
        "## Of pytest",
        _table(("option", "does"), options),
        "No option and no environment variable changes a threshold.",
        "## In the ini file",
        _table(("key", "value", "meaning"), ini),
        "These stand in `pytest.ini`, or under `[tool.pytest.ini_options]` in `pyproject.toml`. `-o ftgate_...` is "
        "refused.",
        "## Of `python -m pytest_ftgate`",
        *_commands(_parser()),
        "More: [On the command line](../command-line.md).",
    )


def _with_value(name: str, settings: Mapping[str, Any]) -> str:
    value = settings.get("metavar") or ",".join(settings.get("choices", ()))
    return f"{name}={value}" if value else name


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for choice in commands._choices_actions:
        command = commands.choices[choice.dest]
        rows = []
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                value = f" {action.metavar}" if action.metavar and action.option_strings else ""
                rows.append((f"`{', '.join(action.option_strings) or action.metavar}{value}`", action.help or ""))
        yield f"### `{choice.dest}`\n\n{choice.help}\n\n{_table(('argument', 'meaning'), rows)}"


def _fixtures() -> str:
    tree = ast.parse((ROOT / "pytest_ftgate" / "plugin" / "__init__.py").read_text(encoding="utf-8"))
    rows = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any("pytest.fixture" in ast.unparse(one) for one in node.decorator_list):
            kind = ast.unparse(node.returns) if node.returns else ""
            rows.append((f"`{node.name}`", f"`{kind}`", _prose(ast.get_docstring(node) or "")))
    from pytest_ftgate import plugin

    mark, _, said = plugin._MARK_HELP.rpartition(": ")
    return _page(
        "Mark and fixtures",
        "## The mark",
        f"`@pytest.mark.{mark}`",
        f"{said[0].upper()}{said[1:]} The keys are those of [a gate](gate-keys.md).",
        "## Fixtures",
        _table(("fixture", "type", "meaning"), rows),
        "An overridden fixture is a layer of the gate's keys: see [Keys of gates](gate-keys.md). `ftgate` gives a "
        "`GateResult`, whose names are those of [the report](report.md#gateresult).",
    )


def _hooks() -> str:
    from pytest_ftgate import hookspecs

    sections = []
    for name, function in vars(hookspecs).items():
        if name.startswith("pytest_ftgate_"):
            names = ", ".join(inspect.signature(function).parameters)
            sections.append(f"## `{name}({names})`\n\n{_prose(inspect.getdoc(function) or '')}")
    return _page("Hooks", _prose(inspect.getdoc(hookspecs) or ""), *sections)


def _prose(text: str) -> str:
    """A docstring as Markdown: roles and double backquotes, and what follows ``::`` as Python."""
    text = re.sub(r":\w+:`[~.]?([^`]*)`", r"`\1`", text).replace("``", "`")
    said, shown, code = text.partition("::\n\n")
    return f"{said}:\n\n```python\n{textwrap.dedent(code)}\n```" if shown else said


# --- the report, limits --------------------------------------------------------------------------------------


def _report() -> str:
    from pytest_ftgate.reports.json import render_report_schema

    schema = json.loads(render_report_schema())
    defs = schema["$defs"]
    first = ["GateResult", "ModelResult", "Check"]
    names = first + [name for name in defs if name not in first]
    return _page(
        "The JSON report",
        "`--ftgate-report=json:PATH` writes it; the fixture `ftgate` is one `GateResult` of it, and so is "
        "what `pytest_ftgate_gate_finished` is given. Every name is always there, and `null` where nothing was "
        "measured. The same as a JSON Schema: `python -m pytest_ftgate schema --report`.",
        "## The whole\n\n" + _fields(schema),
        *(f"## {name}\n\n{defs[name]['description']}\n\n{_fields(defs[name])}" for name in names),
    )  # fmt: skip


def _fields(part: Mapping[str, Any]) -> str:
    explained = any("description" in one for one in part["properties"].values())
    rows = [
        (f"`{name}`", _json_kind(one), *([one.get("description", "")] if explained else []))
        for name, one in part["properties"].items()
    ]
    return _table(("name", "type", "meaning") if explained else ("name", "type"), rows)


def _json_kind(part: Mapping[str, Any]) -> str:
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in part:
        return " or ".join(_json_kind(one) for one in part["anyOf"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "enum" in part:
        return ", ".join(f"`{one}`" for one in part["enum"])
    kinds = part.get("type", "anything")
    if kinds == "array":
        inner = [_json_kind(one) for one in part.get("prefixItems", ())] or [_json_kind(part.get("items") or {})]
        return f"list of {', '.join(inner)}"
    if kinds == "object" and isinstance(part.get("additionalProperties"), Mapping):
        return f"mapping of names to {_json_kind(part['additionalProperties'])}"
    words = {"object": "mapping", "null": "`null`"}
    return " or ".join(words.get(one, one) for one in ([kinds] if isinstance(kinds, str) else kinds))


def _limits() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## Limits\n(.*?)^The package", readme, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("README has no section Limits that ends before 'The package'")
    return _page(
        "Limits",
        "What a green gate does not say, and what no plugin can close.",
        found[1],
        "## Of single parts",
        "- [Evidence](evidence.md): what each method takes for granted.\n"
        "- [The training set](training-set.md): copies and paraphrases that are not seen.\n"
        "- [Judges](judges.md): prompt injection, and a judge's taste.\n"
        "- [Batches](batch.md#limits), [fine-tuning jobs](jobs.md#other-endpoints), "
        "[money](money.md#what-unknown-means).",
    )


def main() -> None:
    for name, text in pages().items():
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
