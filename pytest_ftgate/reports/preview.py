"""A preview as text: findings, prompts, answers beside the expected outputs, costs and the projected total."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.reports.sentences import FINISHES
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import Line, finding_lines
from pytest_ftgate.result import RED
from pytest_ftgate.text import one_line, plural, printable, show_count, show_usd, show_value

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.gate.preview import Answer, Preview, Previewed
    from pytest_ftgate.gate.projection import Cost

_MOST = 20_000
"""The most characters of one prompt or answer."""


def preview_title(preview: Preview) -> Line:
    """Return ``ftgate intents: PREVIEW, no verdict``."""
    state = "no verdict"
    if preview.failed:
        state = "a call failed" if preview.models else "no model could be asked"
    return Line(f"ftgate {printable(preview.name)}: PREVIEW, {state}", "red" if preview.failed else "yellow")


def preview_lines(preview: Preview) -> list[Line]:
    """Return the lines of a preview. All of them are safe to print."""
    return [
        *_findings(preview),
        *(line for model in preview.models for line in _first_prompt(preview, model)),
        *(
            line
            for number, example in enumerate(preview.examples)
            if preview.models
            for line in _example(preview, number, example)
        ),
        *(map(Line, _costs(preview)) if preview.models else ()),
    ]


def _findings(preview: Preview) -> Iterator[Line]:
    yield from finding_lines(preview.checks)
    if not preview.models:
        yield Line("no model was asked")
        return
    if any(check.status in RED for check in preview.checks):
        yield Line("the gate itself would call no model until these checks pass")
    asked = f"the first {len(preview.examples):,} of {plural(preview.total, 'test example')}"
    yield Line(f"{asked}, scored by {preview.metric}" if preview.unscored is None else f"{asked}; {preview.unscored}")


def _first_prompt(preview: Preview, model: Previewed) -> Iterator[Line]:
    name = model.name
    if model.recorded:
        yield Line(printable(f"{name}: recorded answers, so the prompt is not known"), "bold")
        return
    others = "; for the others only the last message differs" if any(one.same for one in model.answers) else ""
    yield Line(printable(f"{name} is sent, for {preview.examples[0].name}{others}:"), "bold")
    yield from _prompt(model.answers[0])


def _prompt(answer: Answer) -> Iterator[Line]:
    for role, text in answer.prompt:
        yield from _labelled("  ", role, text)


def _example(preview: Preview, number: int, example: Example) -> Iterator[Line]:
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.runs.measure import shown_input

    yield Line("")
    yield Line(printable(example.name), "bold")
    shown = [model.answers[number] for model in preview.models if not model.recorded]
    last = dict.fromkeys(answer.prompt[-1][1] for answer in shown if number == 0 or answer.same)
    if len(last) != 1:  # models are sent different texts, or none is known
        last = dict.fromkeys([shown_input(example)])
    yield from _labelled("  ", "input", next(iter(last)))
    yield from _labelled("  ", "expected", expected_text(example.expected))
    for model in preview.models:
        answer = model.answers[number]
        if number and not answer.same and not model.recorded:
            yield Line(printable(f"  {model.label} is sent:"))
            yield from (Line(f"  {line.text}") for line in _prompt(answer))
        yield from _answer(preview, model, answer)


def _answer(preview: Preview, model: Previewed, answer: Answer) -> Iterator[Line]:
    role = model.label
    if answer.completion is None:
        failure = one_line(str(answer.failure)) if answer.failure else "no answer"
        yield Line(printable(f"  {role}, FAILED: {failure}"), "red")
        return
    reasoning = len(answer.completion.reasoning or "")
    thought = f"after {plural(reasoning, 'character')} of reasoning" if reasoning else ""
    words = (FINISHES.get(answer.completion.finish), _score(preview, answer), thought)
    label = ", ".join([role, *(word for word in words if word)])
    colour = {True: "green", False: "red", None: ""}[answer.right]
    yield from _labelled("  ", label, answer.completion.text or "(empty)", colour)
    if answer.why:
        yield Line(printable(f"    {one_line(answer.why)}"))


def _score(preview: Preview, answer: Answer) -> str:
    if answer.score is None:
        return "not scored" if preview.unscored is None else ""
    if answer.right is not None and answer.score in (0.0, 1.0):
        return "right" if answer.right else "wrong"
    return show_value(answer.score, share=preview.share)


def _labelled(indent: str, label: str, text: str, colour: str = "") -> Iterator[Line]:
    """Yield a text after its label; one of several lines below it."""
    lines = text[:_MOST].strip("\n").splitlines() or [""]
    more = [f"... ({len(text) - _MOST:,} more characters)"] if len(text) > _MOST else []
    if len(lines) == 1 and not more:
        yield Line(f"{indent}{printable(f'{label}: {lines[0]}', _MOST)}", colour)
        return
    yield Line(f"{indent}{printable(label)}:", colour)
    yield from (Line(f"{indent}  {printable(line, _MOST)}") for line in (*lines, *more))


# --- costs ---------------------------------------------------------------------------------------------------


def _costs(preview: Preview) -> Iterator[str]:
    tokens = ("input tokens", "output tokens", "cost")
    rows = tuple(_seen(model) for model in preview.models)
    yield ""
    yield "this preview:"
    yield from Table("", columns(["model"], ("answers", "stored", "failed", *tokens)), rows).lines("  ")
    yield ""
    yield "the whole gate, projected from these answers:"
    projected = map(projected_row, (*preview.projected, preview.whole))
    yield from Table("", columns(["model"], ("calls", *tokens)), tuple(projected)).lines("  ")
    for one in preview.projected:
        if len(one.purposes) > 1:
            yield printable(f"  {one.name}: {', '.join(f'{calls:,} {purpose}' for purpose, calls in one.purposes)}")
        if one.usd is None and one.unknown:
            yield printable(f"  the cost of {one.name} is unknown: {one.unknown}")
    if preview.whole.usd is None and preview.known_usd:
        yield f"  the known part of the cost is {show_usd(preview.known_usd)}"
    yield "stored answers, such as those above, are not asked for again"


def _seen(model: Previewed) -> tuple[str, ...]:
    facts = model.facts
    counts = (facts.n_scored, facts.n_stored, facts.n_errors, facts.input_tokens, facts.output_tokens)
    return (printable(model.name, 60), *map(show_count, counts), show_usd(facts.cost_usd))


def projected_row(one: Cost) -> tuple[str, ...]:
    """Return the calls of a model with their tokens and their cost, for a table."""
    calls = f"{'at most ' if one.most else ''}{one.calls:,}"
    tokens = map(show_count, (one.input_tokens, one.output_tokens))
    return printable(one.name, 60), calls, *tokens, show_usd(one.usd)
