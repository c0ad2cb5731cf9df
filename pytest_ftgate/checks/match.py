"""Equal but cheaper: the candidate is not much worse than the baseline, which is proven.

That it is cheaper or faster: see :mod:`pytest_ftgate.checks.advantage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.advantage import free_advantage_checks
from pytest_ftgate.checks.gain import Judgement, gain_reaches
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import is_share, plural, settled_by, show_amount, show_difference, sure_of_drop

if TYPE_CHECKING:
    from pytest_ftgate.config import Bound, GateConfig
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.models import Model
    from pytest_ftgate.statistics import Comparison

MIN_CIRCULAR = 50
"""So many answers that are all as expected are no accident; fewer may be."""
MOST_SHARED_MISTAKES = 4
"""Even if two models share every second mistake, five in a row, and no other, happen to them once in thirty times."""
_MOST_EXAMPLES = 100_000
"""Of more nobody has to be told how many exactly."""


# --- before any call -----------------------------------------------------------------------------------------


def free_match_checks(
    config: GateConfig, metric: Metric, n: int, models: Mapping[str, Model], *, grouped: bool
) -> list[Check]:
    """Whether the drop could be ruled out on so many examples, and whether costs can be compared.

    Args:
        config: a gate with ``objective: match``.
        metric: the one that decides.
        n: test examples.
        models: by role.
        grouped: some examples belong together; how many then do is not foreseen.
    """
    found = []
    if not grouped:
        reach = _reach_check(config, metric, n)
        found += [reach] if reach else []
    return [*found, *free_advantage_checks(config, models)]


def _reach_check(config: GateConfig, metric: Metric, n: int) -> Check | None:
    """A model that is only as good must be able to pass: here it is, with not one answer better or worse."""
    assert config.max_drop is not None  # a gate that matches has one
    if metric.kind == "set" or metric.high - metric.low == float("inf") or not n:
        return None
    needed = examples_without_difference(metric, config.max_drop, config.confidence, repeats=config.repeats)
    if needed is None and n > _MOST_EXAMPLES:
        return None
    drop = show_amount(config.max_drop, share=is_share((metric.low, metric.high)))
    counted = plural(_MOST_EXAMPLES, "example") if needed is None else plural(needed, "example")
    message = (
        f"to be {100 * config.confidence:g} % sure that a candidate which loses no answer is worse by at most {drop}, "
        f"{'more than ' if needed is None else ''}{counted} are needed"
    )
    source = str(config.sources["max_drop"])
    if needed is not None and n >= needed:
        return Check("reach", "note", message, observed=n, required=needed, source=source)
    more = f"Label {plural(needed - n, 'more test example')}, or allow" if needed is not None else "Allow"
    return Check(
        "reach",
        "inconclusive",
        f"{message}, and there are {n:,}",
        observed=n,
        required=needed,
        source=source,
        advice=f"{more} more with max_drop. A candidate that is really better is judged by objective: beat.",
    )


def examples_without_difference(metric: Metric, max_drop: float, confidence: float, *, repeats: int = 1) -> int | None:
    """The fewest examples that show two models to be so close which differ nowhere; None: above 100,000.

    Args:
        metric: right or wrong, or graded within bounds.
        max_drop: above 0, in the metric's unit.
        confidence: one-sided.
        repeats: answers per example, which make grades of right and wrong.
    """
    from pytest_ftgate.statistics import fewest_examples

    exact = metric.kind == "right_wrong" and repeats == 1
    share = max_drop / (metric.high - metric.low)
    return fewest_examples(share, confidence=confidence, evidence="proven", exact=exact, most=_MOST_EXAMPLES)


def latency_bounds(config: GateConfig) -> list[Bound]:
    """What is asked of latencies, as a bound without ends on either model: what holds of bounds on them holds here."""
    from pytest_ftgate.config import Bound, MetricSpec

    if config.faster_by is None:
        return []
    source = config.sources["faster_by"]
    spec = MetricSpec("latency_p50_s", {}, source)
    both = [Bound.model_construct(metric=spec, of=of) for of in ("baseline", "candidate")]
    return [bound.placed(lambda *_: source) for bound in both]


# --- quality -------------------------------------------------------------------------------------------------


def drop_checks(judgement: Judgement, comparison: Comparison, against: str) -> list[Check]:
    """The measured drop against the one that is allowed, and how sure we can be of it. One check: ``max_drop``.

    Args:
        judgement: its margin is ``-max_drop``.
        comparison: held to the same margin.
        against: the baseline, as messages call it.
    """
    share, allowed = judgement.share, -judgement.margin
    gain = comparison.gain if comparison.gain_exact is None else comparison.gain_exact
    reached = gain_reaches(gain, judgement.margin)
    held = reached and comparison.reaches_margin
    told = [f"measured {show_difference(comparison.gain, share=share)} against {against}"]
    told.append(f"may be worse by at most {show_amount(allowed, share=share)}")
    told += [_sure(comparison, judgement)] if reached else []
    return [
        Check(
            "max_drop",
            "pass" if held else "inconclusive" if reached else "fail",
            "; ".join(told),
            observed=comparison.lower if reached else comparison.gain,
            required=judgement.margin,
            source=judgement.margin_source,
            advice=None
            if held
            else _advice_thin(comparison)
            if reached
            else judgement.before_dropping or _ADVICE_WORSE,
        )
    ]


_ADVICE_WORSE = (
    "Keep the larger model, or look at the broken examples and mend the training data before another attempt."
)


def _sure(comparison: Comparison, judgement: Judgement) -> str:
    if comparison.lower is None:
        return f"how much worse it really is cannot be told: {comparison.note or 'no bound exists'}"
    sure = sure_of_drop(comparison.lower, judgement.confidence, share=judgement.share)
    return sure if comparison.reaches_margin else f"{sure}, which is not enough"


def _advice_thin(comparison: Comparison) -> str:
    if comparison.lower is None:
        return "Decide by a metric that scores each answer, as accuracy, and hold the other to a bound under require."
    if comparison.examples_needed is None:
        return "More examples help only if the candidate is better than it looks here."
    return settled_by("difference", comparison.examples_needed, comparison.n, "test example")


def identical_check(baseline: str, *, n: int, mistakes: int) -> Check:
    """Two models that answer everything alike may be as good as each other, or one model under two names.

    Both may be right everywhere, and that is what is hoped for. But different models make different mistakes.

    Args:
        baseline: as messages call it.
        n: examples, all answered alike.
        mistakes: how many of the answers are not as good as an answer can be.
    """
    message = f"the candidate gave the same {plural(n, 'answer')} as {baseline}, word for word"
    if mistakes > MOST_SHARED_MISTAKES:
        return Check(
            "identical_outputs",
            "fail",
            f"{message}, and so the same {mistakes:,} mistakes: this is one model under two names",
            observed=n,
            advice="Look whether both names reach one model: an alias, a router, a recording that was copied.",
        )
    return Check(
        "identical_outputs",
        "warning",
        message,
        observed=n,
        advice="Look whether both names reach one model; if they do not, this is as equal as models get.",
    )


def mistakes_in(scored: Scored) -> int:
    """How many answers are not as good as an answer can be by the metric."""
    from pytest_ftgate.runs.measure import rightness

    metric = scored.metric
    best = 1.0 if scored.per_example is None else metric.high if metric.greater_is_better else metric.low
    return int((rightness(scored).round(12) != round(best, 12)).sum())


def circular_check(role: str, model: ModelResult, *, all_right: bool, n: int) -> Check | None:
    """Labels that a model wrote itself make it perfect, and say how far others agree with it, not who is right.

    A warning, for what the gate proves still holds: a candidate that differs from its teacher on few answers is not
    much worse than it. How good either of them is, nobody knows.

    Args:
        role: of a baseline.
        model: its facts.
        all_right: whether every answer of it is the expected one.
        n: examples.
    """
    if not all_right or n < MIN_CIRCULAR:
        return None
    return Check(
        "circular",
        "warning",
        f"{called(role, model.name)} is right on all {plural(n, 'example')}: the labels look like its own outputs; "
        "this test is circular: it measures agreement with that model, not who is right",
        observed=n,
        advice="Have people check the labels of the test set, without seeing the model's answers.",
    )


def answers_are_labels(expected: Sequence[Any], answers: Sequence[Sequence[str | None]], scored: Scored) -> bool:
    """Whether a model gave the expected output everywhere: word for word, or by a metric of labels."""
    from pytest_ftgate.data import expected_text

    if scored.metric.uses_labels and not mistakes_in(scored):
        return True
    labels = [expected_text(value).strip() for value in expected]
    return all([(answer or "").strip() for answer in repeat] == labels for repeat in answers)
