"""What a session writes at its end: the reports that were asked for, and the summary of a GitHub step."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_ftgate.errors import shown_path
from pytest_ftgate.plugin.gate_files import option_path
from pytest_ftgate.reports.github import Step
from pytest_ftgate.reports.session import Outcome
from pytest_ftgate.reports.text import Line


def writes(config: pytest.Config, form: str) -> bool:
    """Whether a report of this form was asked for."""
    return any(written.startswith(f"{form}:") for written in config.getoption("--ftgate-report"))


def write_reports(config: pytest.Config, outcome: Outcome, *, worker: bool) -> Iterator[Line]:
    """Write each report, and say how that went: ``recordings`` where the models ran, others where verdicts meet."""
    for written in config.getoption("--ftgate-report"):
        form, _, target = written.partition(":")
        if form == "recordings" or not worker:
            path = option_path(config, target)
            try:
                outcome.write(form, path)
                yield Line(f"{form} report: {shown_path(path)}")
            except OSError as error:
                yield Line(f"the {form} report could not be written: {error}", "red")


def append_summary(config: pytest.Config, outcome: Outcome) -> Iterator[Line]:
    """The summary of a step of GitHub Actions. Nobody has asked for it: where it cannot be written, that is all."""
    step = Step.from_environment(os.environ)
    wanted = config.getini("ftgate_github_summary") and (outcome.gates or outcome.session.unjudged)
    if step is None or step.summary is None or not wanted:
        return
    try:
        trouble = "" if outcome.append_to(step) else "there is no room left in it"
    except OSError as error:
        trouble = str(error)
    if trouble:
        yield Line(f"the summary of the GitHub step could not be written: {trouble}", "yellow")
