"""The options of metrics, each with what it means and an example to paste."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Option(NamedTuple):
    """Hold what an option of a metric means, in Markdown, and an example of its value."""

    meaning: str
    example: Any


OPTIONS: Mapping[str, Option] = {
    "normalize": Option(
        "differences to ignore: `unicode`, `case`, `whitespace`, `punctuation`, or a "
        "list of them; default for labels: the last three, unless that makes two labels"
        " the same; for fields see [extraction](../metrics.md#extraction)",
        example=["case", "whitespace"],
    ),
    "pattern": Option(
        "a regular expression that finds the label or number in an answer (its first "
        "group if any); for `format` the whole answer must match",
        example=r"label: (\w+)",
    ),
    "json_field": Option(
        "dotted path of the label or number in a JSON answer, such as `result.label`",
        example="result.label",
    ),
    "order": Option(
        "`true`: tool calls must come in the expected order",
        example=True,
    ),
    "extra": Option(
        "further tool calls: `wrong` (default) or `ignore`",
        example="ignore",
    ),
    "ignore_arguments": Option(
        "arguments of tool calls that are not compared",
        example=["request_id"],
    ),
    "arguments": Option(
        "mapping with `lists`, `tolerance`, `normalize`: when two arguments of a tool "
        "call are the same",
        example={"tolerance": 0.01},
    ),
    "labels": Option(
        "labels to average over; default: all",
        example=["refund", "invoice"],
    ),
    "pos_label": Option(
        "the positive label",
        example="spam",
    ),
    "json_schema": Option(
        "a JSON Schema, or the path of one, that the answer must satisfy",
        example="schemas/order.json",
    ),
    "allowed": Option(
        "all allowed answers",
        example=["refund", "invoice"],
    ),
    "max_chars": Option(
        "maximum number of characters",
        example=280,
    ),
    "strip_code_fence": Option(
        "`true`: ignore one Markdown code fence around the whole answer",
        example=True,
    ),
    "fields": Option(
        "dotted names of the fields to score; default: all that the test set expects",
        example=["total", "items.name"],
    ),
    "average": Option(
        "`samples` (default) or `micro`",
        example="micro",
    ),
    "lists": Option(
        "`match` (default of `field_f1`, which alone has it) pairs the items of two "
        "lists so that most fields agree, `sequence` compares by position, `set` whole "
        "items in any order",
        example="set",
    ),
    "tolerance": Option(
        "allowed difference between numbers: one number, or for fields a mapping of "
        "field to number",
        example=0.5,
    ),
    "relative": Option(
        "allowed difference as a share of the expected number",
        example=0.01,
    ),
    "cap": Option(
        "the largest error that counts; an answer without a number costs it; required",
        example=30,
    ),
    "separator": Option(
        "between labels that are not a JSON list; default `,`",
        example=";",
    ),
}
"""All options by their names; a name means the same wherever it is taken."""
