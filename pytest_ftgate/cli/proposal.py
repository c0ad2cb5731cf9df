"""What a gate for this data should ask for, each with the reason, and what speaks against judging on it yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_ftgate.cli.survey import Survey
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.text import plural

MIN_TEST: int = GateKeys.model_fields["min_test_examples"].default
MIN_TRAINING: int = GateKeys.model_fields["min_training_examples"].default

_MANY_LABELS = 10
_OUT_OF_BALANCE = 2.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What suits the data.

    Attributes:
        metric: one of those that are built in.
        why: the reason for it, in a few words.
        goal: what such a fine-tune is usually for.
    """

    metric: str
    why: str
    goal: str


def propose(survey: Survey) -> Proposal:
    """The metric that suits the outputs, and the goal that it usually stands for."""
    if survey.outputs == "json":
        return Proposal("exact_match", "outputs are JSON: values are compared, not the layout", "extraction")
    if survey.outputs == "text":
        return Proposal("exact_match", "outputs are text: right means word for word", "style")
    labels = plural(len(survey.labels), "label")
    if len(survey.labels) > _MANY_LABELS:
        return Proposal("f1_macro", f"{labels}: each counts the same, however often it is tested", "classification")
    if survey.imbalance >= _OUT_OF_BALANCE:
        return Proposal("f1_macro", f"{labels} out of balance: each counts the same", "classification")
    return Proposal("accuracy", f"{labels} in balance: the share of right answers", "classification")


def warnings(survey: Survey) -> Iterator[str]:
    """What the gate will not let pass, said before any of it costs anything."""
    audit, examples = survey.audit, len(survey.test.data)
    if survey.refused:
        yield f"the gate cannot use this test set: {survey.refused}"
    if examples < MIN_TEST:
        yield (
            f"{plural(examples, 'test example')}, and a gate asks for {MIN_TEST}: label "
            f"{MIN_TEST - examples} more, or it fails"
        )
    if audit.usable < MIN_TRAINING:
        yield (
            f"{plural(audit.usable, 'usable training example')}, and a gate asks for {MIN_TRAINING}: collect "
            f"{MIN_TRAINING - audit.usable} more, or it fails"
        )
    if audit.leaked:
        verb = "stands" if audit.leaked == 1 else "stand"
        yield f"{plural(audit.leaked, 'test example')} {verb} in the training set, too: take them out of it"
    if audit.leaked_near_rows:
        count, (row, first) = len(audit.leaked_near_rows), audit.leaked_near_rows[0]
        yield (
            f"{plural(count, 'test example')} {'has' if count == 1 else 'have'} a near copy in the training set, and "
            f"the gate fails on that: take the copies out of the training set, or say that they differ "
            f"(audit: {{leaked_near: warn}}); the first is {survey.test.data.where(row)} ~ "
            f"{survey.training.data.where(first)}"
        )
    if audit.conflicts:
        yield f"{plural(audit.conflicts, 'training row')} with an earlier row's input and another output: correct them"
    if audit.labels.only_in_test and survey.outputs == "labels":
        count = len(audit.labels.only_in_test)
        yield f"{plural(count, 'label')} of the test set {'is' if count == 1 else 'are'} not in the training set"
