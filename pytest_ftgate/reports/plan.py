"""A plan as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import Line, finding_lines
from pytest_ftgate.text import plural, printable, show_count, show_difference, show_percent, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.gate.plan import Chance, Plan

HALF = "A real gain of exactly the margin passes at most about half of the time, however many examples there are."


def plan_title(plan: Plan) -> Line:
    """Return ``ftgate intents: PLAN, no verdict``."""
    state = "already known to fail" if plan.failed else "no verdict"
    return Line(f"ftgate {printable(plan.name)}: PLAN, {state}", "red" if plan.failed else "yellow")


def plan_lines(plan: Plan) -> list[Line]:
    """Return the lines of a plan. All of them are safe to print."""
    lines = [*finding_lines(plan.checks)]
    if plan.metric is None:
        return lines
    for table in (_calls(plan), _chances(plan)) if plan.calls else (_chances(plan),):
        lines += [Line(""), Line(printable(table.title)), *(Line(line) for line in table.lines("  "))]
    return [*lines, *(Line(printable(text)) for text in sentences(plan))]


def sentences(plan: Plan) -> Iterator[str]:
    """Yield what the tables do not say."""
    wins = [f"{count} with {losses} broken" for losses, count in plan.fewest_wins.items() if count is not None]
    needed = f"to pass, at least this many must be fixed: {', '.join(wins)}" if wins else "no number of wins would pass"
    if plan.attempt is not None:
        yield str(plan.attempt)
    yield f"{needed} (of {plural(plan.units, 'independent example')})"
    if plan.share_of_calls:
        shares = [
            f"{100 * share:.0f} % at {show_difference(gain, share=plan.share)}"
            for gain, share in zip(plan.gains, plan.share_of_calls, strict=True)
            if share is not None
        ]
        yield f"stop_early: these are the most calls; expected share of the test set: {', '.join(shares)}"
    if plan.margin and plan.margin > 0 and plan.evidence != "proven":
        yield HALF
    if plan.approximate:
        yield f"{plan.metric} is not right or wrong by example: the chances are those of accuracy, and approximate"
    if plan.units != plan.examples:
        yield f"{plural(plan.examples, 'example')} in groups count as {plan.units:,} independent ones"
    if not plan.calls:
        yield "all answers are recorded in files: no calls are needed"
    for one in plan.projected:
        if len(one.purposes) > 1:
            yield f"{one.name}: {', '.join(f'{calls:,} {purpose}' for purpose, calls in one.purposes)}"
        if one.usd is None and one.unknown and one.calls:
            yield f"the cost of {one.name} is unknown: {one.unknown}"
    yield "no model was called"


def to_dict(plan: Plan) -> dict[str, Any]:
    return asdict(plan)


def _calls(plan: Plan) -> Table:
    rows = [
        (
            one.name,
            f"{'at most ' if one.most else ''}{one.calls:,}",
            *_amounts(one.input_tokens, one.output_tokens, one.usd),
        )
        for one in plan.projected
    ]
    whole = ("all", f"{plan.calls:,}", "", "", show_count(plan.tokens), show_usd(plan.cost_usd))
    left = (
        "not stored yet",
        f"{plan.calls - plan.stored:,}",
        "",
        "",
        show_count(plan.left_tokens),
        show_usd(plan.left_cost_usd),
    )
    heads = ("calls", "input tokens", "output tokens", "all tokens", "cost")
    return Table("calls:", columns(["model"], heads), tuple(rows) if len(rows) == 1 else (*rows, whole, left))


def _amounts(inputs: int | None, outputs: int | None, usd: float | None) -> tuple[str, str, str, str]:
    whole = None if inputs is None or outputs is None else inputs + outputs
    return show_count(inputs), show_count(outputs), show_count(whole), show_usd(usd)


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
