"""The rules of the gate: facts in, checks out. Pure; what the checks add up to is the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING

from pytest_ftgate.money.price import PRICE_CURE, UNKNOWN
from pytest_ftgate.numbers import is_share, plural, settled_by, show_amount, show_difference, show_value
from pytest_ftgate.result import Check, ModelResult, Status
from pytest_ftgate.safe import one_line, printable

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound, GateConfig
    from pytest_ftgate.inference import Comparison, Remedy, Spread
    from pytest_ftgate.metrics import Metric

ROWS_SHOWN = 5
"""So many rows a message names."""
_ID_CHARACTERS = 40
_AGAIN = "Run again: what arrived is kept (unless --ftgate-cache=off), only the missing answers are asked for."
RUN_METRICS = {
    "latency_p50_s": (0.0, inf),
    "latency_p95_s": (0.0, inf),
    "cost_usd": (0.0, inf),
    "error_rate": (0.0, 1.0),
}
"""What is measured of a run, besides quality: the range of each."""


# --- free checks: nothing is paid for before they hold -------------------------------------------------------


def test_size_check(config: GateConfig, examples: int) -> Check:
    """At least ``min_test_examples`` examples."""
    needed = config.min_test_examples
    held = examples >= needed
    return Check(
        "min_test_examples",
        "pass" if held else "fail",
        f"{plural(examples, 'test example')}, {needed:,} needed",
        observed=examples,
        required=needed,
        source=str(config.sources["min_test_examples"]),
        advice=None if held else f"Label {plural(needed - examples, 'more example')}.",
    )


test_size_check.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions by their name


def limit_checks(config: GateConfig) -> list[Check]:
    """Where a file is read in part: what stands in the rest has no part in the verdict."""
    test, training = (getattr(data, "limit", None) for data in (config.test_set, config.training_set))
    found = []
    if test is not None:
        message = f"of {config.test_set} no more than the first {plural(test, 'row')} count"
        source = str(config.sources["test_set"])
        found.append(Check("test_set_limit", "note", message, observed=test, source=source))
    if training is not None:
        message = f"of {config.training_set} no more than the first {plural(training, 'row')} were looked at"
        source, advice = str(config.sources["training_set"]), "Look at all that the candidate was trained on."
        found.append(Check("training_set_limit", "warning", message, observed=training, source=source, advice=advice))
    return found


def reach_check(config: GateConfig, examples: int, wins: int | None) -> Check:
    """What the evidence asks of this many examples at best: said before any call, for free."""
    if wins is None:
        return Check(
            "reach",
            "inconclusive",
            f"no result on {plural(examples, 'example')} could meet this gate, not even one that fixes every one",
            observed=examples,
            source=str(config.sources["evidence"]),
            advice="Label more test examples.",
        )
    return Check(
        "reach",
        "note",
        f"with {plural(examples, 'example')} this gate needs at least {wins:,} fixed and none broken",
        observed=examples,
        required=wins,
        source=str(config.sources["evidence"]),
    )


def groups_check(config: GateConfig, groups: int, needed: int) -> Check | None:
    """Too few groups of examples that belong together say nothing about the next group."""
    if groups >= needed:
        return None
    return Check(
        "groups",
        "inconclusive",
        f"{plural(groups, 'group')} of test examples, {needed} needed to judge a gain",
        observed=groups,
        required=needed,
        source=str(config.sources["test_set"]),
        advice="Add test examples from other groups; more from the same ones do not help.",
    )


# --- checks of the two runs ----------------------------------------------------------------------------------


def complete_check(
    role: str, model: ModelResult, *, missing_ids: Sequence[str], error: str | None, policy: str
) -> Check:
    """Every answer arrived. A missing one is an error, unless the gate scores it as wrong (candidate alone)."""
    missing = model.n_errors or 0
    if not missing:
        return Check(
            f"{role}_predictions",
            "pass",
            f"{role}: all {plural(model.n_expected or 0, 'answer')} arrived",
            observed=model.n_expected,
            required=model.n_expected,
        )
    ids = ", ".join(printable(id_, _ID_CHARACTERS) for id_ in missing_ids[:ROWS_SHOWN])
    ids += ", ..." if len(missing_ids) > ROWS_SHOWN else ""
    scored_zero = policy == "score_zero" and role == "candidate"
    message = f"{role} {model.name}: {missing:,} of {plural(model.n_expected or 0, 'answer')} missing ({ids}): "
    message += one_line(error or "")
    return Check(
        f"{role}_predictions",
        "warning" if scored_zero else "error",
        message + (" (counted as wrong: errors is score_zero)" if scored_zero else ""),
        observed=(model.n_expected or 0) - missing,
        required=model.n_expected,
        advice=None if scored_zero or model.verified is not None else _AGAIN,
    )


def identical_check(baseline: str, *, identical: bool, n: int) -> Check | None:
    """Two models that answer everything alike are one model, or one of them was never called."""
    if not identical:
        return None
    return Check(
        "identical_outputs",
        "fail",
        f"the candidate gave the same {plural(n, 'answer')} as {baseline}, word for word",
        observed=n,
        advice="Look whether both names reach one model; a fine-tune that changes no answer is not worth shipping.",
    )


@dataclass(frozen=True)
class Judgement:
    """What the gain is held to."""

    metric: Metric
    margin: float
    evidence: str
    confidence: float
    margin_source: str
    evidence_source: str

    @property
    def share(self) -> bool:
        """The metric lies on [0, 1] and is spoken of in points."""
        return is_share((self.metric.low, self.metric.high))


def gain_reaches(gain: float | Fraction, margin: float) -> bool:
    """Exact: counts as fractions, other values after rounding to 12 decimals. Margin 0 asks for more than 0."""
    asked = Fraction(repr(margin))
    seen = gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, 12)))
    return seen > 0 if asked == 0 else seen >= asked


def gain_checks(judgement: Judgement, comparison: Comparison, against: str) -> list[Check]:
    """The measured gain against the margin, then how sure we can be of it."""
    gain = comparison.gain if comparison.gain_exact is None else comparison.gain_exact
    reached = gain_reaches(gain, judgement.margin)
    measured = show_difference(comparison.gain, share=judgement.share)
    asked = f"+{show_amount(judgement.margin, share=judgement.share)}" if judgement.margin else "more than 0"
    margin = Check(
        "margin",
        "pass" if reached else "fail",
        f"gain over {against} {measured}, asked for {asked}",
        observed=comparison.gain,
        required=judgement.margin,
        source=judgement.margin_source,
        advice=None if reached else _advice_below(comparison),
    )
    return [margin, _evidence_check(judgement, comparison, against)] if reached else [margin]


def _advice_below(comparison: Comparison) -> str:
    if comparison.gain <= 0:
        return (
            "Drop it: the prompted baseline is as good or better. Look at the broken examples before another attempt."
        )
    return (
        "Drop it, or look at the broken examples and mend the training data: two or three attempts are normal, "
        "each with better data, on the same margin."
    )


def _evidence_check(judgement: Judgement, comparison: Comparison, against: str) -> Check:
    held, target = {
        "observed": (True, None),
        "significant": (comparison.above_zero, 0.0),
        "proven": (comparison.reaches_margin, judgement.margin),
    }[judgement.evidence]
    return Check(
        "evidence",
        "pass" if held else "inconclusive",
        _sure_sentence(judgement, comparison, against),
        observed=comparison.lower,
        required=target,
        source=judgement.evidence_source,
        advice=None if held else _advice_thin(comparison),
    )


def _sure_sentence(judgement: Judgement, comparison: Comparison, against: str) -> str:
    """The bound in plain words, and what it leaves open: that there is no gain, or one below the margin."""
    share = judgement.share
    if comparison.lower is None:
        return f"how large the real gain over {against} is cannot be told: {comparison.note or 'no bound exists'}"
    sure = f"{100 * judgement.confidence:g} % sure of at least {show_difference(comparison.lower, share=share)}"
    if judgement.margin and not comparison.reaches_margin:
        measured = show_difference(comparison.gain, share=share)
        if judgement.evidence == "significant" and not comparison.above_zero:
            return f"measured {measured}; {sure}: the real gain may be zero or a loss"
        margin = show_amount(judgement.margin, share=share)
        return f"measured {measured}; {sure}; the margin of {margin} itself is not proven"
    return sure


def _advice_thin(comparison: Comparison) -> str:
    if comparison.examples_needed is None:
        return "More examples help only if the candidate is better than it looks here."
    return settled_by("gain", comparison.examples_needed, comparison.n, "test example")


def bca_check(bounds: tuple[float, float] | None, judgement: Judgement, against: str, *, grouped: bool) -> Check:
    """A second opinion on the bound, by another method. The verdict does not rest on it."""
    if bounds is None:
        why = "it would take grouped examples for independent ones" if grouped else "all resamples have one value"
        return Check("bca", "note", f"BCa bootstrap: no bound over {against}, {why}")
    lower = show_difference(bounds[0], share=judgement.share)
    sure = f"{100 * judgement.confidence:g} % sure"
    return Check(
        "bca",
        "note",
        f"BCa bootstrap, 10,000 resamples, seed 0: {sure} of at least {lower} over {against}",
        observed=bounds[0],
    )


def repeats_check(spread: Spread, cure: Remedy, *, settled: bool) -> Check:
    """How much of the noise lies between examples and how much within them; what would settle the gain."""
    more = []
    if cure.more_repeats:
        more.append(f"{plural(cure.more_repeats, 'more repeat')} of each example")
    if cure.more_examples:
        more.append(plural(cure.more_examples, "more example"))
    return Check(
        "repeats",
        "note",
        f"{spread.repeats} answers an example: standard deviation of the difference {spread.between**0.5:.2f} between "
        f"examples, {spread.within**0.5:.2f} within one",
        observed=spread.repeats,
        advice=None if settled or not more else f"{' or '.join(more)} would settle it, 4 times out of 5.",
    )


def bound_check(bound: Bound, model: ModelResult, *, share: bool) -> Check:
    """One item of ``require``: a measured value against its bound. What was not measured is an error, never zero."""
    name = bound.metric.name
    value = getattr(model, name) if name in RUN_METRICS else model.metrics.get(name)
    limits = [f"at least {_limit(bound.min, share)}"] if bound.min is not None else []
    limits += [f"at most {_limit(bound.max, share)}"] if bound.max is not None else []
    status: Status = "error" if value is None else "pass" if _within(value, bound) else "fail"
    seen = "unknown" if value is None else _limit(value, share)
    why = f": {model.cost_unknown}" if value is None and name == "cost_usd" and model.cost_unknown else ""
    return Check(
        f"require.{bound.of}.{name}",
        status,
        f"{bound.of} {name} {seen}, asked for {' and '.join(limits)}{why}",
        observed=value,
        required=bound.min if bound.min is not None else bound.max,
        source=str(bound.source),
        advice=_missing_advice(name, model) if value is None else None,
    )


def _limit(value: float, share: bool) -> str:
    return show_value(value, share=True) if share else f"{value:.6g}"


def _within(value: float, bound: Bound) -> bool:
    """Both sides rounded to 12 decimals: 56 of 60 is not below a bound of 0.9333333333333333."""
    seen = round(value, 12)
    above = bound.min is None or seen >= round(bound.min, 12)
    below = bound.max is None or seen <= round(bound.max, 12)
    return above and below


def _missing_advice(name: str, model: ModelResult) -> str:
    if name == "cost_usd" and (model.price or "").startswith(UNKNOWN):
        return f"Give the model a {PRICE_CURE}."
    if name == "cost_usd":
        return "Nothing counts what is missing: ask again (--ftgate-cache=refresh), or an endpoint that reports usage."
    return "The models did not report what is needed to measure it."


def normalization_check(
    *, verdict: str, lenient_verdict: str, gain: float, lenient_gain: float, share: bool
) -> Check | None:
    """A prompted "Refund." against a fine-tuned "refund" is no better model: said where it changes the verdict."""
    if verdict == lenient_verdict:
        return None
    return Check(
        "normalization",
        "warning",
        f"ignoring case and punctuation the gain is {show_difference(lenient_gain, share=share)} instead of "
        f"{show_difference(gain, share=share)}, and the verdict on it {lenient_verdict} instead of {verdict}",
        observed=lenient_gain,
        advice="If they do not matter to you, say so: metric: {name: ..., normalize: [case, punctuation]}.",
    )


def answer_checks(role: str, model: ModelResult) -> list[Check]:
    """Answers that are no answer to the question: counted, scored wrong, and said."""
    counted = (
        ("n_unknown", "unknown_labels", "no known label"),
        ("n_refused", "refusals", "a refusal or filtered"),
        ("n_cut_off", "cut_off", "cut off at the length limit"),
        ("n_empty", "empty", "empty"),
    )
    return [
        Check(
            f"{role}_{name}",
            "note",
            f"{role} {model.name}: {plural(count, 'answer')} {'is' if count == 1 else 'are'} {what}, scored wrong",
            observed=count,
        )
        for attribute, name, what in counted
        if (count := getattr(model, attribute))
    ]


def attested_check(role: str, model: ModelResult) -> Check | None:
    """Recorded predictions without a hash of their input are taken on trust, and that is said."""
    if model.verified is not False:
        return None
    return Check(
        f"{role}_recording",
        "note",
        f"{role} {model.name}: the recorded predictions are attested, not verified (no input_sha256)",
    )
