"""Libraries that only some metrics need: optional, and asked for before any model is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pytest_ftgate.metrics.options import Options

_CURE = 'pip install "pytest-ftgate[{extra}]"'


def needed(options: Options, module: str, *, extra: str) -> Any:
    """The module of a library that a metric cannot do without.

    Args:
        options: of the metric.
        module: to import, as ``rapidfuzz.distance``.
        extra: the extra of pytest-ftgate that installs it.

    Raises:
        ConfigError: it cannot be imported.
    """
    library = module.partition(".")[0]
    try:
        import_module(library)
        return import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == library
        raise options.error(
            f"the metric {options.metric} needs {library}, which {'is not installed' if missing else 'does not load'}",
            evidence=None if missing else f"{type(error).__name__}: {error}",
            cure=_CURE.format(extra=extra),
        ) from error
