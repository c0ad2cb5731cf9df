"""The best of a job's checkpoints, found on a validation set that shares no input with the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.numbers import is_share, plural, show_value
from pytest_ftgate.result import Check
from pytest_ftgate.safe import one_line, printable

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.jobs.tuning import Tuned
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.running.runner import Run

_SHOWN = 8
_IDS_SHOWN = 5
_ID_CHARACTERS = 40


@dataclass(frozen=True)
class Contest:
    """The checkpoints of the candidate's job, of which a validation set is to find the best.

    Attributes:
        validation: what they are asked.
        metric: the gate's deciding one, as built for the validation set.
        tuned: the checkpoints, by their steps.
        models: the same, to be called.
    """

    validation: DataSet
    metric: Metric
    tuned: tuple[Tuned, ...]
    models: tuple[Model, ...]

    def hold(self, repeats: int, **options: Any) -> tuple[int, tuple[Run, ...], str]:
        """Ask all checkpoints, and find the best; of equals the first.

        Args:
            repeats: answers per example.
            options: see :func:`~pytest_ftgate.running.runner.run_models`.

        Returns:
            The index of the best, the runs, and in words by what it was chosen.

        Raises:
            FtgateError: an answer is missing, or a score is undefined.
        """
        from pytest_ftgate.measure import answers_of
        from pytest_ftgate.running.runner import Job, run_models

        runs = run_models([Job(model, self.validation, repeats) for model in self.models], **options)
        for tuned, run in zip(self.tuned, runs, strict=True):
            _complete(_step(tuned), run)
        expected = [example.expected for example in self.validation.examples]
        values = [self.metric.score(expected, answers_of(run)).value for run in runs]
        sign = 1 if self.metric.greater_is_better else -1
        best = max(range(len(values)), key=lambda index: sign * values[index])
        return best, runs, self._words(values, runs)

    def _words(self, values: Sequence[float], runs: Sequence[Run]) -> str:
        share = is_share((self.metric.low, self.metric.high))
        seen = [
            f"step {_step(one)} {show_value(value, share=share)}" for one, value in zip(self.tuned, values, strict=True)
        ]
        more = f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
        predictions = [one for run in runs for repeat in run.predictions for one in repeat]
        stored = sum(one.stored for one in predictions)
        counted = f"{plural(len(predictions), 'answer')}, {stored:,} of them stored"
        examples = plural(len(self.validation), "validation example")
        return f"best by {self.metric.name} on {examples}: {', '.join(seen[:_SHOWN])}{more}; {counted}"


def _step(tuned: Tuned) -> int:
    assert tuned.checkpoint is not None  # every one in a contest is a checkpoint
    return tuned.checkpoint.step


def _complete(step: int, run: Run) -> None:
    """A checkpoint that was not asked everything cannot be compared."""
    missing = [one for repeat in run.predictions for one in repeat if one.completion is None]
    if not missing:
        return
    ids = ", ".join(printable(one.id, _ID_CHARACTERS) for one in missing[:_IDS_SHOWN])
    total = sum(len(repeat) for repeat in run.predictions)
    reason = str(run.fatal) if run.fatal else missing[0].error or ""
    raise ModelError(
        f"the best checkpoint is not known: {len(missing):,} of {plural(total, 'answer')} of step {step} to the "
        f"validation set are missing ({ids}): {one_line(reason)}"
    )


def chosen_check(tuned: Tuned, config: GateConfig) -> Check | None:
    """Which checkpoint is judged; nothing where the job's own model is."""
    if tuned.checkpoint is None:
        return None
    message = f"the candidate is the checkpoint at step {tuned.checkpoint.step} ({tuned.chosen_by})"
    return Check("checkpoint", "note", message, observed=tuned.checkpoint.step, source=str(config.candidate.source))


@dataclass(frozen=True)
class Shared:
    """What a validation set shares with the test set.

    Attributes:
        name: what messages call the validation set.
        leaked: test examples whose input stands in it.
        places: the first of them, in words; "" where they are not known.
        source: where the validation set is named.
    """

    name: str
    leaked: int
    places: str
    source: str


def shared_check(shared: Shared, tests: int) -> Check:
    """A checkpoint that was chosen on the test set has seen it."""
    if not shared.leaked:
        message = f"no test example stands in {shared.name}, on which the checkpoint is chosen"
        return Check("validation_set", "pass", message, observed=0, required=0, source=shared.source)
    stand = "stands" if shared.leaked == 1 else "stand"
    places = f": {shared.places}" if shared.places else ""
    return Check(
        "validation_set",
        "fail",
        f"{shared.leaked:,} of {plural(tests, 'test example')} {stand} in {shared.name}, on which the checkpoint is "
        f"chosen{places}",
        observed=shared.leaked,
        required=0,
        source=shared.source,
        advice="Choose on other examples: the test set tells nothing any more about a model that was chosen on it.",
    )


def unused_check(config: GateConfig) -> Check:
    """A validation set is named, and no checkpoint is chosen on it."""
    return Check(
        "validation_set",
        "note",
        "the validation set is not used: it is for a candidate with checkpoint: best",
        source=str(config.sources["validation_set"]),
    )
