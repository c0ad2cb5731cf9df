"""Hostile answers take time that is linear in their length: whatever reads them, from the first rule to the report.

A gate is judged on answers that repeat the beginnings of what the package's own patterns match, at several lengths.
Four times the length takes 16 times the time if that is quadratic; the limit is 8 times, on any machine.
"""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from gate_project import Project, block, check, write_jsonl

import pytest_ftgate
from pytest_ftgate import Completion
from pytest_ftgate.data import messages, strict_json
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import protocol
from pytest_ftgate.models.openai_api.endpoint import Endpoint, read_answer
from pytest_ftgate.runs import judging
from pytest_ftgate.text import excerpt, one_line, printable

try:
    from re import _parser as sre  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_parse as sre  # type: ignore[no-redef]

PLAIN = [*" \n[{(<\"'\\1-a`#\u0e00", '\\"', "1,", "a "]
JSON = ['{"a":', "[1,", '{"a":[', '"a",', "]", "}", "null "]
CLOSED = [
    "<a></a>",
    "<think>",
    "</",
    "<|channel|>analysis",
    "<|channel|>a<|message|>",
    "<tool_call>",
    "<tool_call>{}",
]


def patterns() -> Iterator[re.Pattern[str]]:
    """Yield all patterns of text in the package's modules."""
    for module in pkgutil.walk_packages(pytest_ftgate.__path__, "pytest_ftgate."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield value


def example_of(tokens: Any, branch: int) -> str:
    """Return a text that a parsed pattern is likely to match; of alternatives it takes that of this number."""
    text = ""
    for name, value in tokens:
        if name is sre.LITERAL:
            text += chr(value)
        elif name is sre.IN:
            text += member_of(value)
        elif name is sre.ANY:
            text += "x"
        elif name is sre.BRANCH:
            branches = value[1]
            text += example_of(branches[branch % len(branches)], branch)
        elif name is sre.SUBPATTERN:
            text += example_of(value[-1], branch)
        elif name in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            text += example_of(value[-1], branch) * max(1, value[0])
    return text


def member_of(members: Any) -> str:
    """Return a character of a set."""
    if members[0][0] is sre.NEGATE:
        return "x"
    name, value = members[0]
    if name is sre.LITERAL:
        return chr(value)
    if name is sre.RANGE:
        return chr(value[0])
    kinds = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_SPACE: " ", sre.CATEGORY_NOT_WORD: "-"}
    return kinds.get(value, "x")


ENDS_OF_WORDS = re.compile(r"(?<=\w)(?=\W)|(?<=\W)(?=\w)|$")


def beginnings() -> list[str]:
    """Return the beginnings of what each pattern matches, which are hostile where they are repeated."""
    texts = [*PLAIN, *JSON, *CLOSED]
    for pattern in patterns():
        parsed = sre.parse(pattern.pattern, pattern.flags)
        for branch in range(2):
            text = example_of(parsed, branch)[:40]
            ends = [end.start() for end in ENDS_OF_WORDS.finditer(text)]
            texts += [text[:end] for end in ends if end]
    return [*dict.fromkeys(texts)]


def hostile(text: str, length: int) -> str:
    """Return a text of this length: a repeated beginning, and an end that matches nothing."""
    return (text * (length // len(text) + 1))[:length] + "\x01"


def seconds(function: Callable[[], object]) -> float:
    """Return the CPU time of a call in this process."""
    begun = time.process_time()
    function()
    return time.process_time() - begun


def check_linear(run: Callable[[int], object], lengths: tuple[int, ...]) -> None:
    """Check that no length takes more than twice what the one before it lets expect."""
    run(lengths[0])  # imports, and tables that are made once
    short_s = seconds(partial(run, lengths[0]))
    for shorter, longer in pairwise(lengths):
        long_s = seconds(partial(run, longer))
        limit = 2 * short_s * longer / shorter + 0.2
        if long_s > limit:  # once more, as one may have met a collection of garbage
            long_s = min(long_s, seconds(partial(run, longer)))
        assert long_s <= limit, f"{longer} characters: {long_s:.2f} s, {shorter}: {short_s:.2f} s"
        short_s = long_s


# --- whole gates -----------------------------------------------------------------------------------------------

CALL = [{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}]
FORMAT = {"name": "format", "pattern": "[a-z]{1,9}", "max_chars": 10, "strip_code_fence": True}
GATES: dict[str, tuple[Any, list[Any]]] = {
    "labels": (["refund", "invoice", "shipping"], ["accuracy", "exact_match", "f1_macro", FORMAT]),
    "several labels": ([["refund", "invoice"], ["shipping"]], ["labels_f1", "labels_exact"]),
    "numbers": (
        [17.5, 1200, -3],
        [
            {"name": "within", "tolerance": 0.5},
            {"name": "absolute_error", "cap": 100},
        ],
    ),
    "objects": (
        [{"city": "Oslo", "days": 3}, {"city": "Rome", "tags": ["a", "b"]}],
        ["field_f1", "exact_match"],
    ),
    "calls": ([CALL, CALL * 2], ["tool_call_f1", "tool_call_exact"]),
    "text": (
        ["He left the old house at noon.", "A small boat lay on the shore."],
        ["rouge_l", "token_f1"],
    ),
}


@pytest.mark.parametrize("kind", GATES)
def test_a_gate_on_hostile_answers_takes_linear_time(project: Project, kind: str) -> None:
    outputs, metrics = GATES[kind]
    texts = beginnings()

    def expected(row: int) -> Any:
        return outputs[row % len(outputs)]

    project.test_set(len(texts), expected=expected)
    rows = [{"input": f"training question {row}", "expected": expected(row)} for row in range(200)]
    project.training_set(0, rows)

    def judge(length: int) -> None:
        for name, side in (("base.jsonl", 0), ("ft.jsonl", 1)):
            answers = []
            for row, text in enumerate(texts):
                output = hostile(text, length) if row % 2 == side else expected(row)
                answers.append({"id": f"t{row}", "output": output})
            write_jsonl(project.path / name, answers)
        gate = project.judge(metric=metrics)
        assert gate["candidate"]["n_scored"] == len(texts), block(gate)
        block(gate, verbose=True)

    check_linear(judge, (500, 2_000, 8_000))


# --- what reads one answer, up to 256 kB -------------------------------------------------------------------------


def served(text: str) -> object:
    """Read a body whose every text is hostile."""
    message = {"content": text, "tool_calls": [{"function": {"name": "f", "arguments": text}}]}
    choice = {"message": message, "finish_reason": text}
    try:
        return read_answer(
            {"choices": [choice], "model": text}, Endpoint("http://127.0.0.1/v1", "m")
        )
    except ModelError as error:
        return error


READERS: dict[str, Callable[[str], object]] = {
    "reasoning": lambda text: protocol.without_reasoning(Completion(text), "auto"),
    "reasoning after a tag": lambda text: protocol.without_reasoning(
        Completion(f"<think>{text}"), "auto"
    ),
    "reasoning in the tag": lambda text: protocol.without_reasoning(
        Completion(f"<think {text}>"), "auto"
    ),
    "reasoning in given tags": lambda text: protocol.without_reasoning(
        Completion(text), ("<a>", "</a>")
    ),
    "ending": protocol.finish_of,
    "calls": messages.calls_in,
    "calls for people": messages.readable_calls,
    "JSON": strict_json.json_or,
    "a judge's score": lambda text: judging._NUMBER.fullmatch(text),
    "a body": served,
    "an excerpt": lambda text: (excerpt(text), one_line(text), printable(text)),
}
LONG = [
    *PLAIN,
    *JSON,
    *CLOSED,
    "<think",
    "</think",
    "[/",
    "<|end_",
    '{"a":1,"a":1},',
    "-q1",
    "stop",
    "refund\n",
]


@pytest.mark.parametrize("name", READERS)
def test_what_reads_an_answer_takes_linear_time(name: str) -> None:
    for text in LONG:

        def read(length: int, text: str = text) -> None:
            READERS[name](hostile(text, length))

        check_linear(read, (4_000, 16_000, 64_000, 256_000))


# --- what is nested deeply ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [150, 900, 100_000])
@pytest.mark.parametrize(
    "metric", ["field_f1", "exact_match", {"name": "accuracy", "json_field": "days"}]
)
def test_an_answer_that_is_nested_deeply_is_wrong(
    project: Project, metric: Any, depth: int
) -> None:
    outputs = [{"days": 1}, {"days": 2}]
    rows = [
        {"input": f"training question {row}", "expected": outputs[row % 2]} for row in range(200)
    ]
    project.test_set(60, expected=lambda row: outputs[row % 2])
    project.training_set(0, rows)
    project.predictions("base.jsonl", 60, output=lambda row: outputs[row % 2 and row % 3 == 0])
    text = '{"days":' * depth + "1" + "}" * depth
    project.predictions("ft.jsonl", 60, output=lambda row: text if row == 5 else outputs[row % 2])
    gate = project.judge(metric=metric)
    assert (gate["verdict"], gate["candidate"]["value"]) == ("pass", pytest.approx(59 / 60)), block(
        gate
    )


def test_a_value_that_is_nested_deeply_is_an_error_of_that_answer(project: Project) -> None:
    def answer(text: str) -> Any:
        value: Any = 1
        for _ in range(5_000):
            value = [value]
        return value if text.endswith(" 5") else "refund"

    gate = project.judge(candidate=answer)
    finding = check(gate, "candidate_answers")
    assert "test.jsonl:6" in finding["message"]
    assert gate["verdict"] == "error"
