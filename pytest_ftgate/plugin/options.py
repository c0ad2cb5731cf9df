"""What the command line says, refused where it cannot be meant. Loaded only where one of our options is used."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def check_options(config: pytest.Config) -> None:
    """Refuse options that no run may have, before any test is collected.

    Raises:
        pytest.UsageError: one of them, and why.
    """
    for name in config.getoption("override_ini") or ():
        if name.startswith("ftgate_"):
            raise pytest.UsageError(
                f"-o {name}: what a gate asks for comes from files under review, not from the command line"
            )
    reports = list(dict.fromkeys(config.getoption("--ftgate-report")))
    paths = [os.path.realpath(report.partition(":")[2]) for report in reports]
    for report, path in zip(reports, paths, strict=True):
        if paths.count(path) > 1:  # the second would take the place of the first, and nobody would know
            raise pytest.UsageError(f"--ftgate-report={report}: another report goes to the same file")
        if report.startswith("html:") and find_spec("jinja2") is None:
            raise pytest.UsageError(
                "--ftgate-report=html needs Jinja2, which is not installed: pip install 'pytest-ftgate[report]'"
            )
    if config.getoption("--ftgate-partial") and os.environ.get("CI"):
        raise pytest.UsageError("--ftgate-partial is for local work; CI is set here")
