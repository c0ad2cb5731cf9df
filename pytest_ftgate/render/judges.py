"""Who judged, what it cost, and how pairs came out, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.numbers import plural, show_count, show_usd
from pytest_ftgate.result import GateResult, JudgeResult, PairResult, called


def judge_lines(result: GateResult) -> Iterator[str]:
    """A line a judge, and one for each baseline that the candidate's answers were compared with."""
    for one in result.judges:
        yield _judge(one)
        for pair in one.pairs:
            yield f"  {_pair(pair, of_people=one.model is None)}"


def _judge(one: JudgeResult) -> str:
    if one.model is None:
        kappa = f", {one.kappa_kind}'s kappa {one.kappa:.2f}" if one.kappa is not None else ""
        return f"{one.metric} by {plural(one.raters or 0, 'rater')}{kappa}"
    kappa = f", kappa {one.kappa:.2f} with people ({one.kappa_kind})" if one.kappa is not None else ""
    asked = f"{plural(one.n_questions or 0, 'question')}, {show_count(one.n_stored)} of them stored"
    known = one.input_tokens is not None and one.output_tokens is not None
    tokens = f", {show_count(one.input_tokens)}/{show_count(one.output_tokens)} tokens" if known else ""
    cost = f", {show_usd(one.cost_usd)}" if one.cost_usd is not None else f", cost unknown: {one.cost_unknown}"
    return f"{one.metric} by judge {one.judge}{kappa}: {asked}{tokens}{cost}"


def _pair(pair: PairResult, *, of_people: bool) -> str:
    counted = f"{pair.wins:,} won, {plural(pair.ties, 'tie')}, {pair.losses:,} lost"
    text = (
        f"candidate against {called(pair.baseline)}: {counted} of {plural(pair.n, 'example' if of_people else 'pair')}"
    )
    if pair.disagreements is None or not pair.n_asked:
        return text
    share = f"{100 * pair.disagreements / pair.n_asked:.0f} %"
    first = f", {pair.first_preferred or 0:,} of them for whichever came first" if pair.disagreements else ""
    disagreed = f"{pair.disagreements:,} of the {pair.n_asked:,} that differ ({share})"
    return f"{text}; the two orders disagreed in {disagreed}{first}"
