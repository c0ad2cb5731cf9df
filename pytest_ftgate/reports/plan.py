"""A plan or a preview of a gate as lines of text. All lines are safe to print."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.gate.plan import Answer, Asked, Calls, Plan, Prompt, Prospects
from pytest_ftgate.reports.sentences import FINISHES
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import Line, finding_lines
from pytest_ftgate.runs.measure import shown_input
from pytest_ftgate.statistics.planning import Chances
from pytest_ftgate.text import (
    one_line,
    plural,
    printable,
    shortened,
    show_amount,
    show_count,
    show_difference,
    show_percent,
    show_usd,
    show_value,
    wrapped,
)

Amount = TypeVar("Amount", int, float)
_LONGEST, _SHORT = 20_000, 68
"""The most characters of a prompt or an answer, with ``-v`` and without."""

_FEW, _USUAL = 75, 0.95  # examples up to which a lower confidence than the usual one is named

_MESSAGES = 3
"""The number of messages of a prompt that are shown without ``-v``: the first ones and the last."""


def plan_lines(plan: Plan, *, full: bool) -> list[Line]:
    """Return the title and the lines of a plan; ``full`` prints prompts and answers whole."""
    failed = ", a call failed" if plan.n_missing else ", a check already fails" if plan.failed else ""
    what = f"{'PREVIEW' if plan.preview else 'PLAN'}{failed}"
    lines = [Line(f"ftgate {printable(plan.name)}: {what}", "red" if plan.failed else "yellow")]
    lines += finding_lines(plan.checks)
    if plan.gate is None or plan.prospects is None:
        return [*lines, Line("no model was called")]
    lines += map(Line, (*_calls(plan, plan.gate), "", *_chances(plan.gate, plan.prospects)))
    for model in plan.models:
        lines += _first_prompt(model, full=full)
    for number in range(plan.preview):
        lines += _example(plan, number, full=full)
    return lines


def _calls(plan: Plan, gate: Context) -> Iterator[str]:
    unscored = f"; {plan.unscored}" if plan.unscored else ""
    asked = f"the models were asked about the first {plan.preview:,} of {plural(len(gate.test), 'example')}{unscored}"
    yield asked if plan.preview else "no model was called"
    if not plan.calls:
        yield "no calls are needed: all answers are recorded in files"
        return
    rows = [_row(one) for one in plan.calls]
    calls, left = (sum(one.calls for one in plan.calls), sum(one.left for one in plan.calls))
    usd, left_usd = _total([one.usd for one in plan.calls]), _total([one.left_usd for one in plan.calls])
    if len(rows) > 1:
        inputs, outputs = ([getattr(one, key) for one in plan.calls] for key in ("input_tokens", "output_tokens"))
        rows.append(("all", f"{calls:,}", show_count(_total(inputs)), show_count(_total(outputs)), show_usd(usd)))
    yield from Table("", columns([""], ("calls", "tokens in", "tokens out", "cost")), tuple(rows)).lines()
    money = f" ({show_usd(left_usd)})" if left and left_usd is not None else ""
    others = ": the other answers are stored" if left < calls else ""
    yield f"this run needs {left:,} of {plural(calls, 'call')}{money}{others}"
    for one in plan.calls:
        if len(one.purposes) > 1:
            purposes = ", ".join(f"{count:,} {purpose}" for purpose, count in one.purposes)
            yield printable(f"{one.name}: {purposes}")
    for why in dict.fromkeys(one.unknown for one in plan.calls if one.usd is None and one.unknown):
        names = ", ".join(one.name for one in plan.calls if one.unknown == why)
        yield from wrapped(f"cost of {names} unknown: {why}")
    known = sum(one.usd or 0.0 for one in plan.calls)
    if usd is None and known:
        yield f"the known part of the cost is {show_usd(known)}"


def _row(one: Calls) -> tuple[str, ...]:
    counts = map(show_count, (one.input_tokens, one.output_tokens))
    return (printable(one.name, 60), f"{'at most ' if one.most else ''}{one.calls:,}", *counts, show_usd(one.usd))


def _total(amounts: Sequence[Amount | None]) -> Amount | None:
    """Return the sum of all; None if one of them is unknown."""
    return None if None in amounts else sum(one for one in amounts if one is not None)


def _chances(gate: Context, found: Prospects) -> Iterator[str]:
    """Yield how likely each verdict is, by the real gain, and what makes a pass likelier."""
    config, metric, n, attempt = gate.config, gate.deciding.name, len(gate.test), gate.facts.get("attempt")
    key, examples = "margin" if found.margin >= 0 else "max_drop", plural(n, "example")
    margin = f"{key} {show_amount(abs(found.margin), share=gate.share)}"
    rows = [(show_difference(gain, share=gate.share), *_percent(one)) for gain, one in found.chances.items()]
    yield f"{metric}, {examples}, {margin}, {found.evidence} at {show_percent(config.confidence)}"
    if attempt is not None:
        yield str(attempt)
    if rows:
        yield from Table("", columns(["real gain"], ("pass", "fail", "inconclusive")), tuple(rows)).lines()
        yield from found.basis
    else:
        yield f"how likely each verdict is cannot be said before: {metric} has no bounds"
    if found.detectable is not None:
        yield f"a real gain of {show_difference(found.detectable, share=gate.share)} passes 4 times in 5"
    if found.margin > 0 and found.evidence != "proven":
        yield "A candidate that gains exactly the margin passes at most half of the time."
    wins = [f"{count} ({losses} broken)" for losses, count in found.fewest_wins.items() if count is not None]
    if found.fewest_wins:
        yield f"to pass, fix at least {', '.join(wins)} of {found.units:,}" if wins else "no number of wins would pass"
    if found.fewest_graded is not None:
        yield f"a graded gain of the margin needs at least {plural(found.fewest_graded, 'example')}"
    if found.units != n:
        yield f"{examples} in groups count as at least {found.units:,} independent ones"
    if n <= _FEW and config.confidence >= _USUAL:
        yield "confidence: 0.9 is an honest choice for so few examples (1 false pass in 10)"
    if n <= _FEW and gate.deciding.averages_labels:
        yield f"for so few examples let accuracy decide, and put {metric} under thresholds"


def _percent(found: Chances | None) -> Iterator[str]:
    shares = (None,) * 3 if found is None else (found.passed, found.failed, found.inconclusive)
    return ("-" if share is None else f"{100 * share:.0f} %" for share in shares)


def _first_prompt(model: Asked, *, full: bool) -> Iterator[Line]:
    yield Line("")
    if not model.prompts:
        yield Line(printable(f"{model.name}: recorded answers, so the prompt is not known"), "bold")
        return
    short = ", -v prints all" if not full else ""
    yield Line(printable(f"first prompt of {model.name} (about {plural(model.tokens, 'token')}{short})"), "bold")
    yield from _prompt(model.prompts[0], full=full)


def _prompt(prompt: Prompt, *, full: bool) -> Iterator[Line]:
    for number, (role, text) in enumerate(prompt):
        left_out = not full and _MESSAGES - 1 <= number < len(prompt) - 1
        if not left_out:
            yield from _labelled(role, text, full=full)
        elif number == _MESSAGES - 1:
            yield Line("  ...")


def _example(plan: Plan, number: int, *, full: bool) -> Iterator[Line]:
    example = plan.shown[number]
    yield from (Line(""), Line(printable(example.name), "bold"))
    yield from _labelled("input", shown_input(example), full=full)
    yield from _labelled("expected", expected_text(example.expected), full=full)
    for model in plan.models:
        prompts = model.prompts
        if number and prompts and not _is_like(prompts[0], prompts[number]):
            yield Line(printable(f"  {model.role} is sent:"))
            yield from (Line(f"  {line.text}") for line in _prompt(prompts[number], full=full))
        yield from _answer(plan, model.role, model.answers[number], full=full)


def _is_like(first: Prompt, other: Prompt) -> bool:
    """Return whether two prompts differ in nothing but the text of their last message."""
    return len(first) == len(other) and first[:-1] == other[:-1] and first[-1][0] == other[-1][0]


def _answer(plan: Plan, role: str, answer: Answer, *, full: bool) -> Iterator[Line]:
    if answer.completion is None:
        failure = one_line(str(answer.failure)) if answer.failure else "no answer"
        yield Line(printable(f"  {role}, FAILED: {failure}"), "red")
        return
    reasoning = len(answer.completion.reasoning or "")
    thought = f"after {plural(reasoning, 'character')} of reasoning" if reasoning else ""
    words = (FINISHES.get(answer.completion.finish), _score(plan, answer), thought)
    label = ", ".join([role, *(word for word in words if word)])
    colour = {True: "green", False: "red", None: ""}[answer.right]
    yield from _labelled(label, answer.completion.text or "(empty)", colour, full=full)
    if answer.why:
        yield Line(printable(f"    {one_line(answer.why)}"))


def _score(plan: Plan, answer: Answer) -> str:
    if answer.score is None:
        return "" if plan.unscored else "not scored"
    if answer.right is not None and answer.score in (0.0, 1.0):
        return "right" if answer.right else "wrong"
    return show_value(answer.score, share=plan.gate is not None and plan.gate.share)


def _labelled(label: str, text: str, colour: str = "", *, full: bool) -> Iterator[Line]:
    """Yield a text after its label: one line of it, or with ``full`` all its lines below the label."""
    lines = text[:_LONGEST].strip("\n").splitlines() or [""]
    if not full:
        short = shortened(" ".join(text.split()), _SHORT)
        yield Line(f"  {printable(f'{label}: {short}')}", colour)
    elif len(lines) == 1:
        yield Line(f"  {printable(f'{label}: {lines[0]}', _LONGEST)}", colour)
    else:
        yield Line(f"  {printable(label)}:", colour)
        yield from (Line(f"    {printable(line, _LONGEST)}") for line in lines)
    if full and len(text) > _LONGEST:
        yield Line(f"    ... ({len(text) - _LONGEST:,} more characters)")
