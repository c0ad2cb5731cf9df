"""Any model over any labeled examples, outside a gate: what the fixture ``ftgate_evaluate`` does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ModelError
from pytest_ftgate.safe import one_line, printable

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ftgate.config import GateFile, Source
    from pytest_ftgate.pipeline import Services
    from pytest_ftgate.running.runner import Run


def evaluate_model(
    model: Any, test_set: Any, metric: Any, *, source: Source, file: GateFile | None, root: Path, services: Services
) -> Run:
    """Run a model over a test set and score it; what is stored already is not asked for again.

    Args:
        model: a spelling, a name under ``models`` in the gate file, a mapping, or a callable.
        test_set: a path, a mapping, or an iterable of examples.
        metric: a name, or a mapping with options.
        source: where relative paths start.
        file: the gate file, if there is one.
        root: the project's folder.
        services: what the session lends.

    Returns:
        The run, with ``metrics``: the metric's value by its name.

    Raises:
        FtgateError: the model, the data or the metric cannot be used; :class:`ModelError` where an answer is missing.
    """
    from pytest_ftgate.config import Layer, resolve_gate
    from pytest_ftgate.jobs.tuning import build_settled
    from pytest_ftgate.measure import answers_of
    from pytest_ftgate.metrics.judged import refuse_judged
    from pytest_ftgate.models import Surroundings
    from pytest_ftgate.preparation import build_metrics
    from pytest_ftgate.running.runner import Job, run_models
    from pytest_ftgate.training import check_test_set

    # One reading of every spelling: the call is a gate of which only these three keys are used.
    values = {"baseline": model, "candidate": model, "test_set": test_set, "metric": metric}
    values |= {"training_set": (), "margin": 0.0}
    layer = Layer(values, dict.fromkeys(values, source))
    config = resolve_gate([layer], file=file, gate=None, default_name="ftgate_evaluate", root=root)
    test = services.load(config.test_set, str(source))
    check_test_set(test)
    metrics = build_metrics(config, test, None, services.hook)
    for one in metrics.values():
        refuse_judged(one, "measured by ftgate_evaluate", source=str(source))
    stores = services.stores
    surroundings = Surroundings(None, services.notes(), services.offline, stores.newer_than)
    built = build_settled(config.candidate, surroundings, services.hook)
    (run,) = run_models([Job(built, test)], stores=stores, offline=services.offline, budget=services.budget)
    _complete(run)
    answers = answers_of(run)
    expected = [example.expected for example in test.examples]
    scores = {name: one.score(expected, answers).value for name, one in metrics.items()}
    return replace(run, metrics=scores)


def _complete(run: Run) -> None:
    missing = [prediction for repeat in run.predictions for prediction in repeat if prediction.completion is None]
    if run.fatal is not None:
        raise run.fatal
    if missing:
        ids = ", ".join(printable(prediction.id, 40) for prediction in missing[:5])
        counted = f"{len(missing):,} of {len(run.test_set):,} answers are missing"
        raise ModelError(f"{run.model.name}: {counted} ({ids}): {one_line(missing[0].error or '')}")
