"""Sentences about a result that all reports share."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from statistics import NormalDist

from pytest_ftgate.result import Check, Diagnosis, Flip, GateResult, JudgeResult
from pytest_ftgate.text import (
    LONGEST,
    is_share,
    plural,
    shortened,
    show_age,
    show_amount,
    show_change,
    show_count,
    show_difference,
    show_needed,
    show_p_value,
    show_percent,
    show_usd,
)

FINISHES = {"refusal": "refused", "filtered": "filtered", "cut_off": "cut off", "missing": "no answer"}

_HEADLINE_CHARACTERS = 160
_HASH_DIGITS = 12
_LOWER_CONFIDENCE = 0.9
_ENOUGH = 200  # examples from which on the gain that can be shown is not told


# --- the verdict ---------------------------------------------------------------------------------------------


def deciding_checks(result: GateResult) -> list[Check]:
    """Return the checks that decide the verdict of a gate that did not pass."""
    return [check for check in result.checks if check.status == result.verdict]


def advised_once(checks: Iterable[Check], said: set[str]) -> Iterator[Check]:
    """Yield checks without advice that was ``said`` before, which is added to: two checks may have the same cure."""
    for check in checks:
        yield replace(check, advice=None) if check.advice in said else check
        said.add(check.advice or "")


def headline(result: GateResult) -> str:
    """Return why the gate did not pass for pytest's summary, which is cut at the width of the terminal.

    ``gain +2.1 points, needs +5.0 (margin)``
    """
    check = deciding_checks(result)[0]
    verdict = "inconclusive: " if result.verdict == "inconclusive" else ""
    return f"{verdict}{shortened(check.message, _HEADLINE_CHARACTERS)} ({check.name})"


def with_source(check: Check, most: int = LONGEST) -> str:
    """Return the message of a check, cut to ``most`` characters, and where its threshold was written."""
    return shortened(check.message, most) + _place(check)


def _place(check: Check) -> str:
    """Return where the threshold was written in a file; nothing for a default or a marker."""
    return f" ({check.source})" if check.source and ":" in check.source else ""


def stage_sentence(result: GateResult) -> str | None:
    """Return what the verdict means before training, None after training."""
    if result.stage != "ready":
        return None
    if not result.passed:
        return "NOT READY: do not train yet"
    if result.economics is not None and result.economics.breaks_even is False:
        return "READY: a gain can be shown, but at these costs training never pays for itself"
    return "READY: train now"


# --- the gain ------------------------------------------------------------------------------------------------


def changed(result: GateResult) -> str:
    """Return how many examples changed: ``40 fixed, 10 broken of 60 examples (12 groups)``."""
    better, worse = ("won", "lost") if _is_of_pairs(result) else ("fixed", "broken")
    note = f" ({result.note})" if result.note else ""
    attempt = "" if result.attempt is None else f"; {result.attempt}"
    examples = plural(result.n or 0, "example")
    return f"{result.wins or 0:,} {better}, {result.losses or 0:,} {worse} of {examples}{note}{attempt}"


def detectable_sentence(result: GateResult) -> str | None:
    """Return the real gain that passes in four of five runs, if the models differ as often as measured.

    Where that is more than the baseline leaves, no gain does. None if no bound was measured, and from 200 examples on.
    """
    n, lower, confidence = result.n or _ENOUGH, result.lower_bound, result.confidence
    if n >= _ENOUGH or result.gain is None or lower is None or confidence is None:
        return None
    normal, least = NormalDist(), -result.max_drop if result.max_drop is not None else result.margin or 0.0
    below = result.gain - lower
    target = {"observed": -inf, "significant": below, "proven": least + below}
    evidence = "proven" if result.max_drop is not None else result.evidence or "proven"
    gain = max(least, target[evidence]) + below * normal.inv_cdf(0.8) / normal.inv_cdf(confidence)
    if gain > _room(result):
        cure = "a lower margin" if confidence <= _LOWER_CONFIDENCE else f"confidence: {_LOWER_CONFIDENCE}"
        return f"no possible gain passes 4 times in 5: add examples, or try {cure}"
    shown = show_difference(gain, share=is_share(result.metric_range))
    return f"with {plural(n, 'example')}, a real gain of {shown} passes 4 times in 5"


def _room(result: GateResult) -> float:
    """Return the largest gain over the baseline's value that the metric's range allows."""
    (low, high), old, new = result.metric_range or (-inf, inf), result.baseline.value, result.candidate.value
    if old is None or new is None:
        return high - low
    rising = (result.gain or 0.0) * (new - old)  # negative where lower is better, 0 where that cannot be told
    return max(high - old if rising >= 0 else -inf, old - low if rising <= 0 else -inf)


def examples(result: GateResult, most: int | None = None) -> tuple[str, tuple[Flip, ...]]:
    """Return at most ``most`` examples to look at, with their heading: wrong answers of a red gate, else broken ones.

    ``wrong answers of the candidate (3 of 88)``
    """
    pairs = _is_of_pairs(result)
    if result.wrong and not result.passed:
        what, found, count = "pairs not won by" if pairs else "wrong answers of", result.wrong, result.n_wrong
    else:
        what, found, count = f"{'lost' if pairs else 'broken'} by", result.broken, result.losses
    shown = found[:most]
    if result.attempt is not None:  # of examples that may not count
        return f"{what} the candidate ({len(shown):,} of those that may be shown)", shown
    return f"{what} the candidate ({len(shown):,} of {len(found) if count is None else count:,})", shown


def _is_of_pairs(result: GateResult) -> bool:
    """Return whether answers were compared in pairs, each won, lost or a tie."""
    return any(one.metric == result.metric and one.pairwise for one in result.judges)


def gain_sentence(result: GateResult) -> str | None:
    """Return the gain over the best baseline, what is required, and its lower bound, None if it was not measured.

    ``gain +26.7 points accuracy, needs +5.0; 95 % lower bound +15.4``
    """
    if result.gain is None:
        return None
    over = "" if len(result.baselines) == 1 else f" over {result.baseline.name}"
    gained = f"gain{over} {show_difference(result.gain, share=is_share(result.metric_range))} {result.metric}"
    return "; ".join([f"{gained}, {required(result)}", *_lower_bound(result)])


def champion_sentences(result: GateResult) -> Iterator[str]:
    """Yield the gain over each baseline with a max_drop of its own, of a gate that asks for a margin.

    ``gain over champion -0.7 points, max_drop 3 points; 95 % lower bound -2.2``
    """
    for role, one in result.gains.items():
        if result.max_drop is None and (one.required or 0) < 0:
            own = replace(result, lower_bound=one.lower_bound, max_drop=-(one.required or 0))
            gain = f"gain over {role} {show_difference(one.gain, share=is_share(result.metric_range))}"
            yield "; ".join([f"{gain}, {required(own)}", *_lower_bound(own)])


def required(result: GateResult) -> str:
    """Return what is required of the gain: ``needs +5.0``, or ``max_drop 3 points``."""
    share = is_share(result.metric_range)
    if result.max_drop is not None:
        return f"max_drop {show_amount(result.max_drop, share=share)}"
    return "nothing required" if result.margin is None else f"needs {show_needed(result.margin, share=share)}"


def _lower_bound(result: GateResult) -> Iterator[str]:
    if result.lower_bound is not None and result.confidence is not None:
        lower = show_change(result.lower_bound, share=is_share(result.metric_range))
        yield "; ".join([f"{show_percent(result.confidence)} lower bound {lower}", *unproven(result)])


def bounds(result: GateResult) -> str | None:
    """Return both bounds: ``95 % bounds -14.6 to +7.0``; None where one is not known."""
    share = is_share(result.metric_range)
    if result.lower_bound is None or result.upper_bound is None:
        return None
    low, high = (show_change(one, share=share) for one in (result.lower_bound, result.upper_bound))
    return f"{show_percent(result.confidence or 0)} bounds {low} to {high}"


def unproven(result: GateResult) -> Iterator[str]:
    """Yield that a margin was reached without proof, where it was."""
    if result.max_drop is None and result.passed and result.margin and result.margin_proven is False:
        yield "margin not proven"


def hypothesis_sentence(result: GateResult) -> str | None:
    """Return the hypothesis, and whether it was reached if that is known; None without one."""
    reached = {None: "", True: ": reached", False: ": not reached"}[result.hypothesis_reached]
    return f"hypothesis: {result.hypothesis}{reached}" if result.hypothesis else None


def method_sentences(result: GateResult) -> list[str]:
    """Return the upper bound and the method of the bounds; empty if there is no gain."""
    if result.gain is None:
        return []
    share = is_share(result.metric_range)
    p_value = "" if result.p_value is None else f", {show_p_value(result.p_value)}"
    upper = show_difference(result.upper_bound, share=share)
    return [f"{show_percent(result.confidence or 0)} upper bound {upper}", f"method: {result.method}{p_value}"]


# --- models and data -----------------------------------------------------------------------------------------


def price_sentences(result: GateResult) -> Iterator[str]:
    """Yield each source of prices once, with the models that it applies to, and why else a cost is unknown."""
    for source in dict.fromkeys(model.price for model in result.models.values() if model.price is not None):
        roles = [role for role, model in result.models.items() if model.price == source]
        yield f"price of {', '.join(roles)}: {source}"
    for role, model in result.models.items():
        if model.cost_unknown is not None and model.cost_unknown.why not in (model.price or ""):
            yield f"cost of {role} unknown: {model.cost_unknown.why}"


def age_sentence(result: GateResult) -> str | None:
    """Return the age of the oldest stored answer, None if nothing is stored."""
    known = [model.oldest_age_s for model in result.models.values() if model.oldest_age_s is not None]
    return f"oldest stored answer: {show_age(max(known))} old" if known else None


def data_sentences(result: GateResult, digits: int = _HASH_DIGITS) -> Iterator[str]:
    """Yield the data sets with their sizes and the first digits of their hashes."""
    training, test = result.training, result.test_set
    if training.sha256 is None or test.sha256 is None:
        return
    counts = f"{show_count(training.rows)} rows, {show_count(training.usable)} usable"
    yield f"training set: {training.path or 'iterable'}, {counts}, sha256 {training.sha256[:digits]}"
    examples = f"{show_count(test.examples)} examples"
    yield f"test set: {test.path or 'iterable'}, {examples}, sha256 {test.sha256[:digits]}"


# --- judges --------------------------------------------------------------------------------------------------


def judge_sentences(result: GateResult) -> Iterator[str]:
    """Yield one sentence for each judged metric."""
    return map(_judge, result.judges)


def _judge(one: JudgeResult) -> str:
    if one.judge is None:
        return f"{one.metric} by {plural(one.raters or 0, 'rater')}"
    kappa = f", kappa {one.kappa:.2f} with human labels" if one.kappa is not None else ""
    asked = f"{plural(one.n_questions or 0, 'question')}, {show_count(one.n_stored)} stored"
    known = one.input_tokens is not None and one.output_tokens is not None
    tokens = f", {show_count(one.input_tokens)}/{show_count(one.output_tokens)} tokens" if known else ""
    cost = f"cost unknown: {one.cost_unknown.why}" if one.cost_unknown else show_usd(one.cost_usd)
    return f"{one.metric} by judge {one.judge}{kappa}: {asked}{tokens}, {cost}"


# --- mistakes ------------------------------------------------------------------------------------------------

_MISTAKES = {
    "missing": "missing",
    "refusal": "refused",
    "cut_off": "cut off",
    "empty": "empty",
    "wrong_format": "in the wrong format",
    "no_call": "without the tool call",
    "text_and_call": "with a tool call beside the text",
    "unexpected_call": "with a tool call where none is expected",
    "unknown_tool": "calling an unknown tool",
    "invalid_arguments": "with invalid arguments",
    "wrong_tool": "calling the wrong tools",
    "wrong_arguments": "with wrong arguments",
    "unknown_label": "without a known label",
    "wrong_label": "with a wrong label",
    "wrong": "wrong",
}


def mistake_words(found: Diagnosis) -> dict[str, str]:
    """Return a description for each kind of mistake; without labels a wrong format means invalid JSON."""
    return _MISTAKES if found.labels else {**_MISTAKES, "wrong_format": "not valid JSON"}
