"""Tool calls of an answer against those that are expected: whether all are the same, and the F1 of calls.

Expected are calls (``[{"name", "arguments"}]``, or the shape of the OpenAI API), or text or ``[]``
where no tool is to be called. By default the order of calls does not matter, and a call too many is
wrong.

``tool_call_f1`` counts, for each example, the calls that can be paired with an expected one of the
same name and arguments: 2 x pairs / (expected + made). Ragas calls the same measure ToolCallF1;
promptfoo's ``tool-call-f1`` compares names alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pytest_ftgate.data import example, messages, strict_json
from pytest_ftgate.metrics import json_values, protocol
from pytest_ftgate.metrics.options import Options, did_you_mean, without_fence

NAMES = ("tool_call_exact", "tool_call_f1")
NO_CALL = "[]"
"""What is compared of an answer that calls no tool."""

EXTRA = ("wrong", "ignore")
_UNREADABLE = {"name": "(unreadable call)", "arguments": {}}
_ARGUMENTS = ("lists", "normalize", "tolerance")

Call = Mapping[str, Any]


@dataclass(frozen=True)
class ToolCallMetric(protocol.Metric):
    """One of :data:`NAMES`.

    ``rules`` say when two values of an argument are the same; ``tools`` has the form of the
    arguments that the test set expects, by the names of the tools that it declares or calls;
    ``may_be_text``: some rows expect no call.
    """

    name: str
    kind: protocol.Kind
    order: bool
    extra: str
    ignore_arguments: frozenset[str]
    rules: json_values.JsonRules
    tools: Mapping[str, json_values.JsonForm]
    may_be_text: bool
    calls_tools = True
    form = "calls of the declared tools"

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        return protocol.by_example(
            self, [_expected_calls(value) for value in expected], answers, self._score
        )

    def has_form(self, answer: str) -> bool:
        """Return whether one of an answer's calls names a declared tool with arguments of the expected types.

        Where some rows expect no call, a text that names no tool has the form of the task, too.
        """
        calls = _calls_made(answer)
        if not calls and self.may_be_text:
            return self._named.search(answer) is None
        return any(map(self._is_call, calls))

    @cached_property
    def _named(self) -> re.Pattern[str]:
        """Return a pattern of the names of all tools, as words."""
        names = "|".join(map(re.escape, self.tools))
        return re.compile(rf"(?<!\w)(?:{names})(?!\w)")

    def _is_call(self, call: Call) -> bool:
        form = self.tools.get(call["name"])
        if form is None or not form.keys:
            return call["name"] in self.tools
        arguments = call["arguments"]
        expected = {key: value for key, value in arguments.items() if key in form.keys}
        return form.fits(arguments) and all(form.fits_under(*pair) for pair in expected.items())

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the calls of each answer as they are compared: an answer without any is ``[]``."""
        return [None if answer is None else self._read(answer) for answer in answers]

    def _read(self, answer: str) -> str:
        calls = _calls_made(answer)
        texts = [
            example.canonical_json({"name": call["name"], "arguments": self._compared(call)})
            for call in calls
        ]
        return f"[{','.join(texts if self.order else sorted(texts))}]"

    def _score(self, wanted: Sequence[Call], answer: str | None) -> float:
        if answer is None:
            return 0.0
        made = _calls_made(answer)
        ours, theirs = (
            [(call["name"], self._compared(call)) for call in calls] for calls in (wanted, made)
        )
        same = [
            [one[0] == other[0] and self.rules.same(one[1], other[1]) for other in theirs]
            for one in ours
        ]
        # How many expected calls can be paired with one that was made, each with one at most.
        pairs = _in_order(same) if self.order else json_values.most_pairs(same)
        surplus = 0 if self.extra == "ignore" else len(made) - pairs
        if self.name != "tool_call_f1":
            return float(pairs == len(wanted) and not surplus)
        total = len(wanted) + pairs + surplus
        return 2 * pairs / total if total else 1.0

    def _compared(self, call: Call) -> dict[str, Any]:
        return {
            key: value
            for key, value in call["arguments"].items()
            if key not in self.ignore_arguments
        }


def _in_order(same: Sequence[Sequence[bool]]) -> int:
    """Return the length of the longest common subsequence."""
    best = [0] * (len(same[0]) + 1) if same else [0]
    for row in same:
        above = list(best)
        for j, match in enumerate(row):
            best[j + 1] = above[j] + 1 if match else max(above[j + 1], best[j])
    return best[-1]


def _calls_made(answer: str) -> list[dict[str, Any]]:
    """Return the calls of an answer; a call that cannot be read is one that equals no expected call."""
    calls = messages.calls_in(without_fence(answer))
    if calls is None:
        return [_UNREADABLE] if messages.calls_tool(answer) or "<tool_call>" in answer else []
    return calls


def _expected_calls(value: Any) -> list[dict[str, Any]]:
    """Return the calls of an expected output; none of plain text, such as ``42``.

    Raise :class:`ValueError`.
    """
    if isinstance(value, str):
        value = strict_json.json_or(value, messages.calls_in(value))
    return messages.canonical_calls(value) if isinstance(value, list | Mapping) else []


def build(options: Options) -> ToolCallMetric:
    """Build a metric of tool calls. Raise :class:`ConfigError`."""
    options.allow("order", "extra", "ignore_arguments", "arguments")
    expected = [_calls_of(options, text) for text in options.expected]
    if options.expected and not any(expected):
        what = f"{options.metric} compares tool calls, and the test set expects none"
        cure = 'Expect calls, as in expected: [{"name": "get_weather", "arguments": {"city": "Oslo"}}].'
        raise options.error(what, cure=cure)
    names = frozenset(name for calls in expected for call in calls for name in call["arguments"])
    ignored = frozenset(options.labels("ignore_arguments", "argument names") or ())
    if unknown := sorted(ignored - names):
        what = f"ignore_arguments names {unknown[0]!r}, which no expected call has"
        raise options.error(
            what, key="ignore_arguments", cure=did_you_mean(unknown[0], sorted(names))
        )
    kind: protocol.Kind = "graded" if options.metric == "tool_call_f1" else "right_wrong"
    order, extra = options.flag("order"), options.choice("extra", EXTRA)
    written = options.spec.options.get("arguments", {})
    if not isinstance(written, Mapping):
        raise options.wrong_type("arguments", written, f"a mapping of {', '.join(_ARGUMENTS)}")
    inner = replace(options, spec=replace(options.spec, options=dict(written)))
    inner.allow(*_ARGUMENTS)
    rules = json_values.read_rules(inner, names)
    calls = [call for answer in expected for call in answer]
    tools = _tools(options, calls)
    return ToolCallMetric(
        options.metric, kind, order, extra, ignored, rules, tools, not all(expected)
    )


def _tools(options: Options, calls: Sequence[Call]) -> dict[str, json_values.JsonForm]:
    """Return the form of the arguments of each tool that the rows declare or the expected calls name."""
    arguments: dict[str, list[Any]] = {}
    for row in options.examples:
        for name in messages.declared_tools(row.fields.get("tools")):
            arguments.setdefault(name, [])
    for call in calls:
        arguments.setdefault(call["name"], []).append(call["arguments"])
    return {name: json_values.JsonForm.of(values) for name, values in arguments.items()}


def _calls_of(options: Options, text: str) -> list[dict[str, Any]]:
    try:
        return _expected_calls(text)
    except ValueError as error:
        raise options.error(
            f"{options.metric}: {error}", evidence=text, cure="Correct the test set."
        ) from None
