"""What every report says of a result in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ftgate.checks.advice import learned_pair
from pytest_ftgate.checks.costs import dollars
from pytest_ftgate.result import (
    CandidateResult,
    Check,
    Diagnosis,
    Economics,
    GateResult,
    JudgeResult,
    ModelResult,
    PairResult,
    called,
)
from pytest_ftgate.text import (
    is_share,
    plural,
    printable,
    show_age,
    show_amount,
    show_count,
    show_difference,
    show_p_value,
    show_percent,
    show_usd,
    show_value,
    sure_of_drop,
)

_OUTCOMES = {"fail": "failed", "inconclusive": "inconclusive", "error": "could not be judged"}
_FRESHNESS = ("max_age_days", "alias_", "base_changed_", "shutdown_", "drift")
"""How the names of the checks begin that say whether it is time to train again."""

_IDS_SHOWN = 10
_PAIRS_SHOWN = 3
_NAME_WIDTH = 40


# --- the verdict ---------------------------------------------------------------------------------------------


def deciding_checks(result: GateResult) -> list[Check]:
    """Return the checks that the verdict of a gate which did not pass comes from."""
    return [check for check in result.checks if check.status == result.verdict]


def reason(result: GateResult) -> str:
    """Return why the gate did not pass, as one sentence that stands alone."""
    return f"{_OUTCOMES[result.verdict]}: {deciding_checks(result)[0].message}"


def more_reasons(result: GateResult) -> Iterator[str]:
    """Yield what to do about it, and the other checks that the verdict comes from; advice is indented."""
    first, *others = deciding_checks(result)
    if first.advice:
        yield f"advice: {first.advice}"
    for check in others:
        yield f"and {check.name}: {check.message}"
        if check.advice:
            yield f"  advice: {check.advice}"


def stage_sentence(result: GateResult) -> str | None:
    """Return what a verdict before training means."""
    if result.stage != "ready":
        return None
    return "READY: train now" if result.passed else "NOT READY: do not train yet"


# --- the gain ------------------------------------------------------------------------------------------------


def changed(result: GateResult) -> str:
    """Return what became of all examples: ``40 fixed, 10 broken of 60 examples``."""
    better, worse = ("won", "lost") if _is_of_pairs(result) else ("fixed", "broken")
    return f"{result.wins or 0:,} {better}, {result.losses or 0:,} {worse} of {plural(result.n or 0, 'example')}"


def worse_title(result: GateResult) -> str:
    """Return what the examples that became worse are called."""
    return f"{'lost' if _is_of_pairs(result) else 'broken'} by the candidate"


def _is_of_pairs(result: GateResult) -> bool:
    """Whether answers were compared with each other, so that each pair is won, lost or a tie."""
    return any(one.metric == result.metric and one.pairs for one in result.judges)


def gain_sentences(result: GateResult) -> list[str]:
    """Return what was gained over the best baseline, and how sure that is; empty where it was not measured."""
    if result.gain is None:
        return []
    share = is_share(result.metric_range)
    over = "" if len(result.baselines) == 1 else f" over {result.baseline.name}"
    sentences = [f"gain{over}: {show_difference(result.gain, share=share)} {result.metric} ({changed(result)})"]
    sure = sure_sentence(result)
    if sure is not None:
        sentences.append(f"{sure} ({result.note})" if result.note else sure)
    return sentences


def sure_sentence(result: GateResult) -> str | None:
    """Return the lower bound of the gain in words."""
    if result.lower_bound is None or result.confidence is None:
        return None
    share = is_share(result.metric_range)
    if result.max_drop is None:
        shown = show_difference(result.lower_bound, share=share)
        return f"we can be {show_percent(result.confidence)} sure that the real gain is at least {shown}"
    allowed = show_amount(result.max_drop, share=share)
    sure = sure_of_drop(result.lower_bound, result.confidence, share=share)
    return f"it may be worse by at most {allowed}; we can be {sure}"


def method_sentences(result: GateResult) -> list[str]:
    """Return what the bounds come from; empty where there is no gain."""
    if result.gain is None:
        return []
    share = is_share(result.metric_range)
    upper = show_difference(result.upper_bound, share=share)
    p_value = "" if result.p_value is None else f", {show_p_value(result.p_value)}"
    return [
        f"and {show_percent(result.confidence or 0)} sure that it is at most {upper}",
        f"method: {result.method}{p_value}",
    ]


def candidate_sentence(result: GateResult, one: CandidateResult) -> str:
    """Return what became of one of several candidates."""
    if one.verdict is None:
        return f"candidate {one.name} ({one.model}): not asked"
    share = is_share(result.metric_range)
    seen = f", {result.metric} {show_value(one.value, share=share)}" if one.value is not None else ""
    seen += f", gain {show_difference(one.gain, share=share)}" if one.gain is not None else ""
    if one.lower_bound is not None and result.max_drop is None:
        seen += f", sure of {show_difference(one.lower_bound, share=share)}"
    elif one.lower_bound is not None:
        seen += f", {sure_of_drop(one.lower_bound, result.confidence or 0, share=share)}"
    seen += f", {show_usd(one.cost_usd)}" if one.cost_usd is not None else ""
    return f"candidate {one.name} ({one.model}): {one.verdict}{seen}"


# --- models and data -----------------------------------------------------------------------------------------


def price_sentences(result: GateResult) -> Iterator[str]:
    """Yield where the prices come from, each said once."""
    for source in dict.fromkeys(model.price for model in result.models.values() if model.price is not None):
        roles = [role for role, model in result.models.items() if model.price == source]
        yield f"price of {', '.join(roles)}: {source}"


def age_sentence(result: GateResult) -> str | None:
    """Return how old the oldest stored prediction is."""
    known = [model.oldest_age_s for model in result.models.values() if model.oldest_age_s is not None]
    return f"the oldest stored prediction is {show_age(max(known))} old" if known else None


def job_sentences(result: GateResult) -> Iterator[str]:
    """Yield what made the models that are named by their job."""
    for role, model in result.models.items():
        if model.job is not None:
            yield f"{called(role)}: {job_words(model)}"


def job_words(model: ModelResult) -> str:
    """Return what made a model that is named by its job."""
    step = "" if model.checkpoint is None else f", step {model.checkpoint}"
    base = f", from {model.base_model}" if model.base_model else ""
    tokens = "" if model.trained_tokens is None else f", {model.trained_tokens:,} trained tokens"
    settings = "".join(f", {name} {value}" for name, value in (model.hyperparameters or {}).items())
    return f"{model.model}, made by job {model.job}{step}{base}{tokens}{settings}"


def data_sentences(result: GateResult) -> Iterator[str]:
    """Yield the data by their hashes, to be compared with those of another run."""
    training, test = result.training, result.test_set
    if training.sha256 is None or test.sha256 is None:
        return
    counts = f"{show_count(training.rows)} rows, {show_count(training.usable)} usable"
    yield f"training set: {training.path or 'iterable'}, {counts}, sha256 {training.sha256}"
    examples = f"{show_count(test.examples)} examples"
    yield f"test set: {test.path or 'iterable'}, {examples}, sha256 {test.sha256}"


# --- time and money ------------------------------------------------------------------------------------------


def clock_sentences(result: GateResult, *, full: bool) -> list[str]:
    """Return ``last green 2026-08-01 (115 days ago)``, where the clock has something to say; always where ``full``."""
    clock = result.clock
    speaks = any(check.status != "pass" and check.name.startswith(_FRESHNESS) for check in result.checks)
    if clock is None or not (full or speaks):
        return []
    lines, age = [], clock.last_green_age_days
    if clock.last_green is not None:
        ago = "" if age is None else f" ({plural(int(age), 'day')} ago)" if age >= 1 else " (today)"
        lines.append(f"last green {clock.last_green[:10]}{ago}")
    if full and clock.shutdown_dates:
        dates = ", ".join(f"{model} {day}" for model, day in sorted(clock.shutdown_dates.items()))
        lines.append(f"  shutdown dates: {dates}")
    return lines


def economics_sentences(economics: Economics) -> list[str]:
    """Return what calls cost, what is paid once, and what is paid by the month."""
    each = [show_usd(cost) for cost in (economics.baseline_usd_per_1000_calls, economics.candidate_usd_per_1000_calls)]
    data = _declared("data preparation", economics.data_cost_usd, economics)
    hosting = _declared("hosting", economics.hosting_usd_per_month, economics)
    retraining = _declared("retraining", economics.retraining_usd_per_month, economics)
    return [
        f"1,000 calls cost {each[0]} (baseline), {each[1]} (candidate)",
        f"once: training {dollars(economics.training_cost_usd)}, {data}",
        f"by the month: {hosting}, {retraining}",
    ]


def _declared(name: str, usd: float | None, economics: Economics) -> str:
    return f"{name} not declared" if name in economics.undeclared else f"{name} {dollars(usd)}"


# --- judges --------------------------------------------------------------------------------------------------


def judge_sentences(result: GateResult) -> Iterator[str]:
    """Yield one for a judge, and one for each baseline that the candidate's answers were compared with."""
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
    of = plural(pair.n, "example" if of_people else "pair")
    text = f"candidate against {called(pair.baseline)}: {counted} of {of}"
    if pair.disagreements is None or not pair.n_asked:
        return text
    share = f"{100 * pair.disagreements / pair.n_asked:.0f} %"
    first = f", {pair.first_preferred or 0:,} of them for whichever came first" if pair.disagreements else ""
    disagreed = f"{pair.disagreements:,} of the {pair.n_asked:,} that differ ({share})"
    return f"{text}; the two orders disagreed in {disagreed}{first}"


# --- mistakes ------------------------------------------------------------------------------------------------

_MISTAKES = {
    "missing": "missing",
    "refusal": "refused",
    "cut_off": "cut off",
    "empty": "empty",
    "wrong_format": "in the wrong format",
    "unknown_label": "without a known label",
    "wrong_label": "wrongly labelled",
    "wrong": "wrong",
}


def mistake_words(found: Diagnosis) -> dict[str, str]:
    """Return kinds of mistakes, and what an answer of that kind is; without labels the wrong format is no JSON."""
    return _MISTAKES if found.labels else {**_MISTAKES, "wrong_format": "no JSON"}


def mistake_sentences(result: GateResult, *, full: bool) -> Iterator[str]:
    """Yield what kinds of mistakes the models make; of a green gate one sentence, and that only where all is shown.

    With ``full`` also which labels are mixed up, and which examples were fixed and broken.
    """
    found = result.diagnosis
    if found is None:
        return
    if result.passed:
        who, counts = ("baseline", found.baseline) if found.candidate is None else ("candidate", found.candidate)
        for kind, words in list(_kinds(found, counts).items())[: int(full)]:
            yield f"what still fails most: {plural(counts[kind], 'answer')} of the {who} {words}"
        return
    for role, counts in (("baseline", found.baseline), ("candidate", found.candidate or {})):
        kinds = _kinds(found, counts)
        if kinds:
            yield f"mistakes of the {role}: {', '.join(f'{counts[kind]:,} {words}' for kind, words in kinds.items())}"
    if full:
        yield from _mixed_up(found)
        for what, ids in (("fixed", found.fixed), ("broken", found.broken)):
            shown = ", ".join(printable(id_, _NAME_WIDTH) for id_ in ids[:_IDS_SHOWN])
            if ids:
                yield f"{what} ({len(ids):,}): {shown}{', ...' if len(ids) > _IDS_SHOWN else ''}"


def _kinds(found: Diagnosis, counts: Mapping[str, int]) -> dict[str, str]:
    """The words of the kinds that there are, the most frequent first."""
    words = mistake_words(found)
    return {kind: words[kind] for kind in sorted(counts, key=lambda kind: -counts[kind]) if kind in words}


def _mixed_up(found: Diagnosis) -> Iterator[str]:
    cited = learned_pair(found)
    shown = found.confusions[:_PAIRS_SHOWN]
    for pair in (*shown, *((cited,) if cited is not None and cited not in shown else ())):
        labels = " -> ".join(repr(printable(label, _NAME_WIDTH)) for label in (pair.expected, pair.answered))
        change = f", candidate {pair.candidate:,} ({pair.candidate - pair.baseline:+,})"
        yield f"mixed up: {labels}: baseline {pair.baseline:,}{'' if found.candidate is None else change}"
