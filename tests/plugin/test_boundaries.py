"""Each limit of a rule at two places: exactly on it, and just beyond."""

import re
from collections.abc import Callable, Iterable
from math import nan
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from gate_project import (
    LARGE,
    SMALL,
    USAGE,
    Project,
    check,
    checks,
    label,
    recorded,
    statuses,
    wrong,
)

from pytest_ftgate import clock
from pytest_ftgate.checks import (
    alternatives,
    answers,
    constant_baseline,
    freshness,
    gain,
    losses,
    prompt_leak,
    prospects,
)
from pytest_ftgate.checks.attempts import same_test_set
from pytest_ftgate.checks.audit.audit import compare_labels
from pytest_ftgate.checks.audit.wording import is_long, mask_for, unmasked
from pytest_ftgate.checks.economics import Costs
from pytest_ftgate.checks.more_data import answer
from pytest_ftgate.data import examples_from
from pytest_ftgate.result import ModelResult
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.statistics.planning import Chances

Case = Callable[[Project, int], Any]
N = 60
DAY_S = 86_400
ROWS: list[Any] = []


def boundary(at: Any, beyond: Any) -> Callable[[Case], Case]:
    """Add a case, which gives ``at`` on the limit (0), and ``beyond`` one step further (1)."""

    def keep(case: Case) -> Case:
        ROWS.append(pytest.param(case, at, beyond, id=case.__name__))
        return case

    return keep


def status(project: Project, name: str, **keys: Any) -> Any:
    return statuses(project.judge(**keys)).get(name)


def split(rows: Iterable[tuple[int, str]]) -> list[str]:
    """Return so many of each label."""
    return [name for count, name in rows for _ in range(count)]


def expect(project: Project, outputs: list[str]) -> None:
    project.test_set(len(outputs), expected=outputs.__getitem__)


def train(project: Project, outputs: list[str]) -> None:
    rows = [{"input": f"training text {i}", "expected": output} for i, output in enumerate(outputs)]
    project.training_set(0, rows)


# --- data ----------------------------------------------------------------------------------------------------


@boundary("pass", "fail")
def min_test_examples(project: Project, beyond: int) -> Any:
    return status(project, "min_test_examples", min_test_examples=N + beyond)


@boundary("pass", "fail")
def min_training_examples(project: Project, beyond: int) -> Any:
    return status(project, "min_training_examples", min_training_examples=200 + beyond)


@boundary("warning", "fail")
def one_row_in_a_hundred_may_contradict_another(project: Project, beyond: int) -> Any:
    n = 2 + beyond
    rows = [{"input": f"training question {i}", "expected": wrong(i)} for i in range(n)]
    project.training_set(200 - n, rows)
    return status(project, "conflicts", min_training_examples=100)


def near(project: Project, needed: int) -> Any:
    """202 usable rows, of which 201 are distinct."""
    text = "the parcel that was promised for Monday has not arrived at our office yet"
    project.training_set(200, [{"input": text, "expected": "x"}, {"input": f"{text}a", "expected": "x"}])  # fmt: skip
    return status(project, "near_duplicates", min_training_examples=needed)


@boundary("note", "fail")
def enough_distinct_rows(project: Project, beyond: int) -> Any:
    return near(project, 201 + beyond)


@boundary("fail", "note")
def enough_usable_rows(project: Project, beyond: int) -> Any:
    return near(project, 202 + beyond)


@boundary("warning", "note")
def one_row_in_a_hundred_is_told(project: Project, beyond: int) -> Any:
    train(project, ["refund" * 100, *map(label, range(99 + beyond))])
    data = {"path": "train.jsonl", "max_tokens": 100}
    return status(project, "too_long", training_set=data, min_training_examples=1)


@boundary(None, "warning")
def max_tokens(project: Project, beyond: int) -> Any:
    text = "refund" * 60  # 360 bytes, and 40 of the input
    project.training_set(99, [{"input": "i" * 40, "expected": text}])
    data = {"path": "train.jsonl", "max_tokens": 100 - beyond}
    return status(project, "too_long", training_set=data, min_training_examples=1)


@boundary(None, "warning")
def imbalance(project: Project, beyond: int) -> Any:
    train(project, split([(100 + beyond, "refund"), (10, "invoice")]))
    return status(project, "imbalance")


@boundary(False, True)
def three_rows_are_named_and_others_counted(project: Project, beyond: int) -> Any:
    long = [f"{word}parcel" for word in "abcdefghijkl"]
    texts = [" ".join(long[i:] + long[:i]) for i in range(3 + beyond)]
    project.test_set(N, input=[*texts, *map("question {}".format, range(N))].__getitem__)
    project.training_set(200, [{"input": text, "expected": label(i)} for i, text in enumerate(texts)])  # fmt: skip
    return " more" in check(project.judge(), "leaked")["message"]


@boundary("fail", "pass")
def eight_words_of_a_test_input_are_a_leak(project: Project, beyond: int) -> Any:
    words = [f"{word}parcel" for word in "abcdefgh"][beyond:]
    text = f"Hello, {' '.join(words)} at all, says a customer"
    project.test_set(N, input=[" ".join(words), *map("question {}".format, range(N))].__getitem__)
    project.training_set(200, [{"input": text, "expected": "refund"}])
    return status(project, "leaked")


@boundary(True, False)
def numbers_count_from_a_quarter_on(project: Project, beyond: int) -> Any:
    """Of 120 pairs that differ in numbers alone 15 have different outputs, and of all 300 pairs a half."""
    words = [f"order {i}" for i in range(16)] + [chr(97 + i) for i in range(9 + beyond)]
    outputs = split([(15, "refund"), (10, "invoice"), (beyond, "other")])
    return mask_for(words, outputs) is unmasked


@boundary(True, False)
def eight_words_are_a_long_text(project: Project, beyond: int) -> Any:
    """A sign that stands alone is no word."""
    return is_long(f"don't stop it at the very next {'!' if beyond else 'red'}")


@boundary(["a", "b", "c"], [])
def five_rows_of_each_label(project: Project, beyond: int) -> Any:
    outputs = ["a"] * 5 + ["b"] * 5 + ["c"] * (5 - beyond)
    return list(compare_labels(outputs, ["a", "b"] * 3).counts)


@boundary([], ["a", "b"])
def half_of_the_outputs_have_no_label(project: Project, beyond: int) -> Any:
    outputs = ["a", "b"] * 5 + ['{"total": 1}'] * (16 - beyond)
    return list(compare_labels(outputs, ["a", "b"] * 3).counts)


# --- another doubling ----------------------------------------------------------------------------------------


@boundary("cannot tell", "no")
def the_upper_bound_is_what_is_missing(project: Project, beyond: int) -> Any:
    return answer(Comparison(gain=0.02, lower_bound=0.0, upper_bound=0.05 - beyond / 1000), 0.05)


@boundary("yes", "cannot tell")
def half_of_the_lower_bound_is_what_is_missing(project: Project, beyond: int) -> Any:
    return answer(Comparison(gain=0.2, lower_bound=0.1 - beyond / 1000, upper_bound=0.3), 0.05)


# --- the size of the test set --------------------------------------------------------------------------------


@boundary(None, "inconclusive")
def fifteen_groups(project: Project, beyond: int) -> Any:
    project.test_set(N, group=lambda i: f"g{i % (15 - beyond)}")
    return status(project, "min_fixed")


@boundary(("pass", 0), ("inconclusive", 13))
def fifteen_groups_of_a_guard(project: Project, beyond: int) -> Any:
    """A drop of a half needs only five, and a guard has fifteen like all that is in groups."""
    guard_set(project, N, group=lambda i: f"g{i % (15 - beyond)}")
    finding = check(guarded(project, max_drop=0.5), "guards.other")
    return finding["status"], finding["observed"]


def guard_set(project: Project, n: int, **fields: Any) -> None:
    fields["input"] = "other question {}".format
    project.test_set(n, "guard.jsonl", prefix="g", **fields)


def guarded(
    project: Project, wrong_at: Iterable[int] = (), broken: Iterable[int] = (), **keys: Any
) -> Any:
    """Judge with a guard, on which both models miss the same examples, and one breaks others."""
    project.predictions("base.jsonl", N, range(40, N))
    project.predictions("base.jsonl", N, wrong_at, prefix="g", add=True)
    project.predictions("ft.jsonl", N, range(2))
    project.predictions("ft.jsonl", N, (*wrong_at, *broken), prefix="g", add=True)
    return project.judge(guards={"other": {"test_set": "guard.jsonl", **keys}})


@boundary("pass", "inconclusive")
def examples_that_a_guard_needs(project: Project, beyond: int) -> Any:
    guard_set(project, 59 - beyond)
    return statuses(guarded(project, max_drop=0.05))["guards.other"]


@boundary("fail", "pass")
def a_guard_whose_baseline_has_nothing_to_lose(project: Project, beyond: int) -> Any:
    guard_set(project, N)
    gate = guarded(project, range(30 + beyond, N), max_drop=0.5)
    return statuses(gate)["guards.other"]


@boundary("note", "inconclusive")
def examples_that_max_drop_needs(project: Project, beyond: int) -> Any:
    project.test_set(59 - beyond)
    keys = {"margin": ..., "max_drop": 0.05, "faster_by": 2, "min_test_examples": 1}
    return statuses(priced(project, **keys))["min_fixed"]


@boundary("15", "16")
def no_fewer_than_fifteen_groups_are_asked_for(project: Project, beyond: int) -> Any:
    comparison = Comparison(n=100, n_groups=10, examples_needed=140 + 20 * beyond)
    cure = gain.examples_cure(comparison, "is better")
    return re.findall(r"\d+", cure)[1]


@boundary("error", None)
def nine_in_ten_outputs_in_no_other_row_are_no_labels(project: Project, beyond: int) -> Any:
    expect(project, [f"text {i}" for i in range(9 - beyond)] + split([(1 + beyond, "refund")]))
    found = project.judge(min_test_examples=1)["checks"]
    return next((item["status"] for item in found if "compares labels" in item["message"]), None)


# --- thresholds, costs and times -----------------------------------------------------------------------------


@boundary("warning", "inconclusive")
def latencies_within_a_limit_of_p95(project: Project, beyond: int) -> Any:
    """59 of 60 do not show that 95 % of all are."""
    project.predictions("ft.jsonl", N, (0, 1), latency_s=lambda i: 1.5 if i < beyond else 1.0)
    return status(project, "thresholds.latency_p95_s", thresholds={"latency_p95_s": {"max": 1.0}})


@boundary("warning", "inconclusive")
def latencies_that_a_p95_needs(project: Project, beyond: int) -> Any:
    project.test_set(59 - beyond)
    project.predictions("ft.jsonl", N, (0, 1), latency_s=1.0)
    keys = {"thresholds": {"latency_p95_s": {"max": 2.0}}, "min_test_examples": 1}
    return status(project, "thresholds.latency_p95_s", **keys)


@boundary("pass", "fail")
def the_least_value(project: Project, beyond: int) -> Any:
    limit = (56 + beyond) / 60
    return status(project, "thresholds.accuracy", thresholds={"accuracy": {"min": limit}})


@boundary("warning", "fail")
def the_largest_value(project: Project, beyond: int) -> Any:
    project.predictions("ft.jsonl", N, (0, 1), latency_s=1.0 + beyond / 1000)
    return status(project, "thresholds.latency_p50_s", thresholds={"latency_p50_s": {"max": 1.0}})


@boundary(None, "error")
def a_threshold_that_no_value_meets(project: Project, beyond: int) -> Any:
    gate = project.judge(thresholds={"accuracy": {"min": 1 + beyond}})
    return "error" if gate["verdict"] == "error" else None


@boundary(None, "error")
def a_threshold_below_every_value(project: Project, beyond: int) -> Any:
    gate = project.judge(thresholds={"accuracy": {"min": -beyond}})
    return "error" if gate["verdict"] == "error" else None


@boundary(True, False)
def a_share_that_was_written_in_percent(project: Project, beyond: int) -> Any:
    gate = project.judge(thresholds={"accuracy": {"min": 100 + beyond}})
    return "1?" in f"{gate['checks'][0]['cure']}"


@boundary("error", "fail")
def a_margin_that_no_gain_meets(project: Project, beyond: int) -> Any:
    return project.judge(margin=1 - beyond / 100)["verdict"]


@boundary("error", "other")
def a_margin_that_no_win_rate_meets(project: Project, beyond: int) -> Any:
    metric = {"name": "preference", "rubric": "Which one is better?", "judge": "openai:judge"}
    gate = project.judge(margin=0.5 - beyond / 100, metric=metric, offline=True)
    (message,) = [item["message"] for item in gate["checks"] if item["status"] == "error"][:1]
    return "error" if "win rate" in message else "other"


def priced(project: Project, **keys: Any) -> Any:
    """Judge two models, of which a call of the small one costs a sixth, and takes half of the time."""
    project.predictions("base.jsonl", N, range(40, N), usage=USAGE, latency_s=1.0)
    project.predictions("ft.jsonl", N, (0, 1), usage=USAGE, latency_s=0.5)
    models = {
        "baseline": recorded("base.jsonl", price=LARGE),
        "candidate": recorded("ft.jsonl", price=SMALL),
    }
    return project.judge(**models, **keys)


@boundary("pass", "fail")
def cheaper_by(project: Project, beyond: int) -> Any:
    keys = {"margin": ..., "max_drop": 0.05, "cheaper_by": 6 + beyond / 1000}
    return statuses(priced(project, **keys))["cheaper_by"]


@boundary("warning", "fail")
def faster_by(project: Project, beyond: int) -> Any:
    keys = {"margin": ..., "max_drop": 0.05, "faster_by": 2 + beyond / 1000}
    return statuses(priced(project, **keys))["faster_by"]


@boundary("pass", "fail")
def max_break_even_days(project: Project, beyond: int) -> Any:
    """100,000 calls save $162 a month, and the answers to the test set cost $0.13608."""
    training = 162 * 12 / 365 * 30 - 0.13608 + beyond / 100
    keys = {"calls_per_month": 100_000, "training_cost_usd": training, "data_cost_usd": 0}
    gate = priced(project, economics={**keys, "max_break_even_days": 30})
    return statuses(gate)["economics"]


@boundary(False, True)
def a_month_that_saves_nothing(project: Project, beyond: int) -> Any:
    costs = Costs(calls_per_month=1000, baseline=2, candidate=1, training=1, hosting=1000 - beyond)
    return costs.breaks_even


@boundary(False, None)
def a_call_that_saves_nothing(project: Project, beyond: int) -> Any:
    return Costs(calls_per_month=nan, baseline=2, candidate=2 - beyond, training=1).breaks_even


def timed(project: Project, baseline: int, candidate: int) -> Any:
    keys = {"provider": "openai", "base_url": "http://127.0.0.1:1/v1"}
    models = {
        "baseline": {**keys, "model": "base", "latency_sample": baseline},
        "candidate": {**keys, "model": "ft", "latency_sample": candidate},
    }
    return status(project, "faster_by", **models, margin=..., max_drop=0.05, faster_by=2, offline=True)  # fmt: skip


@boundary("warning", "error")
def no_latency_sample_beside_one(project: Project, beyond: int) -> Any:
    return timed(project, beyond, N)


@boundary(None, "error")
def latency_samples_of_one_size(project: Project, beyond: int) -> Any:
    return timed(project, N - beyond, N)


def aged(project: Project, seconds: float) -> str | None:
    """Return the status of answers that are so old, where five days are allowed."""
    now = 1_700_000_000.0
    for name, missed in (("base.jsonl", range(40, N)), ("ft.jsonl", range(2))):
        project.predictions(name, N, missed, created_at=now - seconds)
    with patch.object(clock, "wall", lambda: now):
        return status(project, "max_age_days", max_age_days=5)


@boundary("pass", "fail")
def max_age_days(project: Project, beyond: int) -> Any:
    return aged(project, 5 * DAY_S + 60 * beyond)


@boundary("pass", "error")
def a_clock_that_is_a_day_ahead(project: Project, beyond: int) -> Any:
    return aged(project, -DAY_S - 60 * beyond)


@boundary(None, "gpt-4o")
def a_name_with_a_base_model(project: Project, beyond: int) -> Any:
    return freshness.base_in_name(":".join(["ft", "gpt-4o", "acme"][: 2 + beyond]))


@boundary(0, 1)
def answers_of_a_run_before_this_session(project: Project, beyond: int) -> Any:
    answer = SimpleNamespace(created_at=100.0 - beyond, stored=True, recorded=False)
    model = SimpleNamespace(until_judged=True, name="ft")
    run = SimpleNamespace(model=model, all_predictions=[answer])
    gate: Any = SimpleNamespace(all_runs=lambda: [("candidate", run)], now=200.0)
    return len(list(freshness.until_judged(gate, 100.0)))


# --- answers and gain ----------------------------------------------------------------------------------------


@boundary(0, 1)
def one_call_in_twenty_may_be_retried(project: Project, beyond: int) -> Any:
    facts = ModelResult("ft", n_retries=5 + beyond, n_expected=95)
    gate: Any = SimpleNamespace(measured={"candidate": SimpleNamespace(facts=facts)})
    return len(list(answers.check_retries(gate)))


def unanswered(n: int, expected: int) -> str:
    rows = [SimpleNamespace(name=f"t{i}") for i in range(n)]
    facts = ModelResult("ft", n_expected=expected, n_errors=n)
    run = SimpleNamespace(failure=None, unanswered=rows, fatal=None)
    measured: Any = {"candidate": SimpleNamespace(facts=facts, run=run)}
    (finding,) = answers.complete_checks(measured, ())
    return finding.message


@boundary(False, True)
def rows_are_named_unless_all_are_missing(project: Project, beyond: int) -> Any:
    return "t0" in unanswered(2, 2 + beyond)


@boundary(False, True)
def three_missing_answers_are_named(project: Project, beyond: int) -> Any:
    return "..." in unanswered(3 + beyond, 9)


@boundary("pass", "fail")
def max_attempts(project: Project, beyond: int) -> Any:
    found = None
    for number in range(1 + beyond):
        project.predictions("ft.jsonl", N, wrong_at=(number, 30))
        found = status(project, "max_attempts", max_attempts=1, min_test_examples=1)
    return found


@boundary(True, False)
def half_of_the_examples_make_the_same_test_set(project: Project, beyond: int) -> Any:
    return same_test_set(tuple("abcd"), tuple("ab" if not beyond else "a"))


@boundary(True, False)
def of_400_hashes_larger_ones_are_not_compared(project: Project, beyond: int) -> Any:
    """The largest one that is kept is compared, and so are all of a smaller test set."""
    earlier = tuple(f"{i:03}" for i in range(400 - beyond))
    return same_test_set((earlier[0], "400", "401"), earlier)


@boundary(True, False)
def the_last_of_400_hashes_is_compared(project: Project, beyond: int) -> Any:
    earlier = tuple(f"{2 * i:03}" for i in range(400))
    return same_test_set((f"{798 - beyond}", "799", "801"), earlier)


@boundary("fail", "pass")
def a_baseline_as_good_as_a_constant(project: Project, beyond: int) -> Any:
    """It tells the rare label, and loses as many of the frequent one."""
    outputs = split([(50, "refund"), (10, "invoice")])
    expect(project, outputs)
    lost = range(10 - beyond)
    said = {"output": lambda i: "invoice" if i in lost else outputs[i]}
    project.predictions("base.jsonl", N, **said)
    return status(project, "weak_baseline")


@boundary(None, "fail")
def one_answer_where_one_is_expected(project: Project, beyond: int) -> Any:
    expect(project, split([(N - beyond, "refund"), (beyond, "invoice")]))
    project.predictions("ft.jsonl", N, output="refund")
    return status(project, "degenerate_candidate")


def beaten(n: int, deals: int) -> bool:
    """Return whether answers to n rows beat deals of which so many are as good."""
    values = iter([1.0, *[1.0] * deals, *[0.0] * 500])
    metric: Any = SimpleNamespace(sign=1, uses_labels=True)
    with patch.object(constant_baseline, "_dealt", lambda *_: next(values)):
        return constant_baseline.beats_deals(metric, ["x"] * n, [["x"] * n], 0.95)


@boundary(True, False)
def nine_of_199_deals_may_be_as_good(project: Project, beyond: int) -> Any:
    return beaten(N, 9 + beyond)


@boundary(True, False)
def none_of_19_deals_of_many_rows_may_be_as_good(project: Project, beyond: int) -> Any:
    return beaten(1001, beyond)


def malformed(project: Project, n: int, **keys: Any) -> Any:
    """Return the check of a baseline with so many malformed answers, among its wrong ones."""
    said = {"output": lambda i: label(i) if i < 40 else "?" if i < 40 + n else wrong(i)}
    project.predictions("base.jsonl", N, **said)
    return check(project.judge(**keys), "formatting_gain")


@boundary("note", "fail")
def a_form_that_changes_no_verdict_is_a_note(project: Project, beyond: int) -> Any:
    return malformed(project, 1 + 18 * beyond)["status"]


@boundary(False, True)
def an_answer_is_counted_from_two_on(project: Project, beyond: int) -> Any:
    return " x '?'" in malformed(project, 1 + beyond)["message"]


def scored(value: float) -> Any:
    return SimpleNamespace(scores={"accuracy": SimpleNamespace(value=value)})


@boundary(1, 0)
def examples_that_close_four_fifths_of_the_gap(project: Project, beyond: int) -> Any:
    specs = {
        "prompt": SimpleNamespace(options={}, spelling="base", source=""),
        "few_shot": SimpleNamespace(options={"few_shot": 4}, spelling="base", source=""),
    }
    values = {"prompt": 0.5, "few_shot": 0.9 - beyond / 1000, "candidate": 1.0}
    gate: Any = SimpleNamespace(
        config=SimpleNamespace(decisive=specs),
        scored={role: scored(value) for role, value in values.items()},
        deciding=SimpleNamespace(sign=1, name="accuracy"),
    )
    return len(list(alternatives.check_examples(gate)))


def known(wins: int, recalled: int) -> int:
    diagnosis = SimpleNamespace(recalled=recalled)
    comparisons = {"baseline": SimpleNamespace(fixed=wins)}
    gate: Any = SimpleNamespace(diagnosis=diagnosis, comparisons=comparisons, best="baseline")
    return len(list(alternatives.check_knowledge(gate)))


@boundary(1, 0)
def half_of_the_fixed_examples_are_recalled(project: Project, beyond: int) -> Any:
    return known(8, 4 - beyond)


@boundary(1, 0)
def five_examples_are_fixed(project: Project, beyond: int) -> Any:
    return known(5 - beyond, 5)


@boundary("inconclusive", "fail")
def agreement(project: Project, beyond: int) -> Any:
    project.predictions("ft.jsonl", N, wrong_at=range(46, N - beyond))
    keys = {"margin": ..., "agreement": {"with": "baseline", "min": 0.9}}
    return status(project, "agreement", **keys)


@boundary(0, 1)
def answers_that_differ(project: Project, beyond: int) -> Any:
    project.predictions("ft.jsonl", N, wrong_at=range(40, N - beyond))
    keys = {"margin": ..., "agreement": {"with": "baseline", "min": 0.9}}
    return project.judge(**keys)["agreement"]["n_different"]


@boundary("pass", "warning")
def the_goal_of_a_hypothesis(project: Project, beyond: int) -> Any:
    hypothesis = {"from": 0.5, "to": (56 + beyond) / 60}
    return status(project, "hypothesis", hypothesis=hypothesis)


@boundary("note", "warning")
def half_of_the_chances(project: Project, beyond: int) -> Any:
    share = 0.5 - beyond / 1000
    with patch.object(prospects, "chances_of_gain", lambda *_, **__: Chances(share, 0, 0)):
        return status(project, "power", stage="ready", candidate=...)


@boundary("pass", "fail")
def room_for_the_margin(project: Project, beyond: int) -> Any:
    project.predictions("base.jsonl", N, wrong_at=range(54 + beyond, N))
    return status(project, "headroom", stage="ready", candidate=..., margin=0.1)


def foreseen(gain: float, broken: float, *, pairwise: bool) -> bool:
    """Return whether chances are known of a gain."""
    rows = [{"input": f"{i}", "expected": "x"} for i in range(N)]
    gate: Any = SimpleNamespace(
        deciding=SimpleNamespace(pairwise=pairwise, kind="right_wrong"),
        gain_set=examples_from(rows, origin="rows"),
        groups=[None] * N,
        config=SimpleNamespace(
            repeats=1, confidence=0.95, standard_of=lambda _: SimpleNamespace(gain=0.05)
        ),
        evidence_of=lambda _: "significant",
    )
    return prospects.chances_of_gain(gate, "baseline", gain, None, broken=broken) is not None


@boundary(True, False)
def no_more_than_all_examples_change(project: Project, beyond: int) -> Any:
    return foreseen(0.5, 0.25 + beyond / 100, pairwise=False)


@boundary(True, False)
def no_more_than_all_pairs_are_won(project: Project, beyond: int) -> Any:
    return foreseen(0.5 + beyond / 100, 0.0, pairwise=True)


@boundary(0, 1)
def an_example_that_did_not_change_is_not_broken(project: Project, beyond: int) -> Any:
    guard_set(project, N)
    gate = guarded(project, broken=range(beyond), max_drop=0.1)
    return len(gate["guards"][0]["broken_examples"])


@boundary("pass", "fail")
def four_of_ten_may_be_lost_by_chance(project: Project, beyond: int) -> Any:
    project.test_set(N, lang=lambda i: "de" if i < 10 else "en")
    project.predictions("ft.jsonl", N, wrong_at=range(4 + beyond))
    return status(project, "slices", slices={"fields": ["lang"], "max_drop": 0.2})


@boundary(False, True)
def three_slices_are_named(project: Project, beyond: int) -> Any:
    return "more" in losses._named(["a"] * (3 + beyond))


# --- groups --------------------------------------------------------------------------------------------------


def rarely_lost(project: Project, fixed: int, n_groups: int, **keys: Any) -> Any:
    """Return the warning of pairs of examples, of which the candidate fixes so many."""
    n = 2 * n_groups
    project.test_set(n, group=lambda i: f"g{i // 2}")
    project.predictions("base.jsonl", n, wrong_at=range(0, 2 * fixed, 2))
    project.predictions("ft.jsonl", n)
    found = checks(project.judge(min_test_examples=1, **keys), "rare_group_loss")
    return found[0] if found else None


@boundary(22, 25)
def the_evidence_decides_what_undoes_a_gain(project: Project, beyond: int) -> Any:
    """A gain of 15 points over 0, and over the margin of 2 points."""
    evidence = ("significant", "proven")[beyond]
    found = rarely_lost(project, 6, 20, evidence=evidence, margin=0.02)
    return found and found["required"]


@boundary(None, "warning")
def a_share_of_groups_that_undoes_the_gain(project: Project, beyond: int) -> Any:
    """At a level of 2^-20 a half of 20 groups may be lost, and so much undoes a gain of 100 points."""
    expect(project, [label(0)] * 40)
    project.test_set(40, group=lambda i: f"g{i // 2}")
    project.predictions("base.jsonl", 40, wrong_at=range(beyond, 40))
    project.predictions("ft.jsonl", 40)
    return status(project, "rare_group_loss", confidence=1 - 2**-20, min_test_examples=1)


@boundary(2, 1)
def examples_that_a_slice_needs(project: Project, beyond: int) -> Any:
    """Two slices are judged at 97.5 %, where the loss of all six is no chance."""
    project.test_set(N, lang=lambda i: "de" if i < 6 - beyond else "en")
    gate = project.judge(slices={"fields": ["lang"], "max_drop": 0.2})
    return sum(slice_["note"] is None for slice_ in gate["slices"])


# --- prompts -------------------------------------------------------------------------------------------------


def prompted(project: Project, name: str, baseline: Any, candidate: Any) -> str | None:
    """Return the status of a check of two models that are asked with these keys, before any call."""
    usual = {"provider": "openai", "base_url": "http://127.0.0.1:1/v1"}
    models = {
        "baseline": {**usual, "model": "base", **baseline},
        "candidate": {**usual, "model": "ft", **candidate},
    }
    return status(project, name, **models, offline=True)


@boundary(None, "fail")
def a_prompt_of_twice_the_length(project: Project, beyond: int) -> Any:
    n = len("customer question 0")
    return prompted(project, "baseline_prompt", {"system": "a" * 20}, {"system": "a" * (n + 40 + beyond)})  # fmt: skip


@boundary("warning", "fail")
def answers_of_one_length(project: Project, beyond: int) -> Any:
    return prompted(
        project,
        "baseline_prompt",
        {"params": {"max_tokens": 9}},
        {"params": {"max_tokens": 9 + beyond}},
    )


@boundary(None, "fail")
def as_many_examples(project: Project, beyond: int) -> Any:
    return prompted(project, "baseline_prompt", {"few_shot": 2}, {"few_shot": 2 + beyond})


@boundary(None, "fail")
def as_many_chosen_examples(project: Project, beyond: int) -> Any:
    baseline = {"retrieval": 2 - beyond, "few_shot": 1 + beyond}
    return prompted(project, "baseline_prompt", baseline, {"retrieval": 2, "few_shot": 1})


def asked_in_training(project: Project, systems: int, **candidate: Any) -> str | None:
    """Return the status of a candidate where so many of 20 training rows have a system message."""
    project.test_set(N, input=lambda i: f"{i} letters {i}")
    rows = []
    for i in range(20):
        messages = [{"role": "system", "content": "Sort."}] if i < systems else []
        messages += [
            {"role": "user", "content": f"{i} parcels {i}"},
            {"role": "assistant", "content": label(i)},
        ]
        rows.append({"messages": messages})
    project.training_set(0, rows)
    return prompted(project, "prompt_mismatch", {}, candidate)


@boundary("warning", None)
def nine_in_ten_training_rows_have_a_system_message(project: Project, beyond: int) -> Any:
    return asked_in_training(project, 18 - beyond)


@boundary("warning", None)
def one_in_ten_training_rows_has_a_system_message(project: Project, beyond: int) -> Any:
    return asked_in_training(project, 2 + beyond, system="Sort.")


@boundary([0], [])
def a_prompt_holds_an_input_of_five_words(project: Project, beyond: int) -> Any:
    words = ["my parcel has not arrived", "my parcel has not"][beyond]
    return prompt_leak.held_inputs(f"Example: {words}!", [words, "a", "b", "c"])


@boundary([0, 1], [])
def a_prompt_holds_half_of_the_short_inputs(project: Project, beyond: int) -> Any:
    return prompt_leak.held_inputs("yes no", ["yes", "no", "what", "why", "when"][: 4 + beyond])


def revealing(values: list[Any], outputs: list[str]) -> int:
    return len(prompt_leak.revealing_rows(values, outputs))


@boundary(18, 0)
def a_field_holds_nine_in_ten_outputs(project: Project, beyond: int) -> Any:
    outputs = split([(10, "refund"), (10, "invoice")])
    hidden = (0, 10, 11)[: 2 + beyond]
    return revealing(["" if i in hidden else text for i, text in enumerate(outputs)], outputs)


@boundary(4, 0)
def a_field_has_no_more_codes_than_outputs(project: Project, beyond: int) -> Any:
    return revealing(["A", "B", "A", "C" if beyond else "B"], ["refund", "invoice"] * 2)


# --- the form of answers -------------------------------------------------------------------------------------


def free_text(project: Project, output: Callable[[int], str]) -> str | None:
    """Return the status of the form of a baseline that misses 30 of 60 texts."""
    expect(project, [f"the answer {i * i}" for i in range(N)])
    project.training_set(200)
    project.predictions("ft.jsonl", N, output=lambda i: f"the answer {i * i}")
    said = {"output": lambda i: output(i) if i < 30 else f"the answer {i * i}"}
    project.predictions("base.jsonl", N, **said)
    return status(project, "formatting_gain", metric="exact_match")


@boundary("note", None)
def a_third_of_the_mistakes_say_more(project: Project, beyond: int) -> Any:
    return free_text(project, lambda i: f"It is the answer {i * i}." if i < 10 - beyond else f"none {i}")  # fmt: skip


@boundary("note", None)
def one_text_for_a_tenth_of_the_examples(project: Project, beyond: int) -> Any:
    return free_text(project, lambda i: "Timed out." if i < 6 - beyond else f"none {i}")


@pytest.mark.parametrize(("case", "at", "beyond"), ROWS)
def test_on_a_limit_and_just_beyond(project: Project, case: Case, at: Any, beyond: Any) -> None:
    assert case(project, 0) == at
    assert case(project, 1) == beyond
