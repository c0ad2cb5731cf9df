"""Generate docs/reference/ and the JSON Schema from the code: python tools/reference.py

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
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
NOTE = "<!-- By tools/reference.py -->"

_NO_VALUES: tuple[Any, ...] = (None, [], {})
_HUGE = 10**9
"""Limits as large as this only keep numbers finite, and are not worth a reader's time."""
_GATE_SECTIONS = {
    "DefaultKeys": "`defaults`",
    "GateKeys": "A gate",
    "DataKeys": "A data set",
    "ThresholdKeys": "A threshold",
    "BaselineKeys": "A baseline with its own standard",
    "HypothesisKeys": "`hypothesis`",
    "GuardKeys": "A guard",
    "SliceKeys": "`slices`",
    "HalfKeys": "`candidate_half`",
    "AgreementKeys": "`agreement`",
    "EconomicsKeys": "`economics`",
    "TrainingCostKeys": "A training cost",
    "CandidatePriceKeys": "A price of the candidate",
    "Price": "`price`",
}
_METRIC_SECTIONS = {
    "RubricKeys": "`rubric`",
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
    **{name: ("gate-file.md", title) for name, title in _GATE_SECTIONS.items()},
    **{name: ("metrics-and-checks.md", title) for name, title in _METRIC_SECTIONS.items()},
    **dict.fromkeys(_MODELS, ("gate-file.md", "Models")),
    "PreferenceKeys": ("metrics-and-checks.md", "`rubric`"),
    "MetricKeys": ("metrics-and-checks.md", "Metrics"),
    "ChecksKeys": ("metrics-and-checks.md", "Checks"),
}
"""The page and the heading of each class of keys."""


def pages() -> dict[str, str]:
    """Return all generated files as text, by their path under ``docs``."""
    reference = {
        "reference/gate-file.md": _gate_file(),
        "reference/metrics-and-checks.md": _metrics_and_checks(),
        "reference/command-line.md": _command_line(),
        "reference/python-and-json.md": _python_and_json(),
    }
    return {**reference, "llms.txt": _site_list(reference)}


def _site_list(reference: Mapping[str, str]) -> str:
    """Return the list of the site's pages for language models (llmstxt.org), as in mkdocs.yml."""
    import yaml

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    sections = [f"# {site['site_name']}", f"> {site['site_description']}"]
    for title, names in _groups_of_pages(site["nav"]):
        links = [f"## {title}", ""]
        for name in names:
            text = reference.get(name) or (ROOT / "docs" / name).read_text(encoding="utf-8")
            heading = text.partition("\n")[0].removeprefix("# ")
            link = "index.html" if name == "index.md" else f"{name.removesuffix('.md')}/"
            links.append(f"- [{heading}]({link})")
        sections.append("\n".join(links))
    return "\n\n".join(sections) + "\n"


def _groups_of_pages(nav: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the groups of the navigation that hold pages: ``Guides: Before training``."""
    for section in nav:
        for title, entries in section.items():
            if all(isinstance(entry, str) for entry in entries):
                yield title, entries
                continue
            for inner, pages in _groups_of_pages(entries):
                yield f"{title}: {inner}", pages


def _page(title: str, *sections: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *(section.strip("\n") for section in sections)]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    for line in lines:
        for cell in line:
            if "|" in cell or "\n" in cell:
                raise ValueError(f"a table cell cannot hold this: {cell!r}")
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


# --- keys ----------------------------------------------------------------------------------------


_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "null": "`null`",
}


class _Schema:
    """Hold the schema of the gate file, and the page that links are relative to."""

    def __init__(self, page: str) -> None:
        from pytest_ftgate.config import render_json_schema

        self.whole: Mapping[str, Any] = json.loads(render_json_schema())
        self.definitions: Mapping[str, Any] = self.whole["$defs"]
        self.page = page
        if set(_PLACES) != set(self.definitions):
            raise ValueError(f"keys and pages differ: {set(_PLACES) ^ set(self.definitions)}")

    def section(self, name: str) -> str:
        definition = self.definitions[name]
        return f"## {_PLACES[name][1]}\n\n{definition['description']}\n\n{self.table(definition)}"

    def table(self, definition: Mapping[str, Any]) -> str:
        required = definition.get("required", ())
        rows = []
        for key, schema in definition["properties"].items():
            if "/properties/" not in schema.get("$ref", ""):  # a key of another section
                meaning = self.meaning(schema) + _example(key, schema)
                rows.append((self.key_cell(key, schema, required), meaning))
        return _table(("key", "meaning"), rows)

    def key_cell(self, key: str, schema: Mapping[str, Any], required: Sequence[str] = ()) -> str:
        """Return a key, its values and its default: on a phone its meaning is beside it."""
        default = _default(schema)
        state = ""
        if key in required:
            state = "; required"
        elif default:
            state = f"; default {default}"
        return f"`{key}`<br>{self.kind(schema)}{state}"

    def meaning(self, schema: Mapping[str, Any]) -> str:
        text: str = schema.get("description") or self.definitions[_name_of(schema)]["description"]
        return text

    def kind(self, schema: Mapping[str, Any]) -> str:
        """Describe the values that are allowed."""
        if "$ref" in schema:
            return self._link(_name_of(schema))
        if "const" in schema:
            return _code(schema["const"])
        if "enum" in schema:
            return ", ".join(map(_code, schema["enum"]))
        if "anyOf" in schema:
            return self._any_of(schema["anyOf"])
        if schema.get("type") == "array":
            return f"list of {self.kind(schema['items'])}" if schema.get("items") else "list"
        if schema.get("type") == "object":
            values = schema.get("additionalProperties")
            if isinstance(values, Mapping) and values:
                return f"mapping of names to {self.kind(values)}"
            return "mapping"
        if "type" in schema:
            return _KINDS[schema["type"]] + _limits_of(schema)
        return "anything"

    def _any_of(self, schemas: Sequence[Mapping[str, Any]]) -> str:
        """Describe alternatives; the many forms of a model or a metric have one name each."""
        names = {_name_of(schema) for schema in schemas if "$ref" in schema}
        models = "#models" if self.page == "gate-file.md" else "gate-file.md#models"
        links = ((f"[a model]({models})", _MODELS), ("[a metric](metrics-and-checks.md)", _METRICS))
        for link, forms in links:
            if names >= forms:
                kinds = [link]
                for schema in schemas:
                    if "$ref" not in schema and schema.get("type") != "string":
                        kinds.append(self.kind(schema))
                return " or ".join(kinds)

        return " or ".join(dict.fromkeys(map(self.kind, schemas)))

    def _link(self, name: str) -> str:
        page, title = _PLACES[name]
        words = title if title.startswith("`") else title[0].lower() + title[1:]
        return f"[{words}]({'' if page == self.page else page}#{_anchor(title)})"


def _name_of(schema: Mapping[str, Any]) -> str:
    """Return the name of the definition that a schema refers to."""
    reference: str = schema["$ref"]
    return reference.rpartition("/")[2]


def _anchor(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.replace("`", "").lower()).strip("-")


def _code(value: Any) -> str:
    """Return a value as it is written in YAML, as code."""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _example(key: str, schema: Mapping[str, Any]) -> str:
    """Return the sentence that shows a key as a gate file has it; empty for one with a default."""
    from pytest_ftgate.config.forms import form

    for example in schema.get("examples", ()):
        return f"<br>`{form(key, example, in_python=False, is_keyword=False)}`"
    return ""


def _limits_of(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    limits = []
    for name, word in words.items():
        if name in schema and schema[name] < _HUGE:
            limits.append(f"{word} {schema[name]:g}")
    return f", {' and '.join(limits)}" if limits else ""


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    if any(value == nothing for nothing in _NO_VALUES):
        return ""
    return _code(value)


def _gate_file() -> str:
    schema = _Schema("gate-file.md")
    *sections, price = _GATE_SECTIONS
    return _page(
        "The gate file",
        "These keys are for `gates.NAME` in `ftgate.yaml`, for `defaults` of all gates, and for "
        "the marker `@pytest.mark.ftgate(...)`; [the nearest "
        "wins](../concepts.md#marker-fixture-file). Paths are relative to the file in which they "
        "are written.",
        "For completion in an editor write `python -m pytest_ftgate schema > "
        "ftgate.schema.json`, and put `# yaml-language-server: $schema=ftgate.schema.json` at the "
        "top of the gate file.",
        "## The file\n\n" + schema.table(schema.whole),
        *map(schema.section, sections),
        _models(schema),
        schema.section(price),
    )


def _models(schema: _Schema) -> str:
    """Return one table of the keys of all providers, with a column for each provider."""
    from pytest_ftgate.config.models import SPELLINGS

    providers = {provider: schema.definitions[name] for provider, name in _PROVIDERS.items()}
    keys: dict[str, None] = {}
    for provider in providers.values():
        keys.update(dict.fromkeys(provider["properties"]))
    del keys["provider"]

    spellings = ", ".join(_code(spelling) for spelling in SPELLINGS.split(", "))
    intro = (
        f"A model is a name under `models` in the gate file, a string ({spellings}), a mapping "
        "with one `provider` of the columns, or in Python code a callable. `{extends: NAME, ...}` "
        "replaces some keys of another model. *Others* are providers of the hook "
        "`pytest_ftgate_model`. A cell has the default, or says that the key is possible."
    )
    columns = [name if name == "others" else f"`{name}`" for name in providers]
    rows = [_model_row(schema, providers, key) for key in keys]
    return "\n\n".join(("## Models", intro, _table(("key", "meaning", *columns), rows)))


@dataclass(frozen=True)
class _ModelKey:
    """The description of a key in the schema of one provider: ``TEXT Default: DEFAULT. MORE``."""

    text: str
    default: str
    addition: str

    @classmethod
    def of(cls, description: str) -> _ModelKey:
        text, _, default_and_more = description.partition(" Default: ")
        default, _, addition = default_and_more.partition(". ")
        return cls(text, default.rstrip("."), addition)


def _model_row(schema: _Schema, providers: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the key, its meaning, and what each provider makes of it."""
    schemas = {}
    described = {}
    for name, provider in providers.items():
        if key in provider["properties"]:
            schemas[name] = provider["properties"][key]
            described[name] = _ModelKey.of(schema.meaning(schemas[name]))

    texts = dict.fromkeys(facts.text for facts in described.values())
    additions = [facts.addition for facts in described.values() if facts.addition]
    meaning = " ".join([" Or: ".join(texts), *additions])

    cells = []
    for name, provider in providers.items():
        if name not in described:
            cells.append("")
        elif key in provider.get("required", ()):
            cells.append("required")
        else:
            cells.append(described[name].default or "yes")
    first = next(iter(schemas.values()))
    return schema.key_cell(key, first), meaning + _example(key, first), *cells


# --- metrics -------------------------------------------------------------------------------------

_MEASURES = {
    "accuracy": "share of answers that equal the expected label",
    "balanced_accuracy": "mean recall over all labels",
    "f1": "F1 of one of two labels, `pos_label`",
    "precision": "precision of `pos_label`",
    "recall": "recall of `pos_label`",
    "f1_macro": "mean F1 over all labels, each with the same weight",
    "f1_micro": "F1 of the counts of all labels together",
    "f1_weighted": "mean F1, weighted by how often each label is expected",
    "precision_macro": "as `f1_macro`",
    "precision_micro": "as `f1_micro`",
    "precision_weighted": "as `f1_weighted`",
    "recall_macro": "as `f1_macro`",
    "recall_micro": "as `f1_micro`",
    "recall_weighted": "as `f1_weighted`",
    "matthews_corrcoef": "Matthews correlation of answered and expected labels",
    "cohen_kappa": "agreement with the expected labels beyond chance",
    "exact_match": "share of answers that equal the expected text or JSON value",
    "format": "share of answers in the [required format](../metrics.md#format)",
    "labels_f1": "F1 of [several labels](../metrics.md#several-labels), averaged over examples",
    "labels_exact": "share of answers whose labels are exactly the expected ones",
    "within": "share of [numbers](../metrics.md#numbers) within `tolerance` or `relative` of the "
    "expected one",
    "absolute_error": "mean distance of numbers from the expected one; lower is better",
    "field_f1": "F1 of the [fields](../metrics.md#extraction) of JSON answers",
    "tool_call_exact": "share of answers that make the right [calls](../metrics.md#tool-calls)",
    "tool_call_f1": "F1 of the calls of an answer",
    "token_f1": "F1 of the [tokens](../metrics.md#free-text), regardless of order",
    "rouge_l": "F1 of the longest common subsequence of words",
    "edit_similarity": "1 minus the edit distance divided by the length of the longer text",
    "rubric": "grade from an [LLM judge](../judges.md)",
    "preference": "share of pairs in which an LLM judge prefers the candidate",
    "human_preference": "share of pairs in which [people](../judges.md#people) prefer the "
    "candidate",
}
_NEEDED_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"pos_label": "yes"} for name in ("f1", "precision", "recall")},
    "format": {"max_chars": 80},
    "within": {"tolerance": 1},
    "absolute_error": {"cap": 10},
}
_TOOL_CALLS = ('[{"name": "f", "arguments": {"a": 1}}]',)
_EXPECTED = {
    "field_f1": ('{"a": 1}', '{"a": 2}'),
    "within": ("1", "2"),
    "absolute_error": ("1", "2"),
    "tool_call_exact": _TOOL_CALLS,
    "tool_call_f1": _TOOL_CALLS,
}
"""Outputs that a metric can expect; of all other metrics they are labels."""


def _built(name: str) -> tuple[Any, tuple[str, ...], str]:
    """Build a metric as a gate does; return it, the options that it allows, and its extra."""
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
    with mock.patch.object(Options, "allow", allow), mock.patch.object(text, "needed", load):
        metric = build_metric(spec, labels=_EXPECTED.get(name, ("no", "yes")), custom={})

    # The first call has the metric's options: a mapping among them may allow keys of its own.
    return metric, allowed[0], extras[-1]


def _judged(name: str) -> Any:
    """Return the class of a judged metric, which cannot be built without its judge."""
    from pytest_ftgate.metrics import judged

    classes = {
        "rubric": judged.Rubric,
        "preference": judged.Preference,
        "human_preference": judged.HumanPreference,
    }
    return classes[name]


def _metrics(schema: _Schema) -> Iterator[str]:
    from pytest_ftgate.config import forms
    from pytest_ftgate.config.metric_options import OPTIONS
    from pytest_ftgate.metrics import built_in_names, judged

    if set(_MEASURES) != set(built_in_names()):
        raise ValueError(
            f"metrics and explanations differ: {set(_MEASURES) ^ set(built_in_names())}"
        )

    rows = []
    takers: dict[str, list[str]] = {}
    for name in built_in_names():
        if name in judged.NAMES:  # their keys are in the schema
            rows.append(_metric_row(name, _judged(name), extra=""))
            continue
        metric, taken, extra = _built(name)
        rows.append(_metric_row(name, metric, extra))
        for option_name in taken:
            takers.setdefault(option_name, []).append(name)

    if set(OPTIONS) != set(takers):
        raise ValueError(f"options and explanations differ: {set(OPTIONS) ^ set(takers)}")

    options = []
    for name, option in OPTIONS.items():
        form = forms.form(name, option.example, in_python=False, is_keyword=False)
        options.append((f"`{name}`<br>{_family_of(takers[name])}", f"{option.meaning}<br>`{form}`"))

    yield "## Metrics"
    yield (
        "**kind**: each answer is right or wrong (`right wrong`), or has a score (`graded`), or "
        "only the whole set has a value (`set`); the [statistical test](../methods.md) depends on "
        "it. Values are from 0 to 1 where nothing else is said. An *extra* is installed with `pip "
        'install ".[NAME]"`. `thresholds` also accepts `latency_p50_s`, `latency_p95_s`, '
        "`cost_usd` and `error_rate`, the share of missing answers."
    )
    yield _table(("name", "measures", "kind"), rows)
    yield "## Options"
    yield _table(("option", "meaning"), options)
    yield from _metric_sections(schema)


def _metric_row(name: str, metric: Any, extra: str) -> tuple[str, str, str]:
    measures = [_MEASURES[name]]
    if name == "absolute_error":
        measures.append("from 0 to `cap`")
    elif name != "rubric" and (metric.low, metric.high) != (0, 1):
        measures.append(f"from {metric.low:g} to {metric.high:g}")

    if name == "format":
        measures.append("extra `format` for `json_schema`")
    elif extra:
        measures.append(f"extra `{extra}`")
    return f"`{name}`", "; ".join(measures), metric.kind.replace("_", " ")


def _metric_sections(schema: _Schema) -> Iterator[str]:
    """Return the sections of the judged metrics; ``preference`` has no table of its own."""
    rubric = set(schema.definitions["RubricKeys"]["properties"])
    preference = set(schema.definitions["PreferenceKeys"]["properties"])
    if rubric - preference != {"scale"} or preference - rubric:
        raise ValueError(f"rubric and preference differ in {rubric ^ preference}")

    for name in _METRIC_SECTIONS:
        yield schema.section(name)
        if name == "RubricKeys":
            yield "`preference` has the same keys, except for `scale`."


def _family_of(names: Sequence[str]) -> str:
    """Return the names of metrics as text, with the label metrics as one family."""
    from pytest_ftgate.metrics.classification import ONE_LABEL

    if not set(ONE_LABEL) <= set(names):
        return ", ".join(f"`{name}`" for name in names)
    single_names = [f"`{name}`" for name in names if name not in ONE_LABEL]
    return ", ".join(["all of labels", *single_names])


# --- checks --------------------------------------------------------------------------------------

_STAGES = {"free": "Before any call", "answered": "After the answers", "scored": "After the scores"}


def _checks() -> Iterator[str]:
    """Return the section of the checks, with a table for each stage."""
    from pytest_ftgate.check_names import CHECKS

    yield "## Checks"
    yield (
        "A check is printed under its name, with a cure. One that *decides* is `fail`, "
        "`inconclusive` or `error`. The others have a default, and `checks: {NAME: fail}` (or "
        "`warn`, `ignore`) in the gate changes it. A level below the default is reported in every "
        "run. Under `-v` a check that does not hold shows its sentence."
    )
    for stage, heading in _STAGES.items():
        rows = []
        for name, check in CHECKS.items():
            if check.stage == stage:
                printed_name = f"{name}.NAME" if name in ("thresholds", "guards") else name
                level = "warn, fail above a limit" if check.default == "limit" else check.default
                rows.append((f'<a id="check-{name}"></a>`{printed_name}`<br>{level}', check.rule))
        yield f"### {heading}"
        yield _table(("name, default", "does not hold when"), rows)


def _metrics_and_checks() -> str:
    return _page(
        "Metrics and checks",
        "`metric` is a name, a mapping with `name` and options, or a list of them: the first "
        "decides, the others are shown.",
        *_metrics(_Schema("metrics-and-checks.md")),
        *_checks(),
    )


# --- options and commands ------------------------------------------------------------------------


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

    options = []
    for name, settings in recorder.options:
        options.append((f"`{_with_value(name, settings)}`", settings["help"]))

    kinds = {"bool": "`true` or `false`", "args": "words"}
    ini_keys = []
    for name, meaning, settings in recorder.ini:
        kind = kinds.get(settings.get("type", ""), "text")
        ini_keys.append((f"`{name}`<br>{kind}", meaning))

    return _page(
        "Command line",
        "## Options of pytest",
        _table(("option", "does"), options),
        "No option and no environment variable changes a threshold.",
        "## Keys of the ini file",
        _table(("key", "meaning"), ini_keys),
        "Write them in `pytest.ini`, or under `[tool.pytest.ini_options]` in `pyproject.toml`. "
        "`-o ftgate_...` is refused.",
        "## Exit status",
        "Pytest's own: 0 if every gate passed, 1 if one did not, a required gate was not judged "
        "or a report could not be written, 4 for a wrong option or ini key. With `--ftgate-plan` "
        "and `--ftgate-preview` 1 means that a free check or a call failed.",
        "## Commands outside pytest",
        "`python -m pytest_ftgate COMMAND` calls no endpoint and judges nothing. An error is one "
        "line on standard error and exit status 2.",
        *_commands(_parser()),
    )


def _with_value(name: str, settings: Mapping[str, Any]) -> str:
    choices = ",".join(settings.get("choices", ()))
    value = settings.get("metavar") or (choices and f"{{{choices}}}")
    return f"{name}={value}" if value else name


_ABOUT = {
    "init": "It looks in the folder and in `data`, warns of what would fail, and proposes a metric "
    "and a margin of 0.05. It writes `ftgate.yaml`, a test and, if pytest has no ini file yet, a "
    "`pytest.ini` that makes the gate [required](../protect.md). Existing files are never changed.",
    "split": "Groups, copies and near copies stay on one side, and each label has its share of the "
    "test set. The files are written beside the original. Of rows that repeat, the test set has "
    "one; rows with the same input and different outputs stay in the training set.",
    "dedupe": "It takes out copies, near copies and what the set itself repeats, but no row whose "
    "input has another output, too.",
    "compare": "**Worse** is a worse verdict (in the order `pass`, `inconclusive`, `fail`, "
    "`error`), a missing gate, a required gate that is no longer met, or a weaker threshold. Other "
    "changes are shown; latencies and costs only if they changed by more than 20 %. If the test "
    "set changed, values cannot be compared.",
    "schema": "It ships with the package ([editors](gate-file.md)).",
}


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Return a section for each command, with a table of its arguments."""
    (commands,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    for choice in commands._choices_actions:
        rows = []
        for action in commands.choices[choice.dest]._actions:
            if not isinstance(action, argparse._HelpAction):
                rows.append((f"`{_argument(action)}`", action.help or ""))

        text = str(choice.help)
        summary = f"{text[0].upper()}{text[1:]}."
        yield f"### `{choice.dest}`\n\n{summary}"
        if rows:
            yield _table(("argument", "meaning"), rows)
        yield _ABOUT[choice.dest]


def _argument(action: argparse.Action) -> str:
    """Return an argument as one writes it, with its value."""
    if not action.option_strings:
        return str(action.metavar)
    names = ", ".join(action.option_strings)
    return f"{names} {action.metavar}" if action.metavar else names


# --- Python and JSON -----------------------------------------------------------------------------

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
_FACTS = {
    "verdict": "`pass`, `fail`, `inconclusive` or `error`; `passed` is true only for `pass`",
    "name, nodeid, location": "the gate, its test, and the first line of the test",
    "metric, margin, max_drop, evidence, confidence": "what was required",
    "gain, lower_bound, upper_bound": "the measured gain, and its one-sided bounds at "
    "`confidence`; the sign is turned where lower is better",
    "margin_proven": "whether the lower bound reaches the margin",
    "n, fixed, broken": "the compared examples, and how many of them were fixed and broken",
    "method, note": "how the gain was tested, with its sources; the basis of the bounds",
    "baseline, baselines, candidate": "the best baseline, all by name, and the candidate, as below",
    "gains": "the gain over each baseline, by name",
    "more_data": "what the last doubling of the training set brought, by `candidate_half`: `gain`, "
    "its bounds, what is `missing`, and the `answer`: `yes`, `no` or `cannot tell`",
    "guards, slices, economics, attempt": "one item for each, `null` or empty where there is none",
    "training, test_set, unlabeled": "path, sha256 and counts of the data; `to_label`: inputs "
    "whose label decides and is missing",
    "hypothesis": "the expectation; the check `hypothesis` says what came of it",
    "checks": "`name`, `kind`, `status`, `observed`, `required`, `source` (`ftgate.yaml:14`), "
    "`message`, `cure`",
}
_MODEL_FACTS = {
    "name, model, revision": "its name in reports, and at the endpoint",
    "value, metrics": "the deciding metric, and all by name; `score(name)` is a float, or a "
    "`KeyError` that lists what was measured or says why the gate was not judged",
    "n_expected, n_scored, n_errors": "answers expected, scored, missing",
    "n_stored, n_retries, n_refused": "answers from the store, calls made again, and answers that "
    "were refused or filtered",
    "mean_length": "characters of an answer on average; `null` where no answer is judged",
    "latency_p50_s, latency_p95_s, input_tokens, output_tokens, cost_usd": "measured; `null` where "
    "one answer lacks it",
}
_ROOT = {
    "version": "1",
    "gates": "a `GateResult` for each judged gate",
    "unjudged": "required gates that were not judged or did not pass; changes that "
    "`ftgate_forbid_weakening` forbids; other errors of the session",
    "allowed_missing": "required gates were listed, not enforced (`--ftgate-allow-missing`)",
    "environment": "when the report was written, in UTC, and versions of packages",
}


def _python_and_json() -> str:
    from pytest_ftgate import plugin

    _check_names()
    mark, _, meaning = plugin._MARK_HELP.rpartition(": ")
    return _page(
        "Python and JSON",
        "## The marker",
        f"`@pytest.mark.{mark}`",
        f"{meaning[0].upper()}{meaning[1:]} The other keys are those of [a "
        "gate](gate-file.md#a-gate).",
        "## Fixtures",
        _table(("fixture", "meaning"), _fixtures()),
        "An overridden fixture [gives a key of the gate](../fixtures.md). `ftgate_evaluate` needs "
        "no gate; it returns a `Run`, or raises `FtgateError`:",
        _EVALUATE,
        "A `Run` has `metrics` by name, `predictions[repeat][example]` (each with `id` and "
        "`completion`: `text`, `finish`, `input_tokens`, `output_tokens`, `latency_s`), "
        "`test_set.examples` and `model.name`.",
        "## Outside pytest",
        "`judge` gives the verdict of a test with the marker in a notebook or a training script, "
        'from the same gate file (`./ftgate.yaml`, or `judge(..., config="PATH")`) '
        "and the same stored answers:",
        _JUDGE,
        "A `GateResult` has no truth value: `if judge(...)` raises `TypeError`, because it would "
        "also be true for a gate that failed.",
        "`read_report(path)` returns the `Report` of a session, a sequence of its gates. `passed` "
        "is true only if gates were judged, all of them passed, and every required gate was met, "
        "not only listed:",
        _REPORT,
        "## `GateResult`",
        "The fixture `ftgate`, `judge`, the hooks and the JSON report have the same facts under "
        "the same names, always all of them; what was not measured is `None` (`null`).",
        _table(("facts", "meaning"), _rows(_FACTS)),
        "Facts of each model:",
        _table(("facts", "meaning"), _rows(_MODEL_FACTS)),
        "## The JSON report",
        "`--ftgate-report=json:PATH` writes it; within `version: 1` names may be added, "
        "never removed or changed "
        "([policy](https://github.com/pytest-ftgate/pytest-ftgate/blob/main/CHANGELOG.md"
        "#versions-and-deprecation)). It holds no secret.",
        _table(("name", "meaning"), _rows(_ROOT)),
        "## Hooks",
        *_hooks(),
    )


def _check_names() -> None:
    """Raise a ValueError where a fact that is explained does not exist."""
    from pytest_ftgate.reports.json import Report
    from pytest_ftgate.result import GateResult, ModelResult

    for described, facts in ((Report, _ROOT), (GateResult, _FACTS), (ModelResult, _MODEL_FACTS)):
        explained = {name for names in facts for name in names.split(", ")}
        missing = explained - {field.name for field in fields(described)}
        if missing:
            raise ValueError(f"facts that no report has: {missing}")


def _rows(facts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for names, meaning in facts.items():
        yield ", ".join(f"`{name}`" for name in names.split(", ")), meaning


def _fixtures() -> Iterator[tuple[str, str]]:
    """Return the name and kind of each fixture of the plugin, and its docstring in one cell."""
    path = ROOT / "pytest_ftgate" / "plugin" / "__init__.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any("pytest.fixture" in ast.unparse(decorator) for decorator in node.decorator_list):
            kind = ast.unparse(node.returns) if node.returns else ""
            meaning = _prose(ast.get_docstring(node) or "").removeprefix("Return ")
            yield f"`{node.name}`<br>`{kind}`", " ".join(meaning.split())


def _hooks() -> Iterator[str]:
    from pytest_ftgate import hookspecs

    yield _prose(inspect.getdoc(hookspecs) or "")
    for name, function in vars(hookspecs).items():
        if name.startswith("pytest_ftgate_"):
            parameters = ", ".join(inspect.signature(function).parameters)
            yield f"### `{name}({parameters})`\n\n{_prose(inspect.getdoc(function) or '')}"


def _prose(text: str) -> str:
    """Convert a docstring to Markdown: roles, backquotes, and a Python block after ``::``."""
    text = re.sub(r":\w+:`[~.]?([^`]*)`", r"`\1`", text).replace("``", "`")
    prose, is_followed, code = text.partition("::\n\n")
    if not is_followed:
        return prose
    return f"{prose}:\n\n```python\n{textwrap.dedent(code)}\n```"


def main(root: Path = ROOT) -> None:
    """Write the pages, and the schema that ships with the package."""
    from pytest_ftgate.config import render_json_schema

    files = {f"docs/{name}": text for name, text in pages().items()}
    files["pytest_ftgate/ftgate.schema.json"] = render_json_schema()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
