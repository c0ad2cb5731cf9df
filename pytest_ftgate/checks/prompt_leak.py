"""The rule that the candidate's prompt holds neither test inputs nor expected outputs.

It is a leak where the prompt holds a test input of at least five words, or half of the shorter
ones; where a field of its template is, or holds as words, the expected output and no other one of
nine in ten examples, each output weighing the same; or where each value of the field always stands
for one output, and there are no more values than outputs.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_ftgate.checks.audit.wording import MOST
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import Input, expected_text, normalized_input, texts_in
from pytest_ftgate.metrics.labels import are_labels
from pytest_ftgate.result import Check
from pytest_ftgate.text import EXCERPT, plural, printable

_WORDS = 5
"""The fewest words of an input that is in no prompt by chance."""
_SHORT_SHARE = 0.5
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def check(gate: Context) -> Iterator[Check]:
    """Check that the candidate's prompt, without its training rows, does not hold the test set."""
    model = gate.models["candidate"]
    source = str(gate.config.candidate.source)
    prompt = model.prompt
    if prompt is None:
        return

    for name in prompt.fields:
        values = [example.fields.get(name) for example in gate.test]
        rows = revealing_rows(values, gate.expected)
        if rows:
            message = _field_message(gate, name, rows)
            cure = "Remove the field from the template."
            if not gate.config.accepts("prompt_leak"):
                cure += " If it is the text in which the model has to find the answer, accept "
                cure += "it: checks: {prompt_leak: warn}."
            yield Check(
                "prompt_leak",
                "fail",
                message,
                observed=len(rows),
                required=0,
                source=source,
                cure=cure,
            )

    text = "\n".join([prompt.system or "", prompt.template or "", *texts_in(model.params)])
    rows = held_inputs(text, [example.input for example in gate.gain_set])
    if rows:
        message = f"the prompt of the candidate {model.name} contains {_named_rows(gate, rows)}"
        cure = "Use examples from the training set instead (few_shot), or remove these from the "
        cure += "test set."
        yield Check(
            "prompt_leak", "fail", message, observed=len(rows), required=0, source=source, cure=cure
        )


def _field_message(gate: Context, name: str, rows: Sequence[int]) -> str:
    example = gate.test.examples[rows[0]]
    value = printable(expected_text(example.fields.get(name)), EXCERPT)
    output = printable(expected_text(example.expected), EXCERPT)
    message = f"the template of the candidate {gate.models['candidate'].name} uses "
    message += f"{{{printable(name, EXCERPT)}}}, which reveals the expected output of "
    return message + f"{_named_rows(gate, rows)}: {value!r} for {output!r}"


def _named_rows(gate: Context, rows: Sequence[int]) -> str:
    examples = plural(len(gate.gain_set), "test example")
    return f"{len(rows):,} of {examples}, first {gate.gain_set.where(rows[0])}"


def held_inputs(prompt: str, inputs: Sequence[Input]) -> list[int]:
    """Return the rows whose input a prompt holds as words; those of short inputs only if half.

    The input of a conversation is the last message of the user.
    """
    text = f" {_words_of(prompt)} "
    long_rows: list[int] = []
    short_rows: list[int] = []
    n_short = 0
    for row, conversation in enumerate(inputs):
        words = _words_of(_question_of(conversation))
        is_short = words.count(" ") + 1 < _WORDS
        n_short += is_short
        if words and f" {words} " in text:
            rows = short_rows if is_short else long_rows
            rows.append(row)

    # a prompt may hold a short text by chance, but not half of them
    if len(short_rows) < _SHORT_SHARE * n_short:
        return long_rows
    return sorted([*long_rows, *short_rows])


def _question_of(conversation: Input) -> str:
    if isinstance(conversation, str):
        return conversation
    turns = [turn for turn in conversation if turn["role"] == "user"]
    return normalized_input(tuple(turns[-1:]))


def revealing_rows(values: Sequence[Any], expected: Sequence[Any]) -> list[int]:
    """Return the rows whose expected output a field reveals.

    Args:
        values: those of the field in each example; None where it has none.
        expected: the expected outputs.
    """
    texts = ["" if value is None else _words_of(expected_text(value)) for value in values]
    outputs = [_words_of(expected_text(output)) for output in expected]
    if len(set(outputs)) == 1:  # there is nothing to reveal
        return []

    return _holding_rows(texts, outputs) or _coding_rows(texts, outputs)


def _holding_rows(texts: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Return the rows whose text holds the output and no other label, if they are nine in ten.

    Each output weighs the same: a field that often says "no" does not reveal an output that is
    nearly always "no".
    """
    labels = set(outputs) if are_labels(outputs) else set()
    rows = []
    for row, output in enumerate(outputs):
        text = f" {texts[row]} "
        if not output or f" {output} " not in text:
            continue
        # a field that lists all labels reveals none
        remainder = text.replace(f" {output} ", "  ")
        if not any(f" {label} " in remainder for label in labels):
            rows.append(row)
    return rows if _share_of_outputs(rows, outputs) >= MOST else []


def _share_of_outputs(rows: Sequence[int], outputs: Sequence[str]) -> float:
    """Return the share of each output's examples that are among the rows, on average."""
    counts = Counter(outputs)
    among = Counter(outputs[row] for row in rows)
    return sum(among[output] / count for output, count in counts.items()) / len(counts)


def _coding_rows(texts: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """Return all rows if each text always stands for one output, and there are no more texts."""
    output_of: dict[str, str] = {}
    for text, output in zip(texts, outputs, strict=True):
        if output_of.setdefault(text, output) != output:
            return []

    # a field with a value of its own for each row codes nothing
    if len(output_of) > len(set(outputs)) or not are_labels(outputs):
        return []
    return list(range(len(outputs)))


def _words_of(text: str) -> str:
    """Return the words of a text, case folded, with one space between them; of a text without words
    its characters.
    """
    normalized = normalized_input(text)
    return _BETWEEN_WORDS.sub(" ", normalized).strip() or normalized
