"""The checks whose effect on the verdict a gate may change, and what each does by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, ValidationInfo, create_model

from pytest_ftgate.config.keys import Keys, optional
from pytest_ftgate.result import CHECKS

LEVELS = ("ignore", "warn", "limit", "inconclusive", "fail")
"""From lenient to strict. Two are only defaults: ``limit``, a warning up to a built-in limit and a failure above it,
and ``inconclusive``."""

Level = Literal["fail", "warn", "ignore"]


@dataclass(frozen=True, slots=True)
class Changeable:
    """A check that a gate may change: its level where the gate is silent, and what it finds."""

    default: Literal["fail", "inconclusive", "limit", "warn"]
    finds: str

    @property
    def description(self) -> str:
        return self.finds if self.default == "limit" else f"{self.finds} Default: {self.default}."


CHANGEABLE: Mapping[str, Changeable] = {
    "goal": Changeable("fail", "A goal that fine-tuning does not serve."),
    "weak_baseline": Changeable("fail", "A baseline that is no better than always giving the same answer."),
    "baseline_prompt": Changeable(
        "limit",
        "A candidate that is given more than the best baseline, or is the same model, fails; a baseline without any "
        "prompt is a warning.",
    ),
    "formatting_gain": Changeable(
        "fail",
        "A gain that does not hold where answers are read leniently, whatever their form.",
    ),
    "prompt_leak": Changeable("fail", "Test examples in a prompt."),
    "rare_group_loss": Changeable(
        "inconclusive", "A gain that would not be proven if the candidate lost one more group of examples entirely."
    ),
    "leaked": Changeable("fail", "Test examples that are also in the training set."),
    "leaked_near": Changeable("fail", "Test examples with a near duplicate in the training set."),
    "conflicts": Changeable(
        "limit", "Rows that repeat an input with a different output are a warning; more than 1 % of the rows fail."
    ),
    "near_duplicates": Changeable(
        "limit",
        "Near duplicates within the training set are a warning; they fail where fewer than min_training_examples "
        "remain without them.",
    ),
    "test_near_duplicates": Changeable(
        "warn", "Near duplicates within the test set. They count as one group in any case."
    ),
    "group_overlap": Changeable(
        "warn", "Groups of the test set (documents, customers) that are also in the training set."
    ),
    "labels_missing": Changeable("warn", "Labels of the test set with fewer than 5 training examples."),
    "imbalance": Changeable("warn", "The most frequent label has more than 10 times as many rows as the rarest one."),
    "empty_outputs": Changeable("warn", "Outputs that are empty."),
    "chat_format": Changeable("warn", "Conversations whose turns are out of order."),
    "too_long": Changeable("warn", "Rows with more tokens than training_set.max_tokens."),
    "circular": Changeable("warn", "A baseline that may have written the expected outputs."),
    "baseline_params": Changeable("warn", "A baseline with weaker parameters than the candidate."),
    "prompt_mismatch": Changeable(
        "warn",
        "The candidate is asked with another system message, template, tools or chat template than in the training "
        "rows.",
    ),
    "knowledge": Changeable("warn", "A gain that looks like memorised facts."),
    "alternatives": Changeable("warn", "A cheaper model or a prompt that comes near the candidate."),
    "unusable_answers": Changeable("warn", "Many refused, filtered, cut-off or empty answers of a baseline."),
    "retries": Changeable("warn", "More than 5 % of a model's calls failed and were made again."),
    "attempts": Changeable("warn", "Other answers than a candidate was judged by, and a ledger that may be lost."),
    "base_changed": Changeable("warn", "A base model that has changed since the last green verdict."),
    "untracked": Changeable("warn", "Data of the gate that git does not have."),
    "test_set_changed": Changeable("warn", "A test set that has changed since the last green verdict."),
    "hypothesis": Changeable("warn", "A candidate that does not reach the hypothesis."),
}
"""By the name that the check is printed under."""

DECISIVE = tuple(name for name in CHECKS if name not in CHANGEABLE)
"""Checks that decide the verdict, and cannot be changed. Those of a threshold or a guard go by ``thresholds.NAME``."""

_DECIDES = "this check decides the verdict and cannot be changed; those that can are: " + ", ".join(CHANGEABLE)


class _Checks(Keys):
    """The effect of checks on the verdict."""

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        if isinstance(key, str) and key.partition(".")[0] in DECISIVE:
            return _DECIDES
        return super()._objection(key, value)


_Fields: dict[str, Any] = {name: (Level, optional(one.description)) for name, one in CHANGEABLE.items()}
ChecksKeys: type[Keys] = create_model("ChecksKeys", __base__=_Checks, __doc__=_Checks.__doc__, **_Fields)


def _read_checks(value: Any, info: ValidationInfo) -> dict[str, Level]:
    """Return the levels that are written, by the name of the check."""
    return ChecksKeys.model_validate(value, context=info.context).written()


ChecksValue = Annotated[dict[str, Level], PlainValidator(_read_checks, json_schema_input_type=ChecksKeys)]
