"""The table of all checks: the name, what it is about, what it does, and the sentence of its rule.

The keys under ``checks``, their JSON Schema, ``docs/reference/`` and ``-v`` are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["data", "models", "gain", "form", "cost", "freshness", "review"]
"""What a check is about."""

Default = Literal["decides", "fail", "limit", "warn"]
"""What a check does where a gate is silent: ``decides`` cannot be changed by ``checks``, ``limit``
is a warning up to a limit in its sentence and a failure above it."""

Stage = Literal["free", "answered", "scored"]
"""When a check can be decided first: before any call, with all answers, or with scores."""

_DOUBTS = ("conflicts", "group_overlap", "labels_missing")
"""The warnings on the data, beside those that usually fail, that put the verdict in doubt."""


@dataclass(frozen=True, slots=True)
class CheckName:
    """Describe all checks of one name.

    Attributes:
        name: the name; those of a threshold or a guard are ``thresholds.NAME`` and ``guards.NAME``.
        kind: what the check is about.
        default: what it does to the verdict where the gate is silent.
        stage: when it can be decided first.
        rule: the sentence that says when it does not hold.
    """

    name: str
    kind: Kind
    default: Default
    stage: Stage
    rule: str

    @property
    def questions_result(self) -> bool:
        """Return whether a warning puts the verdict in doubt, beyond describing the data."""
        return self.kind != "data" or self.default == "fail" or self.name in _DOUBTS


_TABLE = (
    CheckName(
        "min_training_examples",
        kind="data",
        default="decides",
        stage="free",
        rule="There are too few distinct inputs with an output. Inputs are the same if they are "
        "equal without what nine in ten rows begin or end with, and, where numbers do not "
        "count (leaked), without a number at either end.",
    ),
    CheckName(
        "min_test_examples",
        kind="data",
        default="decides",
        stage="free",
        rule="There are too few test examples.",
    ),
    CheckName(
        "min_fixed",
        kind="data",
        default="decides",
        stage="free",
        rule="With so few examples or groups no candidate can pass, whatever it answers.",
    ),
    CheckName(
        "leaked",
        kind="data",
        default="fail",
        stage="free",
        rule="All words of a test input, at least eight (or twelve characters of a script without "
        "spaces), follow each other in one text of the training set; or the whole input is "
        "equal to a training input, with or without what nine in ten rows of their set begin "
        "or end with. Words are compared without case, punctuation, Markdown, HTML tags and "
        "escapes. Numbers, words with a digit and a sign before it, count where rows that "
        "differ in numbers alone have different outputs at least a quarter as often as any "
        "two rows of both sets; else a number equals another one if the outputs are equal.",
    ),
    CheckName(
        "leaked_near",
        kind="data",
        default="fail",
        stage="free",
        rule="At least 75 % of the 4-character runs of a test input and a training input are the "
        "same, as are those of their outputs, and both rows have the same numbers in the same "
        "order, all of this without what nine in ten inputs of a set begin or end with. "
        "Numbers that count (leaked) are no part of that.",
    ),
    CheckName(
        "conflicts",
        kind="data",
        default="limit",
        stage="free",
        rule="Rows that repeat an input with a different output are a warning; more than 1 % of "
        "the rows fail.",
    ),
    CheckName(
        "near_duplicates",
        kind="data",
        default="limit",
        stage="free",
        rule="Near duplicates within the training set are a warning; they fail where fewer than "
        "min_training_examples remain without them.",
    ),
    CheckName(
        "test_near_duplicates",
        kind="data",
        default="warn",
        stage="free",
        rule="The test set has near duplicates. They count as one group in any case.",
    ),
    CheckName(
        "group_overlap",
        kind="data",
        default="warn",
        stage="free",
        rule="Groups of the test set (documents, customers) are also in the training set.",
    ),
    CheckName(
        "labels_in_common",
        kind="data",
        default="fail",
        stage="free",
        rule="No label of the test set is in the training set.",
    ),
    CheckName(
        "labels_missing",
        kind="data",
        default="warn",
        stage="free",
        rule="Labels of the test set, as the metric reads them, have no training example.",
    ),
    CheckName(
        "imbalance",
        kind="data",
        default="warn",
        stage="free",
        rule="The most frequent label has more than 10 times as many rows as the rarest one.",
    ),
    CheckName(
        "empty_outputs",
        kind="data",
        default="warn",
        stage="free",
        rule="Outputs are empty.",
    ),
    CheckName(
        "chat_format",
        kind="data",
        default="warn",
        stage="free",
        rule="Turns of conversations are out of order.",
    ),
    CheckName(
        "too_long",
        kind="data",
        default="warn",
        stage="free",
        rule="Rows have more tokens than training_set.max_tokens.",
    ),
    CheckName(
        "prompt_leak",
        kind="data",
        default="fail",
        stage="free",
        rule="The candidate's prompt holds a test input of at least five words, or half of the "
        "shorter ones; or a field of its template is, or holds as words, the expected output "
        "and no other one of nine in ten examples, each output weighing the same; or each "
        "value of the field always stands for one output, and there are no more values than "
        "outputs.",
    ),
    CheckName(
        "models",
        kind="models",
        default="decides",
        stage="free",
        rule="The two models cannot be compared.",
    ),
    CheckName(
        "baseline_answers",
        kind="models",
        default="decides",
        stage="answered",
        rule="An answer of a baseline is missing.",
    ),
    CheckName(
        "candidate_answers",
        kind="models",
        default="decides",
        stage="answered",
        rule="An answer of the candidate is missing.",
    ),
    CheckName(
        "identical_outputs",
        kind="models",
        default="decides",
        stage="free",
        rule="The candidate gives the same answers as a baseline with a margin, or they are one "
        "model.",
    ),
    CheckName(
        "baseline_prompt",
        kind="models",
        default="limit",
        stage="free",
        rule="The candidate has few-shot or retrieval examples, template fields, tools or request "
        "parameters (but seed, user, metadata) that the best baseline lacks (or has less of), "
        "or a higher limit of tokens; or all that it is sent with the first example, input "
        "included, is more than twice as long: this fails. A baseline without any prompt is a "
        "warning.",
    ),
    CheckName(
        "prompt_mismatch",
        kind="models",
        default="warn",
        stage="free",
        rule="A system message, tools, or a text around the input that nine in ten training rows "
        "have is missing in the candidate's calls, or the reverse.",
    ),
    CheckName(
        "recording_order",
        kind="models",
        default="fail",
        stage="scored",
        rule="From some row on, answers of a model fit the expected outputs better when they are "
        "moved by one row, at 1 in 1,000 with all places tried counted.",
    ),
    CheckName(
        "retries",
        kind="models",
        default="warn",
        stage="answered",
        rule="More than 5 % of a model's calls failed and were made again.",
    ),
    CheckName(
        "margin",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The measured gain is below the margin.",
    ),
    CheckName(
        "evidence",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The gain reaches the margin, but could be chance: among the examples, or among the "
        "raters of human_preference.",
    ),
    CheckName(
        "few_raters",
        kind="gain",
        default="warn",
        stage="free",
        rule="Fewer than 15 people rated for human_preference.",
    ),
    CheckName(
        "max_drop",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The candidate is worse than max_drop allows, or may be.",
    ),
    CheckName(
        "thresholds",
        kind="gain",
        default="decides",
        stage="free",
        rule="A value of the candidate is outside its limits.",
    ),
    CheckName(
        "guards",
        kind="gain",
        default="decides",
        stage="free",
        rule="The candidate is more than max_drop worse on another test set, or may be.",
    ),
    CheckName(
        "slices",
        kind="gain",
        default="decides",
        stage="free",
        rule="A part of the test set got significantly worse than max_drop, corrected for the "
        "number of parts and baselines.",
    ),
    CheckName(
        "hypothesis",
        kind="gain",
        default="warn",
        stage="scored",
        rule="The candidate does not reach the hypothesis.",
    ),
    CheckName(
        "weak_baseline",
        kind="gain",
        default="fail",
        stage="scored",
        rule="The best baseline does not beat always giving the same answer, or its own answers "
        "dealt to the rows at random; a worse further one is a warning. A baseline with its "
        "own max_drop fails if it gives one answer to everything, or none, or does not beat "
        "its own answers dealt at random.",
    ),
    CheckName(
        "degenerate_candidate",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The candidate gives one answer to everything, or none; or a weak baseline is "
        "accepted, and the candidate does not beat always giving the same answer.",
    ),
    CheckName(
        "rare_group_loss",
        kind="gain",
        default="warn",
        stage="scored",
        rule="There are too few groups to exclude that some are lost entirely, which would undo "
        "the gain.",
    ),
    CheckName(
        "answer_length",
        kind="gain",
        default="warn",
        stage="scored",
        rule="The longer answer wins significantly more than half of the judged pairs, and the "
        "winner's answers are longer significantly more often: length alone decides as well.",
    ),
    CheckName(
        "circular",
        kind="gain",
        default="warn",
        stage="scored",
        rule="A baseline may have written the expected outputs.",
    ),
    CheckName(
        "knowledge",
        kind="gain",
        default="warn",
        stage="scored",
        rule="Most fixed examples expect an output that is in the training set and not in their "
        "own input.",
    ),
    CheckName(
        "alternatives",
        kind="gain",
        default="warn",
        stage="scored",
        rule="Examples in the prompt close at least 80 % of the gap between the prompt and the "
        "candidate.",
    ),
    CheckName(
        "headroom",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The baseline leaves less than the margin to gain.",
    ),
    CheckName(
        "power",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The expected gain would be shown in less than half of all runs.",
    ),
    CheckName(
        "unlabeled",
        kind="gain",
        default="decides",
        stage="scored",
        rule="The candidate's answer to an input of unlabeled_set differs from that of a baseline, "
        "as the metric reads both, and the label is missing. An equal answer is a tie, "
        "whatever its label.",
    ),
    CheckName(
        "more_data",
        kind="gain",
        default="decides",
        stage="scored",
        rule="A note on candidate_half: what the last doubling of the training set brought, and "
        "whether another one brings what is missing. Yes: half of its lower bound is at least "
        "that. No: its upper bound is below that.",
    ),
    CheckName(
        "agreement",
        kind="gain",
        default="decides",
        stage="free",
        rule="The candidate gives other answers than the baseline that it must copy, or too few "
        "examples show that it does not.",
    ),
    CheckName(
        "formatting_gain",
        kind="form",
        default="fail",
        stage="free",
        rule="The gate does not pass where the baseline's malformed answers count as ties; for "
        "max_drop as right, or as ties where the candidate's answer is malformed, too.",
    ),
    CheckName(
        "cheaper_by",
        kind="cost",
        default="decides",
        stage="free",
        rule="A call of the candidate is not cheaper by this factor.",
    ),
    CheckName(
        "faster_by",
        kind="cost",
        default="decides",
        stage="free",
        rule="The candidate's p50 latency is not lower by this factor, or may not be.",
    ),
    CheckName(
        "economics",
        kind="cost",
        default="decides",
        stage="free",
        rule="The fine-tune does not pay for itself within the limit, or its cost is unknown.",
    ),
    CheckName(
        "max_age_days",
        kind="freshness",
        default="decides",
        stage="answered",
        rule="The oldest answer is too old, or has no date.",
    ),
    CheckName(
        "base_changed",
        kind="freshness",
        default="warn",
        stage="free",
        rule="A base model has changed since the last green verdict.",
    ),
    CheckName(
        "test_set_changed",
        kind="freshness",
        default="warn",
        stage="free",
        rule="The test set has changed since the last green verdict.",
    ),
    CheckName(
        "goal",
        kind="review",
        default="fail",
        stage="free",
        rule="Fine-tuning does not serve the goal.",
    ),
    CheckName(
        "max_attempts",
        kind="review",
        default="decides",
        stage="free",
        rule="The attempts on this test set, the distinct sets of answers of the candidate and the "
        "baselines, are used up: each may spend half of what is left of the gate's level, the "
        "last one all of it.",
    ),
    CheckName(
        "attempts",
        kind="review",
        default="warn",
        stage="free",
        rule="The answers of a model are not those of the last verdict, or the ledger of attempts "
        "is damaged.",
    ),
    CheckName(
        "weakened",
        kind="review",
        default="decides",
        stage="free",
        rule="The gate asks for less than on the main branch, or could not be compared with it; "
        "this is a warning without ftgate_forbid_weakening.",
    ),
    CheckName(
        "untracked",
        kind="review",
        default="warn",
        stage="free",
        rule="Git does not have data of the gate.",
    ),
    CheckName(
        "interrupted",
        kind="models",
        default="decides",
        stage="free",
        rule="Ctrl-C or a time limit ended the test while its gate was judged.",
    ),
    CheckName(
        "configuration",
        kind="review",
        default="decides",
        stage="free",
        rule="A key, a file or a hook is wrong.",
    ),
)

CHECKS: Mapping[str, CheckName] = {entry.name: entry for entry in _TABLE}
"""All checks by name, but those of hooks."""

CHANGEABLE: Mapping[str, CheckName] = {
    name: entry for name, entry in CHECKS.items() if entry.default != "decides"
}
"""The checks whose effect on the verdict a gate may change."""


def described(name: str) -> CheckName | None:
    """Return the entry of a name, such as ``guards.refunds``; None for a check of a hook."""
    return CHECKS.get(name.partition(".")[0])
