"""Sentences about a result that all reports share.

Each function yields the sentences that apply, often one or none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from statistics import NormalDist

from pytest_ftgate import text
from pytest_ftgate.result import (
    RED,
    AgreementResult,
    Check,
    Flip,
    GateResult,
    PartResult,
    Status,
)

_HEADLINE_CHARACTERS = 160
_ENOUGH = 200  # examples from which on the gain that can be detected is not shown
_GAIN_KEYS = ("margin", "max_drop", "evidence", "baselines")
"""The first parts of the keys that require something of the gain."""


# --- the verdict ----------------------------------------------------------------------------------


def with_status(checks: Iterable[Check], *statuses: Status) -> list[Check]:
    """Return the checks that have one of these statuses, in the order of the statuses."""
    chosen = [check for check in checks if check.status in statuses]
    return sorted(chosen, key=lambda check: statuses.index(check.status))


def red_checks(result: GateResult) -> list[Check]:
    """Return the checks that do not hold, those that decide the verdict first."""
    return with_status(result.checks, *RED)


def advised_once(checks: Iterable[Check], cures_shown: set[str]) -> Iterator[Check]:
    """Yield checks without cure that is in ``cures_shown``, to which theirs is added.

    Two checks may have the same cure.
    """
    for check in checks:
        if check.cure in cures_shown:
            yield replace(check, cure=None)
        else:
            yield check
            cures_shown.add(check.cure or "")


def headline(checks: Iterable[Check]) -> str:
    """Return why a gate did not pass, for pytest's summary, which is cut at the terminal's width.

    ``gain +2.1 points, needs +5.0 (margin)``, and of a guard, whose message does not name it,
    ``guards.safety: -16.7 points``.
    """
    check = with_status(checks, *RED)[0]
    message = text.shortened(check.message, _HEADLINE_CHARACTERS)
    sentence = f"{message} ({check.name})"
    if check.name.startswith("guards."):
        sentence = f"{check.name}: {message}"
    return f"inconclusive: {sentence}" if check.status == "inconclusive" else sentence


def with_source(check: Check) -> str:
    """Return the message of a check, and the place where its threshold was written in a file."""
    message = text.shortened(check.message)
    if check.source and ":" in check.source:
        message += f" ({check.source})"
    return message


def stage_sentence(result: GateResult) -> Iterator[str]:
    """Yield what the verdict means before training."""
    if result.stage != "ready":
        return
    if not result.passed:
        yield "NOT READY: do not train yet"
        return

    checks = {check.name: check for check in result.checks}
    power = checks.get("power")
    if result.economics is not None and result.economics.breaks_even is False:
        yield "READY, but at these costs training never pays for itself"
        if power is not None:
            yield power.message
    elif power is None:
        yield "READY"
    else:
        yield f"READY{', but' if power.status == 'warning' else ':'} {power.message}"
    room = checks.get("headroom")
    if room is not None:
        yield f"{room.message}; {text.plural(result.test_set.examples or 0, 'example')}"


def counted(checks: Iterable[Check]) -> str:
    """Return how many checks are not red: ``14 checks passed, 1 warning, 2 notes``."""
    statuses = [check.status for check in checks]
    counts = []
    if "pass" in statuses:
        counts.append(f"{text.plural(statuses.count('pass'), 'check')} passed")
    for noun in ("warning", "note"):
        if noun in statuses:
            counts.append(text.plural(statuses.count(noun), noun))
    return ", ".join(counts)


# --- what a check is about ------------------------------------------------------------------------


def _key(check: Check) -> str:
    """Return the key that a check is about, such as ``guards.safety.max_drop``, or ``""``."""
    return "" if check.threshold is None else check.threshold.key


def is_of_gain(result: GateResult, check: Check) -> bool:
    """Return whether a check observed the gain of the candidate, or its lower bound."""
    # A check may observe nothing, and a gain may have no bound: they are not alike for that.
    if check.kind != "gain" or check.observed is None:
        return False
    is_asked = _key(check).partition(".")[0] in _GAIN_KEYS
    return is_asked and check.observed in (result.gain, result.lower_bound)


def is_of_agreement(check: Check) -> bool:
    """Return whether a check observed the agreement with a baseline."""
    return check.kind == "gain" and _key(check) == "agreement.min"


def facts_of(result: GateResult, check: Check) -> str:
    """Return what its message does not say of the gain or the agreement of a check."""
    facts: list[str] = []
    if is_of_gain(result, check):
        bounds = bounds_sentence(result)
        # The message of such a check says the lower bound.
        if check.observed == result.lower_bound:
            bounds = upper_bound_sentence(result)
        facts = [*bounds, changed(result)]
    elif is_of_agreement(check) and result.agreement is not None:
        facts = list(agreement_facts(result, result.agreement))
    return "; ".join(facts)


def outcome_sentences(result: GateResult) -> Iterator[str]:
    """Yield the gain, how many examples changed, and the agreement, unless a red check says so."""
    if result.gain is not None and not tells_gain(result):
        yield from gain_sentence(result)
        yield changed(result)
    if not any(map(is_of_agreement, red_checks(result))):
        yield from agreement_sentence(result)


_DECISIONS = {
    "pass": "Ship",
    "fail": "Do not ship",
    "inconclusive": "Not decided",
    "error": "Not judged",
}


def decision_sentence(result: GateResult) -> Iterator[str]:
    """Yield the verdict on a candidate in words: ``Do not ship: 23.3 points better, 30 required``.

    The gain is said where one is required, and it decides or all is well.
    """
    if result.stage == "ready":
        return

    decision = _DECISIONS[result.verdict]
    share = text.is_share(result.metric_range)
    if result.max_drop is not None:
        allowed = text.show_amount(result.max_drop, share=share).removesuffix(" points")
        standard = f"{allowed} worse allowed"
    elif result.margin is not None:
        needed = text.show_amount(result.margin, share=share).removesuffix(" points")
        standard = f"{needed} required"
    else:
        standard = ""

    if not standard or result.gain is None or not (result.passed or tells_gain(result)):
        yield decision
        return
    amount = text.show_difference(abs(result.gain), share=share).removeprefix("+")
    direction = "better" if result.gain >= 0 else "worse"
    yield f"{decision}: {amount} {direction}, {standard}"


def tells_gain(result: GateResult) -> bool:
    """Return whether a red check says what the gain is."""
    return any(is_of_gain(result, check) for check in red_checks(result))


# --- the gain -------------------------------------------------------------------------------------


def gain_sentence(result: GateResult) -> Iterator[str]:
    """Yield the gain over the best baseline, what is required, and its lower bound.

    ``gain +26.7 points accuracy, needs +5.0; 95 % lower bound +15.4``
    """
    if result.gain is None:
        return

    subject = "gain"
    if len(result.baselines) > 1:
        subject += f" over {result.baseline.name}"
    share = text.is_share(result.metric_range)
    gain = text.show_difference(result.gain, share=share)
    facts = [f"{subject} {gain} {result.metric}, {required(result)}"]
    if result.lower_bound is not None and result.confidence is not None:
        bound = text.show_change(result.lower_bound, share=share)
        facts.append(f"{text.show_percent(result.confidence)} lower bound {bound}")
        has_margin = result.passed and result.max_drop is None and result.margin
        if has_margin and result.margin_proven is False:
            facts.append("margin not proven")
    yield "; ".join(facts)


def agreement_sentence(result: GateResult) -> Iterator[str]:
    """Yield the share of equal answers of candidate and baseline, with its requirement and bound.

    ``agreement 99.5 % with adapter, needs 98 %; 95 % lower bound 97.6 %; 1 of 200 examples
    differs``
    """
    agreement = result.agreement
    if agreement is None:
        return

    share = text.show_percent(agreement.share)
    needed = text.show_percent(agreement.min)
    measured = f"agreement {share} with {agreement.baseline}, needs {needed}"
    yield "; ".join([measured, *agreement_facts(result, agreement)])


def agreement_facts(result: GateResult, agreement: AgreementResult) -> Iterator[str]:
    """Yield the lower bound of an agreement, and how many examples differ."""
    if agreement.lower_bound is not None and result.confidence is not None:
        bound = text.show_percent(agreement.lower_bound)
        yield f"{text.show_percent(result.confidence)} lower bound {bound}"
    examples = text.plural(agreement.n, "example")
    different = text.plural(
        agreement.n_different, f"of {examples} differs", f"of {examples} differ"
    )
    yield different + _noted(agreement.note)


def _noted(note: str | None) -> str:
    """Return a note in brackets, if there is one."""
    return f" ({note})" if note else ""


def required(result: GateResult) -> str:
    """Return what is required of the gain: ``needs +5.0``, or ``max_drop 3 points``."""
    share = text.is_share(result.metric_range)
    if result.max_drop is not None:
        return f"max_drop {text.show_amount(result.max_drop, share=share)}"
    if result.margin is None:
        return "nothing required"
    return f"needs {text.show_needed(result.margin, share=share)}"


def changed(result: GateResult) -> str:
    """Return how many examples changed: ``40 fixed, 10 broken of 60 examples (12 groups)``."""
    counts = f"{result.fixed or 0:,} fixed, {result.broken or 0:,} broken"
    inputs = result.unlabeled.inputs or 0 if result.unlabeled is not None else 0
    examples = text.plural((result.n or 0) - inputs, "example")
    if inputs:
        examples += f" and {text.plural(inputs, 'unlabeled input')}"
    sentence = f"{counts} of {examples}{_noted(result.note)}"
    return sentence if result.attempt is None else f"{sentence}; {result.attempt}"


def bounds_sentence(result: GateResult) -> Iterator[str]:
    """Yield both bounds: ``95 % bounds -14.6 to +7.0``."""
    if result.lower_bound is not None and result.upper_bound is not None:
        share = text.is_share(result.metric_range)
        low = text.show_change(result.lower_bound, share=share)
        high = text.show_change(result.upper_bound, share=share)
        yield f"{text.show_percent(result.confidence or 0)} bounds {low} to {high}"


def upper_bound_sentence(result: GateResult) -> Iterator[str]:
    """Yield the upper bound: ``95 % upper bound +7.0 points``."""
    if result.gain is not None:
        share = text.is_share(result.metric_range)
        upper = text.show_difference(result.upper_bound, share=share)
        yield f"{text.show_percent(result.confidence or 0)} upper bound {upper}"


def method_sentence(result: GateResult) -> Iterator[str]:
    """Yield the method of the bounds."""
    if result.gain is not None:
        yield f"method: {result.method}"


def detectable_sentence(result: GateResult) -> Iterator[str]:
    """Yield the true gain that passes with 80 % power if the models differ as often as measured.

    Nothing if no bound was measured, from 200 examples on, and where the metric has no room for so
    large a gain.
    """
    n = result.n or _ENOUGH
    confidence = result.confidence
    if n >= _ENOUGH or result.gain is None or result.lower_bound is None or confidence is None:
        return

    least = result.margin or 0.0
    evidence = result.evidence or "proven"
    if result.max_drop is not None:
        least = -result.max_drop
        evidence = "proven"

    # The bound is as far below the gain as its confidence asks for; a power of 80 % adds its own
    # quantile of the same normal distribution.
    below = result.gain - result.lower_bound
    targets = {"observed": -inf, "significant": below, "proven": least + below}
    normal = NormalDist()
    power = below * normal.inv_cdf(0.8) / normal.inv_cdf(confidence)
    gain = max(least, targets[evidence]) + power
    low, high = result.metric_range or (-inf, inf)
    if gain <= high - low:
        difference = text.show_difference(gain, share=text.is_share(result.metric_range))
        yield f"{text.plural(n, 'example')} detect a true gain of {difference} (80 % power)"


def hypothesis_sentence(result: GateResult) -> Iterator[str]:
    """Yield the hypothesis, and that it was reached if that is known.

    Nothing where it was not reached: its check says so, with the values.
    """
    outcomes = {None: "", True: ": reached"}
    if result.hypothesis and result.hypothesis_reached in outcomes:
        yield f"hypothesis: {result.hypothesis}{outcomes[result.hypothesis_reached]}"


def doubling_sentence(result: GateResult) -> Iterator[str]:
    """Yield what the last doubling of the training set brought, where ``candidate_half`` tells."""
    if result.more_data is not None:
        for check in result.checks:
            if check.name == "more_data":
                yield check.message


def missing(result: GateResult) -> str:
    """Return what another doubling has to bring: ``7.0 points are missing``."""
    if result.more_data is None or result.more_data.missing is None:
        return "nothing is missing"
    amount = text.show_amount(result.more_data.missing, share=text.is_share(result.metric_range))
    return f"{amount} are missing"


# --- examples to look at --------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """Answers to look at.

    Attributes:
        heading: what they are.
        flips: the answers of both models.
        count: how many there are in all; None where only some may be shown.
    """

    heading: str
    flips: tuple[Flip, ...]
    count: int | None

    @property
    def title(self) -> str:
        """Return the heading with numbers: ``wrong answers of the candidate (3 of 88)``."""
        total = self.count
        if total is None:
            return f"{self.heading} ({len(self.flips):,} of those that may be shown)"
        return f"{self.heading} ({len(self.flips):,} of {total:,})"

    def first(self, most: int) -> "Examples":
        """Return at most the first ``most``."""
        return replace(self, flips=self.flips[:most])


def examples(result: GateResult) -> list[Examples]:
    """Return the answers that the red checks are about, or else what the candidate has wrong."""
    candidates: list[Examples] = []
    for check in red_checks(result):
        candidates += _examples_of(result, check)
    if result.passed:
        candidates += [main_examples(result), _wrong_in_both(result)]

    groups: list[Examples] = []
    for group in candidates:
        if group.flips and group not in groups:
            groups.append(group)
    return groups


def _examples_of(result: GateResult, check: Check) -> list[Examples]:
    """Return the answers that a check is about: those of a guard or slice, or of the test set."""
    subject, _, name = check.name.partition(".")
    if is_of_agreement(check) and result.agreement is not None:
        return [_different(result.agreement)]
    if subject == "guards":
        return [_of_part(guard) for guard in result.guards if guard.name == name]
    if subject == "slices":
        return [_of_part(slice_) for slice_ in result.slices if slice_.verdict in RED]
    # No single answer costs too much.
    if subject == "thresholds" and name not in result.candidate.metrics:
        return []
    # The checks of hooks, which have no kind, can be about any answer.
    if check.kind in ("gain", None):
        return [main_examples(result)]
    return []


def _wrong_in_both(result: GateResult) -> Examples:
    """Return wrong answers that were not broken: the baseline has them wrong, too."""
    flips = tuple(flip for flip in result.wrong if flip not in result.broken_examples)
    count = None
    if result.attempt is None:
        count = max(len(flips), (result.n_wrong or 0) - (result.broken or 0))
    return Examples("wrong answers of both models", flips, count)


def main_examples(result: GateResult) -> Examples:
    """Return wrong answers of a red gate to the test set, else what the candidate broke there.

    ``wrong answers of the candidate (3 of 88)``
    """
    if result.gain is None and result.agreement is not None:
        return _different(result.agreement)

    heading = "broken by the candidate"
    flips = result.broken_examples
    count = result.broken
    if result.wrong and not result.passed:
        heading = "wrong answers of the candidate"
        # A limit may be on another metric, which finds other answers wrong.
        if any(check.name.startswith("thresholds.") for check in red_checks(result)):
            heading += f" by {result.metric}"
        flips = result.wrong
        count = result.n_wrong
    if count is None:
        count = len(flips)
    # Where attempts are limited, few examples may be shown, and their number means nothing.
    if result.attempt is not None:
        count = None
    return Examples(heading, flips, count)


def _of_part(compared: PartResult) -> Examples:
    heading = f"broken by the candidate in {text.cut(compared.name)}"
    return Examples(
        heading, compared.broken_examples, compared.broken or len(compared.broken_examples)
    )


def _different(agreement: AgreementResult) -> Examples:
    return Examples("answers that differ", agreement.different, agreement.n_different)


# --- models and data ------------------------------------------------------------------------------


def price_sentences(result: GateResult) -> Iterator[str]:
    """Yield the sources of prices, and why costs are unknown."""
    # Models with the same source share a line.
    roles: dict[str | None, list[str]] = {}
    for role, model in result.models.items():
        roles.setdefault(model.price, []).append(role)
        unknown = model.cost_unknown
        if unknown is not None and unknown.why not in (model.price or ""):
            yield f"cost of {role} unknown: {unknown.why}"
    for source, names in roles.items():
        if source is not None:
            yield f"price of {', '.join(names)}: {source}"


def data_sentences(result: GateResult, digits: int = 12) -> Iterator[str]:
    """Yield the data sets with their sizes and the first digits of their hashes."""
    training = result.training
    test = result.test_set
    if training.sha256 is None or test.sha256 is None:
        return

    rows = text.show_count(training.rows)
    usable = text.show_count(training.usable)
    path = training.path or "iterable"
    yield f"training set: {path}, {rows} rows, {usable} usable, sha256 {training.sha256[:digits]}"

    examples = text.show_count(test.examples)
    path = test.path or "iterable"
    yield f"test set: {path}, {examples} examples, sha256 {test.sha256[:digits]}"

    unlabeled = result.unlabeled
    if unlabeled is not None and unlabeled.sha256 is not None:
        inputs = text.show_count(unlabeled.inputs)
        path = unlabeled.path or "iterable"
        yield f"unlabeled set: {path}, {inputs} inputs, sha256 {unlabeled.sha256[:digits]}"


def input_sentences(result: GateResult) -> Iterator[str]:
    """Yield the data and the marker, and where the marker requires less than the file."""
    yield from data_sentences(result)
    if result.location:
        yield f"marker: {result.location}"
    for change in result.loosened:
        yield f"weaker than the gate file: {change}"
