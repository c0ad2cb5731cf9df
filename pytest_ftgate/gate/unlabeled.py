"""Read ``unlabeled_set``: inputs, and the labels that are known of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pytest_ftgate.checks.unlabeled import makes_ties
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.data.faults import raise_together
from pytest_ftgate.data.labels import Label, is_missing, read_labels
from pytest_ftgate.data.lines import written_at
from pytest_ftgate.errors import ConfigError, DataError
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric
from pytest_ftgate.text import excerpt


def read_unlabeled(config: GateKeys, services: Services) -> DataSet | None:
    """Return the inputs of ``unlabeled_set``, each with its label, or None where that is missing.

    Raises:
        DataError: a file cannot be read, or a label is of an unknown id, or contradicts another.
    """
    spec = config.unlabeled_set
    if spec is None:
        return None

    place = config.sources["unlabeled_set"].at
    data = services.load(spec, place, name="unlabeled_set", labeled=False)
    labels: dict[str, Label] = {}
    for row, example in enumerate(data):
        expected = None if is_missing(example.expected) else example.expected
        labels[example.id] = Label(example.id, expected, data.where(row))
    if spec.labels_path is not None:
        with written_at(spec.source.where()):
            written = list(read_labels(spec.labels_path))
        raise_together(_add(labels, written, data))

    examples = [replace(example, expected=labels[example.id].expected) for example in data]
    return replace(data, examples=tuple(examples))


def _add(labels: dict[str, Label], written: list[Label], data: DataSet) -> Iterator[DataError]:
    """Add labels to those that are known, and yield the error of each that cannot be one."""
    for label in written:
        known = labels.get(label.id)
        if known is None:
            yield _unknown_id(label, data)
        elif label.expected is None:
            continue
        elif known.expected is None:
            labels[label.id] = label
        elif expected_text(known.expected).strip() != expected_text(label.expected).strip():
            yield _contradiction(label, known)


def _unknown_id(label: Label, data: DataSet) -> DataError:
    message = f'no input of unlabeled_set has the id "{excerpt(label.id)}"'
    cure = f"correct the id, or remove the row: it is none of {data.origin}"
    return DataError(message, where=label.place, cure=cure)


def _contradiction(label: Label, known: Label) -> DataError:
    message = f'the id "{excerpt(label.id)}" has two different labels'
    evidence = f"{excerpt(expected_text(label.expected))} here, "
    evidence += f"{excerpt(expected_text(known.expected))} in {known.place}"
    return DataError(message, where=label.place, evidence=evidence, cure="keep the right one")


def check_metric(config: GateKeys, metrics: Mapping[str, Metric]) -> None:
    """Raise :class:`ConfigError` where an equal answer to an input without a label is no tie."""
    if config.unlabeled_set is None:
        return

    metric = metrics[config.decided_by.name]
    if config.asked_by != "agreement" and makes_ties(metric):
        return

    where = config.sources["unlabeled_set"].where("unlabeled_set")
    cure = "Use a metric that scores each answer, such as accuracy, or remove unlabeled_set."
    if config.asked_by == "agreement":
        reason = "it counts in the gain, and agreement asks for none"
        cure = "Remove unlabeled_set, or write a margin."
    elif metric.judged or metric.pairwise:
        reason = f"{metric.name} is judged, and needs no label"
        cure = "Add these inputs to test_set: a judge reads no label."
    elif metric.kind == "set":
        reason = f"{metric.name} has a value only for all answers together, so that an equal "
        reason += "answer changes it, too"
    else:
        reason = f"{metric.name} does not compare answers with labels"
        cure = "Add these inputs to test_set: expected may be empty there."
    raise ConfigError(f"cannot be used: {reason}", where=where, cure=cure)
