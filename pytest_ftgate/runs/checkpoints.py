"""Find the best checkpoint of a fine-tuning job on a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.text import is_share, plural, printable, show_value

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.models.openai_api.tuning import Tuned
    from pytest_ftgate.runs.runner import Run

_SHOWN = 8
_IDS_SHOWN = 5
_ID_CHARACTERS = 100


@dataclass(frozen=True)
class CheckpointSelection:
    """Choose the best checkpoint of the candidate's job on a validation set.

    ``metric`` is the gate's deciding one, built for the validation set; ``tuned`` are the checkpoints, ordered by
    step, and ``models`` the models to call.
    """

    validation: DataSet
    metric: Metric
    tuned: tuple[Tuned, ...]
    models: tuple[Model, ...]

    def run(self, repeats: int, **options: Any) -> tuple[int, tuple[Run, ...], str]:
        """Ask all checkpoints (see :func:`run_models`), and return the best; among equals the first.

        Returns:
            The index of the best, the runs, and a description of how it was chosen.

        Raises:
            FtgateError: an answer is missing, or a score is undefined.
        """
        from pytest_ftgate.runs.measure import answers_of
        from pytest_ftgate.runs.runner import Job, run_models

        runs = run_models([Job(model, self.validation, repeats) for model in self.models], **options)
        # The one that ended the run first: the others were only stopped.
        for tuned, run in sorted(zip(self.tuned, runs, strict=True), key=lambda pair: pair[1].fatal is None):
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
        predictions = [one for run in runs for one in run.all_predictions]
        stored = sum(one.stored for one in predictions)
        counted = f"{plural(len(predictions), 'answer')}, {stored:,} of them stored"
        examples = plural(len(self.validation), "validation example")
        return f"best by {self.metric.name} on {examples}: {', '.join(seen[:_SHOWN])}{more}; {counted}"


def _step(tuned: Tuned) -> int:
    assert tuned.checkpoint is not None  # every one in a contest is a checkpoint
    return tuned.checkpoint.step


def _complete(step: int, run: Run) -> None:
    """Raise :class:`ModelError` if an answer is missing: the checkpoints could not be compared."""
    missing = run.unanswered
    if not missing:
        return
    ids = ", ".join(printable(one.name, _ID_CHARACTERS) for one in missing[:_IDS_SHOWN])
    total = plural(len(run.all_predictions), "answer")
    failure = run.failure
    raise ModelError(
        f"the best checkpoint is unknown: {failure.cause if failure else ''}; {len(missing):,} of {total} of step "
        f"{step} to the validation set missing ({ids})",
        cure=failure.advice if failure else None,
    )
