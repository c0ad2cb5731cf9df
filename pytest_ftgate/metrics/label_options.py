"""The labels that a gate's options speak of, held against those of its test set before any model is called."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_ftgate.data.wording import listed
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.metrics.options import Options, did_you_mean
from pytest_ftgate.metrics.reading import read_options


def label_set(options: Options, labels: Sequence[str], known: Sequence[str]) -> LabelSet:
    """The labels of a test set, read as a gate's options ask.

    Raises:
        ConfigError: an option is wrong, or the labels cannot be told apart once they are read that way.
    """
    reading = read_options(options)
    made = LabelSet(reading, tuple(dict.fromkeys(label.strip() for label in labels)), tuple(known))
    refuse_blank(options, made.texts)
    if (pair := made.confused()) is not None:
        raise options.error(
            f"normalize makes one label of {listed(pair[:1])} and {listed(pair[1:])}",
            key="normalize",
            cure="Leave out the step that makes them equal, or write the label in one way in the test set.",
        )
    return made


def refuse_blank(options: Options, expected: Sequence[str]) -> None:
    """Raise :class:`ConfigError` where an empty output is expected: as an answer it counts as wrong."""
    if any(not text.strip() for text in expected):
        raise options.error(
            f"{options.metric} cannot score an example that expects an empty output: an empty answer counts as wrong",
            cure="Let the model say something there, as none.",
        )


def selected_codes(options: Options, labels: LabelSet) -> tuple[int, ...]:
    """The codes that the option ``labels`` names; all where it is absent.

    Raises:
        ConfigError: it names a label twice, or one that the test set does not expect.
    """
    asked = options.labels("labels")
    if asked is None:
        return tuple(range(len(labels.texts)))
    codes = tuple(_code(options, "labels", label, labels) for label in asked)
    if len(set(codes)) < len(codes):
        raise options.error("labels names a label twice", key="labels", cure="Name each label once.")
    return codes


def positive_code(options: Options, labels: LabelSet) -> int:
    """The code of ``pos_label``, the label that a binary metric is about.

    Raises:
        ConfigError: there are not two labels, or the option is absent or names neither.
    """
    if len(labels.texts) != 2:
        raise options.error(
            f"{options.metric} needs a test set with two labels, and this one has {len(labels.texts)}",
            evidence=f"The labels are: {listed(labels.texts)}.",
            cure=f"Use {options.metric}_macro, {options.metric}_micro or {options.metric}_weighted."
            if len(labels.texts) > 2
            else "Add examples of the other label.",
        )
    label = options.label("pos_label")
    if label is None:
        raise options.error(
            f"{options.metric} needs pos_label, the label that it is about",
            key="pos_label",
            evidence=f"The labels are: {listed(labels.texts)}.",
            cure=f"Write metric: {{name: {options.metric}, pos_label: {listed(labels.texts[:1])}}}.",
        )
    return _code(options, "pos_label", label, labels)


def _code(options: Options, key: str, label: str, labels: LabelSet) -> int:
    code = labels.code(label)
    if code is None:
        raise options.error(
            f"{key} names {listed([label])}, which no example of the test set expects",
            key=key,
            cure=did_you_mean(label, labels.texts),
        )
    return code
