"""Tool calls of an answer against those that are expected: all of them, or the F1 of calls.

Expected are calls (``[{"name", "arguments"}]``, or the shape of the OpenAI API), or text or ``[]``
where no tool is to be called. By default the order of calls does not matter, and a call too many is
wrong.

``tool_call_f1`` counts, for each example, the calls that can be paired with an expected one of the
same name and arguments: 2 x pairs / (expected + made). Ragas calls the same measure ToolCallF1;
promptfoo's ``tool-call-f1`` compares names alone.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from pytest_ftgate.data import example, messages, strict_json
from pytest_ftgate.metrics.json_differences import Comparison
from pytest_ftgate.metrics.json_values import (
    JsonForm,
    JsonRules,
    most_pairs,
    read_rules,
    refuse_unknown,
)
from pytest_ftgate.metrics.options import Options, without_fence
from pytest_ftgate.metrics.protocol import Answers, Kind, Metric, Scored, by_example

NAMES = ("tool_call_exact", "tool_call_f1")
EXTRA = ("wrong", "ignore")
_UNREADABLE = {"name": "(unreadable call)", "arguments": {}}
_ARGUMENTS = ("lists", "normalize", "tolerance")

Call = Mapping[str, Any]


@dataclass(frozen=True)
class ToolCallMetric(Metric):
    """One of :data:`NAMES`.

    Attributes:
        rules: when two values of an argument are the same.
        tools: the form of the arguments that the test set expects, by the names of the tools that
            it declares or calls.
        may_be_text: whether some rows expect no call.
    """

    name: str
    kind: Kind
    order: bool
    extra: str
    ignore_arguments: frozenset[str]
    rules: JsonRules
    tools: Mapping[str, JsonForm]
    may_be_text: bool
    calls_tools = True
    form = "calls of the declared tools"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        calls = list(map(_expected_calls, expected))
        return by_example(self, calls, answers, self._score)

    def has_form(self, answer: str) -> bool:
        """Return whether a call names a declared tool with arguments of the expected types.

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
        """Return whether a call names a declared tool with arguments of the expected types."""
        form = self.tools.get(call["name"])
        # without an expected argument there is no type to compare
        if form is None or not form.keys:
            return form is not None
        for key, value in call["arguments"].items():
            if key in form.keys and not form.fits_under(key, value):
                return False
        return form.fits(call["arguments"])

    def read(self, answer: str) -> str:
        """Return the calls of an answer as they are compared: one without any is ``[]``."""
        texts = []
        for call in _calls_made(answer):
            compared = {"name": call["name"], "arguments": self._arguments(call)}
            texts.append(example.canonical_json(compared))
        return f"[{','.join(texts if self.order else sorted(texts))}]"

    def _score(self, expected: Sequence[Call], answer: str | None) -> float:
        if answer is None:
            return 0.0

        calls = _calls_made(answer)
        are_same = []
        for expected_call in expected:
            are_same.append([self._are_same(expected_call, call) for call in calls])

        # each expected call is paired with one at most
        pairs = _in_order(are_same) if self.order else len(most_pairs(are_same))
        surplus = len(calls) - pairs
        if self.extra == "ignore":
            surplus = 0
        if self.name == "tool_call_exact":
            return float(pairs == len(expected) and not surplus)

        total = len(expected) + pairs + surplus
        return 2 * pairs / total if total else 1.0

    def _are_same(self, expected: Call, call: Call) -> bool:
        if expected["name"] != call["name"]:
            return False
        return Comparison(self.rules).same(self._arguments(expected), self._arguments(call))

    def _arguments(self, call: Call) -> dict[str, Any]:
        """Return the arguments of a call that are compared."""
        arguments = dict(call["arguments"])
        for name in self.ignore_arguments:
            arguments.pop(name, None)
        return arguments


def _in_order(are_same: Sequence[Sequence[bool]]) -> int:
    """Return the length of the longest common subsequence."""
    if not are_same:
        return 0
    # the longest one up to each column, in the rows so far
    lengths = [0] * (len(are_same[0]) + 1)
    for row in are_same:
        above = list(lengths)
        for column, is_same in enumerate(row):
            lengths[column + 1] = max(above[column + 1], lengths[column])
            if is_same:
                lengths[column + 1] = above[column] + 1
    return lengths[-1]


def _calls_made(answer: str) -> list[dict[str, Any]]:
    """Return the calls of an answer; one that cannot be read equals no expected call."""
    calls = messages.calls_in(without_fence(answer))
    if calls is not None:
        return calls
    is_call = messages.calls_tool(answer) or "<tool_call>" in answer
    return [_UNREADABLE] if is_call else []


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
    by_output = [_calls_of(options, text) for text in options.expected]
    calls = list(chain(*by_output))
    if options.expected and not calls:
        cure = (
            "Expect calls, as in expected: "
            '[{"name": "get_weather", "arguments": {"city": "Oslo"}}].'
        )
        raise options.error(
            f"{options.metric} compares tool calls, and the test set expects none", cure=cure
        )

    names = set[str]()
    for call in calls:
        names.update(call["arguments"])

    ignored = frozenset(options.labels("ignore_arguments", "argument names") or ())
    refuse_unknown(options, "ignore_arguments", sorted(ignored), names)

    return ToolCallMetric(
        name=options.metric,
        kind="graded" if options.metric == "tool_call_f1" else "right_wrong",
        order=options.flag("order"),
        extra=options.choice("extra", EXTRA),
        ignore_arguments=ignored,
        rules=_argument_rules(options, names),
        tools=_tools(options, calls),
        may_be_text=not all(by_output),
    )


def _argument_rules(options: Options, names: Collection[str]) -> JsonRules:
    written = options.spec.options.get("arguments", {})
    if not isinstance(written, Mapping):
        raise options.wrong("arguments", written, f"a mapping of {', '.join(_ARGUMENTS)}")
    inner = replace(options, spec=replace(options.spec, options=dict(written)))
    inner.allow(*_ARGUMENTS)
    return read_rules(inner, names)


def _tools(options: Options, calls: Sequence[Call]) -> dict[str, JsonForm]:
    """Return the form of the arguments of each tool that rows declare or expected calls name."""
    arguments: dict[str, list[Any]] = {}
    for row in options.examples:
        for name in messages.declared_tools(row.fields.get("tools")):
            arguments.setdefault(name, [])
    for call in calls:
        arguments.setdefault(call["name"], []).append(call["arguments"])
    return {name: JsonForm.of(values) for name, values in arguments.items()}


def _calls_of(options: Options, text: str) -> list[dict[str, Any]]:
    try:
        return _expected_calls(text)
    except ValueError as error:
        raise options.error(
            f"{options.metric}: {error}", evidence=text, cure="Correct the test set."
        ) from None
