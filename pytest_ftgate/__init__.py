"""A pytest plugin that fails unless a fine-tuned model is measurably better than its baseline.

Public names are loaded on first use, so test suites without a gate pay nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ftgate.data import Example as Example
    from pytest_ftgate.errors import ConfigError as ConfigError
    from pytest_ftgate.errors import DataError as DataError
    from pytest_ftgate.errors import FtgateError as FtgateError
    from pytest_ftgate.errors import ModelError as ModelError
    from pytest_ftgate.gate.outside import judge as judge
    from pytest_ftgate.gate.outside import read_report as read_report
    from pytest_ftgate.hookspecs import hookimpl as hookimpl
    from pytest_ftgate.metrics import metric as metric
    from pytest_ftgate.models import Completion as Completion
    from pytest_ftgate.result import Check as Check
    from pytest_ftgate.result import GateResult as GateResult
    from pytest_ftgate.runs.jobs import Run as Run

_HOMES = {
    "Check": "pytest_ftgate.result",
    "Completion": "pytest_ftgate.models",
    "ConfigError": "pytest_ftgate.errors",
    "DataError": "pytest_ftgate.errors",
    "Example": "pytest_ftgate.data",
    "FtgateError": "pytest_ftgate.errors",
    "GateResult": "pytest_ftgate.result",
    "ModelError": "pytest_ftgate.errors",
    "Run": "pytest_ftgate.runs.jobs",
    "hookimpl": "pytest_ftgate.hookspecs",
    "judge": "pytest_ftgate.gate.outside",
    "metric": "pytest_ftgate.metrics",
    "read_report": "pytest_ftgate.gate.outside",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-ftgate")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
