"""Sentences about a result that all reports share.

Each function yields the sentences that apply, often one or none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from statistics import NormalDist

from pytest_ftgate import text
from pytest_ftgate.result import RED, AgreementResult, Check, Flip, GateResult

FINISHES = {
    "refusal": "refused",
    "filtered": "filtered",
    "cut_off": "cut off",
    "missing": "no answer",
}

_HEADLINE_CHARACTERS = 160
_ENOUGH = 200  # examples from which on the gain that can be shown is not told


# --- the verdict
# ---------------------------------------------------------------------------------------------


def deciding_checks(result: GateResult) -> list[Check]:
    """Return the checks that decide the verdict of a gate that did not pass."""
    return [
        check for check in result.checks if check.status == result.verdict and check.status in RED
    ]


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
    return f"{verdict}{text.shortened(check.message, _HEADLINE_CHARACTERS)} ({check.name})"


def with_source(check: Check) -> str:
    """Return the message of a check, and the place where its threshold was written in a file."""
    return text.shortened(check.message) + (
        f" ({check.source})" if check.source and ":" in check.source else ""
    )


def stage_sentence(result: GateResult) -> Iterator[str]:
    """Yield what the verdict means before training."""
    if result.stage == "ready":
        pays = result.economics is None or result.economics.breaks_even is not False
        ready = (
            "train now"
            if pays
            else "a gain can be shown, but at these costs training never pays for itself"
        )
        yield f"READY: {ready}" if result.passed else "NOT READY: do not train yet"


# --- the gain
# ------------------------------------------------------------------------------------------------


def gain_sentence(result: GateResult) -> Iterator[str]:
    """Yield the gain over the best baseline, what is required, and its lower bound.

    ``gain +26.7 points accuracy, needs +5.0; 95 % lower bound +15.4``
    """
    if result.gain is not None:
        over = "" if len(result.baselines) == 1 else f" over {result.baseline.name}"
        yield _gained(result, f"gain{over}", f" {result.metric}")


def champion_sentences(result: GateResult) -> Iterator[str]:
    """Yield the gain over each baseline with a max_drop of its own, of a gate that asks for a margin.

    ``gain over champion -0.7 points, max_drop 3 points; 95 % lower bound -2.2``
    """
    for role, one in result.gains.items():
        if result.max_drop is None and (drop := -(one.required or 0)) > 0:
            own = replace(result, gain=one.gain, lower_bound=one.lower_bound, max_drop=drop)
            yield _gained(own, f"gain over {role}")


def agreement_sentence(result: GateResult) -> Iterator[str]:
    """Yield the share of examples with the same answer as a baseline, what is required, and its lower bound.

    ``agreement 99.5 % with adapter, needs 98 %; 95 % lower bound 97.6 %; 1 of 200 examples
    differs``
    """
    agreement = result.agreement
    if agreement is None:
        return

    share = text.show_percent(agreement.share)
    measured = (
        f"agreement {share} with {agreement.baseline}, needs {text.show_percent(agreement.min)}"
    )
    yield "; ".join([measured, *agreement_facts(result, agreement)])


def agreement_facts(result: GateResult, agreement: AgreementResult) -> Iterator[str]:
    """Yield the lower bound of an agreement, and how many examples differ: ``1 of 200 examples differs``."""
    if agreement.lower_bound is not None and result.confidence is not None:
        bound = text.show_percent(agreement.lower_bound)
        yield f"{text.show_percent(result.confidence)} lower bound {bound}"
    verb = "differs" if agreement.n_different == 1 else "differ"
    note = f" ({agreement.note})" if agreement.note else ""
    yield f"{agreement.n_different:,} of {text.plural(agreement.n, 'example')} {verb}{note}"


def is_of_agreement(result: GateResult, check: Check) -> bool:
    """Return whether a check observed the agreement with a baseline."""
    agreement = result.agreement
    return agreement is not None and check.observed in (agreement.share, agreement.lower_bound)


def _gained(result: GateResult, what: str, metric: str = "") -> str:
    share = text.is_share(result.metric_range)
    facts = [f"{what} {text.show_difference(result.gain, share=share)}{metric}, {required(result)}"]
    if result.lower_bound is not None and result.confidence is not None:
        bound = text.show_change(result.lower_bound, share=share)
        facts.append(f"{text.show_percent(result.confidence)} lower bound {bound}")
        if (
            result.max_drop is None
            and result.passed
            and result.margin
            and result.margin_proven is False
        ):
            facts.append("margin not proven")
    return "; ".join(facts)


def required(result: GateResult) -> str:
    """Return what is required of the gain: ``needs +5.0``, or ``max_drop 3 points``."""
    share = text.is_share(result.metric_range)
    if result.max_drop is not None:
        return f"max_drop {text.show_amount(result.max_drop, share=share)}"
    return (
        "nothing required"
        if result.margin is None
        else f"needs {text.show_needed(result.margin, share=share)}"
    )


def changed(result: GateResult) -> str:
    """Return how many examples changed: ``40 fixed, 10 broken of 60 examples (12 groups)``."""
    note = f" ({result.note})" if result.note else ""
    attempt = "" if result.attempt is None else f"; {result.attempt}"
    examples = text.plural(result.n or 0, "example")
    return f"{result.wins or 0:,} fixed, {result.losses or 0:,} broken of {examples}{note}{attempt}"


def bounds(result: GateResult) -> Iterator[str]:
    """Yield both bounds: ``95 % bounds -14.6 to +7.0``."""
    if result.lower_bound is not None and result.upper_bound is not None:
        share = text.is_share(result.metric_range)
        low, high = (
            text.show_change(one, share=share) for one in (result.lower_bound, result.upper_bound)
        )
        yield f"{text.show_percent(result.confidence or 0)} bounds {low} to {high}"


def detectable_sentence(result: GateResult) -> Iterator[str]:
    """Yield the real gain that passes in four of five runs if the models differ as often as measured.

    Nothing if no bound was measured, from 200 examples on, and where that is more than the baseline
    leaves.
    """
    n, lower, confidence = result.n or _ENOUGH, result.lower_bound, result.confidence
    if n >= _ENOUGH or result.gain is None or lower is None or confidence is None:
        return
    normal, least = (
        NormalDist(),
        -result.max_drop if result.max_drop is not None else result.margin or 0.0,
    )
    below = result.gain - lower
    target = {"observed": -inf, "significant": below, "proven": least + below}
    evidence = "proven" if result.max_drop is not None else result.evidence or "proven"
    gain = max(least, target[evidence]) + below * normal.inv_cdf(0.8) / normal.inv_cdf(confidence)
    if gain <= _room(result):
        shown = text.show_difference(gain, share=text.is_share(result.metric_range))
        yield f"with {text.plural(n, 'example')}, a real gain of {shown} passes 4 times in 5"


def _room(result: GateResult) -> float:
    """Return how much better than the baseline a candidate can be; the larger side where the direction is unknown."""
    low, high = result.metric_range or (-inf, inf)
    old = result.baseline.value
    new = result.candidate.value
    if old is None or new is None:
        return high - low

    rising = (result.gain or 0.0) * (new - old)  # negative where lower is better
    if rising > 0:
        return high - old
    return old - low if rising < 0 else max(high - old, old - low)


def hypothesis_sentence(result: GateResult) -> Iterator[str]:
    """Yield the hypothesis, and whether it was reached if that is known."""
    if result.hypothesis:
        reached = {None: "", True: ": reached", False: ": not reached"}[result.hypothesis_reached]
        yield f"hypothesis: {result.hypothesis}{reached}"


def method_sentences(result: GateResult) -> Iterator[str]:
    """Yield the upper bound, and the method of the bounds."""
    if result.gain is not None:
        upper = text.show_difference(result.upper_bound, share=text.is_share(result.metric_range))
        yield f"{text.show_percent(result.confidence or 0)} upper bound {upper}"
        yield f"method: {result.method}{'' if result.p_value is None else f', {text.show_p_value(result.p_value)}'}"


def examples(result: GateResult, most: int | None = None) -> tuple[str, tuple[Flip, ...]]:
    """Return at most ``most`` examples to look at, with their heading: wrong answers of a red gate, else broken ones.

    ``wrong answers of the candidate (3 of 88)``
    """
    agreement = result.agreement
    deciding = deciding_checks(result)
    if agreement is not None and (
        result.gain is None or any(is_of_agreement(result, check) for check in deciding)
    ):
        flips = agreement.different[:most]
        return f"answers that differ ({len(flips):,} of {agreement.n_different:,})", flips

    if result.wrong and not result.passed:
        what = "wrong answers of"
        answers = result.wrong
        count = result.n_wrong
    else:
        what = "broken by"
        answers = result.broken
        count = result.losses
    shown = answers[:most]
    of = (
        f"{len(answers) if count is None else count:,}"
        if result.attempt is None
        else "those that may be shown"
    )
    return f"{what} the candidate ({len(shown):,} of {of})", shown


# --- models and data
# -----------------------------------------------------------------------------------------


def price_sentences(result: GateResult) -> Iterator[str]:
    """Yield each source of prices once, why else a cost is unknown, and the age of the oldest stored answer."""
    for source in dict.fromkeys(
        model.price for model in result.models.values() if model.price is not None
    ):
        roles = [role for role, model in result.models.items() if model.price == source]
        yield f"price of {', '.join(roles)}: {source}"
    for role, model in result.models.items():
        if model.cost_unknown is not None and model.cost_unknown.why not in (model.price or ""):
            yield f"cost of {role} unknown: {model.cost_unknown.why}"
    known = [
        model.oldest_age_s for model in result.models.values() if model.oldest_age_s is not None
    ]
    if known:
        yield f"oldest stored answer: {text.show_age(max(known))} old"


def data_sentences(result: GateResult, digits: int = 12) -> Iterator[str]:
    """Yield the data sets with their sizes and the first digits of their hashes."""
    training, test = result.training, result.test_set
    if training.sha256 is not None and test.sha256 is not None:
        counts = f"{text.show_count(training.rows)} rows, {text.show_count(training.usable)} usable"
        yield f"training set: {training.path or 'iterable'}, {counts}, sha256 {training.sha256[:digits]}"
        size = f"{text.show_count(test.examples)} examples"
        yield f"test set: {test.path or 'iterable'}, {size}, sha256 {test.sha256[:digits]}"


def input_sentences(result: GateResult) -> Iterator[str]:
    """Yield the data and the marker that the verdict is based on, and what the marker requires less than the file."""
    yield from data_sentences(result)
    if result.location:
        yield f"marker: {result.location}"
    for change in result.loosened:
        yield f"weaker than the gate file: {change}"


def judge_sentences(result: GateResult) -> Iterator[str]:
    """Yield one sentence for each judged metric."""
    for one in result.judges:
        if one.judge is None:
            yield f"{one.metric} by {text.plural(one.raters or 0, 'rater')}"
            continue
        kappa = f", kappa {one.kappa:.2f} with human labels" if one.kappa is not None else ""
        asked = f"{text.plural(one.n_questions or 0, 'question')}, {text.show_count(one.n_stored)} stored"
        known = one.input_tokens is not None and one.output_tokens is not None
        tokens = (
            f", {text.show_count(one.input_tokens)}/{text.show_count(one.output_tokens)} tokens"
            if known
            else ""
        )
        cost = (
            f"cost unknown: {one.cost_unknown.why}"
            if one.cost_unknown
            else text.show_usd(one.cost_usd)
        )
        yield f"{one.metric} by judge {one.judge}{kappa}: {asked}{tokens}, {cost}"
