"""The text of a first gate file, each key with a line that says what it is for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.checks.goal import NOT_SERVED, SERVED
from pytest_ftgate.cli.proposal import MIN_TEST, MIN_TRAINING, Proposal
from pytest_ftgate.cli.survey import Source, Survey
from pytest_ftgate.text import plural, printable

GATE = "finetune"


@dataclass(frozen=True, slots=True)
class Written:
    """What the gate file names, as it stands there: paths relative to the file, ``None`` for a model yet to come."""

    test_set: str
    training_set: str
    baseline: str | None
    candidate: str | None


def gate_file_text(survey: Survey, proposal: Proposal, written: Written) -> str:
    """The whole file. It loads as it stands; without its models the gate is an error, and says which is missing."""
    return (
        "\n".join(
            [*_head(), *_before_training(proposal), *_data(survey, written), *_models(written), *_asked(proposal)]
        )
        + "\n"
    )


def _head() -> Iterator[str]:
    yield "# Is the fine-tuned model worth having? This file says what it must show; pytest judges it."
    yield "# Prompting says WHAT to do, retrieval (RAG) gives WHAT to know, fine-tuning teaches HOW to behave."
    yield "version: 1"
    yield ""
    yield "gates:"
    yield f"  {GATE}:"


def _before_training(proposal: Proposal) -> Iterator[str]:
    yield "    # What you expect, written down before you train: the baseline's value, and what training makes of it."
    yield '    # hypothesis: {from: 0.80, to: 0.88, because: "the prompt mixes up two labels"}'
    yield ""
    yield "    # What the fine-tune is for."
    yield f"    # Good reasons: {', '.join(SERVED)}."
    yield "    # Bad reasons, which fail the gate:"
    for goal, (_, instead, _) in NOT_SERVED.items():
        yield f"    #   {goal}: {instead}"
    yield f"    # goal: {proposal.goal}"
    yield ""


def _data(survey: Survey, written: Written) -> Iterator[str]:
    test, audit = survey.test, survey.audit
    yield f"    # What both models answer; nothing learns from it. Seen: {plural(len(test.data), 'example')}."
    if survey.outputs == "labels":
        yield f"    # It expects {plural(len(survey.labels), 'label')}."
    for line in _group_lines(survey, written):
        yield f"    # {printable(line)}"
    yield f"    test_set: {_source(test, written.test_set)}"
    yield "    # What the candidate learns from: the very file, so that copies, errors and leaks are found."
    yield f"    # Seen: {plural(audit.rows, 'row')}, {audit.usable:,} usable."
    yield f"    training_set: {_source(survey.training, written.training_set)}"
    yield ""


def _group_lines(survey: Survey, written: Written) -> Iterator[str]:
    if survey.group_column is None:
        return
    column, count = survey.group_column
    yield f"Do rows with one {column} belong together ({count:,} of them)? Then bounds must know it:"
    yield f"test_set: {_mapping(written.test_set, {**survey.test.fields, 'group': column})}"


def _models(written: Written) -> Iterator[str]:
    yield "    # What you have: the best prompt that you can write, with examples. Any fine-tune beats a weak one."
    if written.baseline is None:
        yield "    # Until it is written, the gate is an error:"
        yield "    # baseline: {provider: openai, model: gpt-4.1-mini, system_file: prompts/task.md, few_shot: {k: 8}}"
    else:
        yield f"    baseline: {quoted(written.baseline)}"
    yield "    # The fine-tuned model. Before there is one, stage: ready asks whether training can pay off at all."
    if written.candidate is None:
        yield "    # Until one of the two is written, the gate is an error:"
        yield '    # candidate: "openai:ft:gpt-4.1-mini:acme::abc123"'
        yield "    # stage: ready"
    else:
        yield f"    candidate: {quoted(written.candidate)}"
    yield ""


def _asked(proposal: Proposal) -> Iterator[str]:
    yield f"    # What is compared: {printable(proposal.why)}."
    yield f"    metric: {proposal.metric}"
    yield "    # How much better the candidate must be, in the metric's unit (0.05: 5 points). Set it before you look."
    yield "    margin: 0.05"
    yield "    # observed: margin reached. significant: also 95 % sure of a gain. proven: 95 % sure of the margin."
    yield "    evidence: significant"
    yield "    # How sure to be of it."
    yield "    # confidence: 0.95"
    yield "    # So many examples there must be."
    yield f"    # min_test_examples: {MIN_TEST}"
    yield f"    # min_training_examples: {MIN_TRAINING}"
    yield "    # What must hold besides: bounds on any metric, on latency_p50_s, latency_p95_s, cost_usd, error_rate."
    yield f"    # require: [{{metric: {proposal.metric}, min: 0.85}}]"


def _source(source: Source, path: str) -> str:
    return _mapping(path, source.fields) if source.fields else quoted(path)


def _mapping(path: str, fields: Mapping[str, str]) -> str:
    named = ", ".join(f"{name}: {quoted(column)}" for name, column in fields.items())
    return f"{{path: {quoted(path)}, fields: {{{named}}}}}"


def quoted(text: str) -> str:
    """Text as YAML in double quotes, whatever it holds."""
    import yaml

    dumped: str = yaml.safe_dump(text, default_style='"', width=10**6)
    return dumped.strip()


def test_file_text() -> str:
    """The test that carries the mark."""
    return (
        '"""Red unless the fine-tuned model is worth having: ftgate.yaml says what it must show."""\n\n'
        "import pytest\n\n\n"
        f'@pytest.mark.ftgate("{GATE}")\n'
        "def test_fine_tune_is_worth_it(ftgate):\n"
        '    """The mark judges. Here is room for more: ftgate.candidate.metrics and the like."""\n'
    )


test_file_text.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions by their name


def relative_path(path: Path, folder: Path) -> str:
    """A path as it is written in a file of ``folder``; absolute where nothing else reaches it."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return Path(os.path.abspath(path)).as_posix()
