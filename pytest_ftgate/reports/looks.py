"""What looks at a gate without a verdict, as text: a preview and a plan. All lines are safe to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.reports.sentences import FINISHES
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import Line, finding_lines
from pytest_ftgate.result import RED
from pytest_ftgate.text import (
    one_line,
    plural,
    printable,
    show_count,
    show_difference,
    show_percent,
    show_usd,
    show_value,
)

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.gate.plan import Chance, Plan
    from pytest_ftgate.gate.preview import Answer, Preview, Previewed
    from pytest_ftgate.gate.projection import Cost

_MOST = 20_000
"""The most characters of one prompt or answer."""

_HALF = "A real gain of exactly the margin passes at most about half of the time, however many examples there are."


def _title(name: str, what: str, colour: str) -> Line:
    return Line(f"ftgate {printable(name)}: {what}", colour)


def _calls(one: Cost) -> str:
    return f"{'at most ' if one.most else ''}{one.calls:,}"


def _remarks(costs: Iterable[Cost]) -> Iterator[str]:
    """Yield what the calls of each model are for, if for several things, and why their cost is unknown."""
    for one in costs:
        if len(one.purposes) > 1:
            yield f"{one.name}: {', '.join(f'{calls:,} {purpose}' for purpose, calls in one.purposes)}"
        if one.usd is None and one.unknown and one.calls:
            yield f"the cost of {one.name} is unknown: {one.unknown}"


# --- preview -------------------------------------------------------------------------------------------------


def preview_lines(preview: Preview) -> list[Line]:
    """Return the title and the lines of a preview."""
    state = "no verdict"
    if preview.failed:
        state = "a call failed" if preview.models else "no model could be asked"
    lines = [_title(preview.name, f"PREVIEW, {state}", "red" if preview.failed else "yellow")]
    lines += finding_lines(preview.checks)
    if not preview.models:
        return [*lines, Line("no model was asked")]
    if any(check.status in RED for check in preview.checks):
        lines.append(Line("the gate itself would call no model until these checks pass"))
    asked = f"the first {len(preview.examples):,} of {plural(preview.total, 'test example')}"
    scored = f", scored by {preview.metric}" if preview.unscored is None else f"; {preview.unscored}"
    lines.append(Line(f"{asked}{scored}"))
    for model in preview.models:
        lines += _first_prompt(preview, model)
    for number, example in enumerate(preview.examples):
        lines += _example(preview, number, example)
    return [*lines, *map(Line, _costs(preview))]


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
        yield from _labelled(role, text)


def _example(preview: Preview, number: int, example: Example) -> Iterator[Line]:
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.runs.measure import shown_input

    yield Line("")
    yield Line(printable(example.name), "bold")
    shown = [model.answers[number] for model in preview.models if not model.recorded]
    last = dict.fromkeys(answer.prompt[-1][1] for answer in shown if number == 0 or answer.same)
    if len(last) != 1:  # models are sent different texts, or none is known
        last = dict.fromkeys([shown_input(example)])
    yield from _labelled("input", next(iter(last)))
    yield from _labelled("expected", expected_text(example.expected))
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
    yield from _labelled(label, answer.completion.text or "(empty)", colour)
    if answer.why:
        yield Line(printable(f"    {one_line(answer.why)}"))


def _score(preview: Preview, answer: Answer) -> str:
    if answer.score is None:
        return "not scored" if preview.unscored is None else ""
    if answer.right is not None and answer.score in (0.0, 1.0):
        return "right" if answer.right else "wrong"
    return show_value(answer.score, share=preview.share)


def _labelled(label: str, text: str, colour: str = "") -> Iterator[Line]:
    """Yield a text after its label; one of several lines below it."""
    lines = text[:_MOST].strip("\n").splitlines() or [""]
    more = [f"... ({len(text) - _MOST:,} more characters)"] if len(text) > _MOST else []
    if len(lines) == 1 and not more:
        yield Line(f"  {printable(f'{label}: {lines[0]}', _MOST)}", colour)
        return
    yield Line(f"  {printable(label)}:", colour)
    yield from (Line(f"    {printable(line, _MOST)}") for line in (*lines, *more))


def _costs(preview: Preview) -> Iterator[str]:
    tokens = ("input tokens", "output tokens", "cost")
    rows = tuple(_seen(model) for model in preview.models)
    yield from ("", "this preview:")
    yield from Table("", columns(["model"], ("answers", "stored", "failed", *tokens)), rows).lines("  ")
    yield from ("", "the whole gate, projected from these answers:")
    projected = tuple(
        (
            printable(one.name, 60),
            _calls(one),
            *map(show_count, (one.input_tokens, one.output_tokens)),
            show_usd(one.usd),
        )
        for one in (*preview.projected, preview.whole)
    )
    yield from Table("", columns(["model"], ("calls", *tokens)), projected).lines("  ")
    yield from (f"  {printable(text)}" for text in _remarks(preview.projected))
    if preview.whole.usd is None and preview.known_usd:
        yield f"  the known part of the cost is {show_usd(preview.known_usd)}"
    yield "stored answers, such as those above, are not asked for again"


def _seen(model: Previewed) -> tuple[str, ...]:
    facts = model.facts
    counts = (facts.n_scored, facts.n_stored, facts.n_errors, facts.input_tokens, facts.output_tokens)
    return (printable(model.name, 60), *map(show_count, counts), show_usd(facts.cost_usd))


# --- plan ----------------------------------------------------------------------------------------------------


def plan_lines(plan: Plan) -> list[Line]:
    """Return the title and the lines of a plan."""
    state = "already known to fail" if plan.failed else "no verdict"
    lines = [_title(plan.name, f"PLAN, {state}", "red" if plan.failed else "yellow"), *finding_lines(plan.checks)]
    if plan.metric is None:
        return lines
    for table in (_planned(plan), _chances(plan)) if plan.calls else (_chances(plan),):
        lines += [Line(""), Line(printable(table.title)), *map(Line, table.lines("  "))]
    return [*lines, *(Line(printable(text)) for text in _plan_sentences(plan))]


def _plan_sentences(plan: Plan) -> Iterator[str]:
    """Yield what the tables do not say."""
    wins = [f"{count} with {losses} broken" for losses, count in plan.fewest_wins.items() if count is not None]
    needed = f"to pass, at least this many must be fixed: {', '.join(wins)}" if wins else "no number of wins would pass"
    if plan.attempt is not None:
        yield str(plan.attempt)
    yield f"{needed} (of {plural(plan.units, 'independent example')})"
    if plan.margin and plan.margin > 0 and plan.evidence != "proven":
        yield _HALF
    if plan.approximate:
        yield f"{plan.metric} is not right or wrong by example: the chances are those of accuracy, and approximate"
    if plan.units != plan.examples:
        yield f"{plural(plan.examples, 'example')} in groups count as {plan.units:,} independent ones"
    if not plan.calls:
        yield "all answers are recorded in files: no calls are needed"
    yield from _remarks(plan.projected)
    yield "no model was called"


def _planned(plan: Plan) -> Table:
    rows = [
        (one.name, _calls(one), *map(show_count, (one.input_tokens, one.output_tokens, one.tokens)), show_usd(one.usd))
        for one in plan.projected
    ]
    left = plan.calls - plan.stored, plan.left_tokens, plan.left_cost_usd
    whole = ("all", plan.calls, plan.tokens, plan.cost_usd), ("not stored yet", *left)
    sums = [(name, f"{calls:,}", "", "", show_count(tokens), show_usd(usd)) for name, calls, tokens, usd in whole]
    heads = ("calls", "input tokens", "output tokens", "all tokens", "cost")
    return Table("calls:", columns(["model"], heads), tuple(rows) if len(rows) == 1 else (*rows, *sums))


def _chances(plan: Plan) -> Table:
    rates = list(dict.fromkeys(one.disagreement for one in plan.chances))
    by_place = {(one.gain, one.disagreement): one for one in plan.chances}
    heads = [f"{100 * rate:.0f} % disagree" for rate in rates]
    rows = tuple(
        (show_difference(gain, share=plan.share), *(_verdicts(by_place[gain, rate]) for rate in rates))
        for gain in plan.gains
    )
    margin = show_difference(plan.margin, share=plan.share)
    title = (
        f"probability of pass / fail / inconclusive by the real gain, on {plural(plan.examples, 'test example')} "
        f"(margin {margin}, evidence {plan.evidence}, {show_percent(plan.confidence or 0)} confidence; "
        f"disagreement of the models {'as measured before' if plan.measured else 'assumed'}):"
    )
    return Table(title, columns(["real gain"], heads), rows)


def _verdicts(chance: Chance) -> str:
    chances = (chance.p_pass, chance.p_fail, chance.p_inconclusive)
    if chance.p_pass is None:
        return "-"
    return " / ".join(f"{100 * (one or 0):.0f}" for one in chances) + " %"
