"""Read the half of the training set, and ask the model that was trained on it where it can help."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.audit.wording import outputs_of
from pytest_ftgate.checks.context import Context, Half
from pytest_ftgate.checks.more_data import LEAST_HALF, MOST_HALF
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, is_blank, normalized_input
from pytest_ftgate.data.faults import raise_together
from pytest_ftgate.errors import ConfigError, DataError
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.runs.jobs import Job, Run
from pytest_ftgate.runs.runner import run_models
from pytest_ftgate.text import excerpt, plural, show_percent

_KEY = "candidate_half.training_set"


def read_half(
    config: GateKeys,
    services: Services,
    training: DataSet,
    test: DataSet,
    audit: TrainingAudit,
    metric: Metric,
) -> Half | None:
    """Return the model of ``candidate_half`` and its number of usable rows; None without the key.

    Raises:
        FtgateError: the rows are no half of the training set, the metric or the model cannot be
            used.
    """
    spec = config.candidate_half
    if spec is None:
        return None

    _check_metric(config, metric)
    source = spec.sources["training_set"]
    half = services.load(spec.training_set, source.at, name=_KEY)
    rows = len(_usable_rows(half, training, audit))
    if not LEAST_HALF * audit.usable <= rows <= MOST_HALF * audit.usable:
        share = show_percent(rows / max(1, audit.usable))
        message = f"{rows:,} of {plural(audit.usable, 'usable row')} of training_set are {share}, "
        message += f"and a half has {LEAST_HALF:.0%} to {MOST_HALF:.0%}".replace("%", " %")
        cure = "Write one with python -m pytest_ftgate split --half, and train on it by the same "
        cure += "recipe."
        raise DataError(message, where=source.where(_KEY), evidence=half.origin, cure=cure)

    # What a prompt takes from the training set must come from the half, too.
    model = build_model(spec.model, Surroundings(half, services.offline, test), services.hook)
    return Half(model, rows)


def _check_metric(config: GateKeys, metric: Metric) -> None:
    """Refuse a metric whose values come from judges, which are not asked about the half."""
    if metric.judged or metric.pairwise:
        message = f"cannot be judged by {metric.name}: judges and people are asked about the "
        message += "models of the gate only"
        where = config.sources["candidate_half"].where("candidate_half")
        cure = "Remove candidate_half, or decide by a metric that compares with expected outputs."
        raise ConfigError(message, where=where, evidence=str(config.decided_by.source), cure=cure)


def _usable_rows(half: DataSet, training: DataSet, audit: TrainingAudit) -> set[int]:
    """Return the usable rows of the training set that a half of it holds.

    Raises:
        DataError: one of its rows is not in the training set.
    """
    first_with: dict[tuple[str, str], int] = {}
    for row, key in enumerate(_contents(training)):
        first_with.setdefault(key, row)
    raise_together(_foreign_rows(half, training, first_with))

    repeats = dict(audit.repeats)
    usable = set()
    for example, key in zip(half, _contents(half), strict=True):
        row = first_with[key]
        while row in repeats:
            row = repeats[row]
        if row not in audit.empty_outputs and not is_blank(example.input):
            usable.add(row)
    return usable


def _contents(data: DataSet) -> Iterator[tuple[str, str]]:
    """Yield the input and the output of each row as they are compared."""
    for example, output in zip(data, outputs_of(data), strict=True):
        yield normalized_input(example.input).strip(), output


def _foreign_rows(
    half: DataSet, training: DataSet, first_with: Mapping[tuple[str, str], int]
) -> Iterator[DataError]:
    """Yield an error for each row of the half that the training set does not hold."""
    for row, key in enumerate(_contents(half)):
        if key in first_with:
            continue
        text, output = map(excerpt, key)
        yield DataError(
            f"no row of training_set ({training.origin}) has this input with this output",
            where=half.where(row),
            evidence=f"input: {text}; output: {output}",
            cure="Train on rows of the training set alone, as python -m pytest_ftgate split "
            "--half writes them.",
        )


def half_job(gate: Context, half: Half) -> Job:
    """Return what the model of ``candidate_half`` is asked."""
    return Job(half.model, gate.test, gate.config.repeats, of_candidate=True)


def ask_half(
    gate: Context, half: Half, is_missed: Callable[[], bool], options: Mapping[str, Any]
) -> Run | None:
    """Return the answers of the half that are recorded or stored, else ask for them if needed.

    ``is_missed`` says whether the candidate does not gain enough. None: they were not asked for.
    """
    job = half_job(gate, half)
    (known,) = run_models([job], stores=options["stores"], ask=False)
    if half.model.verified is not None or not known.unanswered:
        return known
    if not options.get("ask", True) or not is_missed():
        return None
    (run,) = run_models([job], **options)
    return run
