"""Libraries that only some metrics need: optional, and asked for before any model is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pytest_ftgate.metrics.options import Options

_CURE = 'pip install "pytest-ftgate[{extra}]"'


def needed(options: Options, module: str, *, extra: str, key: str | None = None) -> Any:
    """The module of a library that a metric, or one of its options, cannot do without.

    Args:
        options: of the metric.
        module: to import, as ``rapidfuzz.distance``.
        extra: the extra of pytest-ftgate that installs it.
        key: the option that needs it; None: the metric itself does.

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
            f"{key or f'the metric {options.metric}'} needs {library}, which "
            f"{'is not installed' if missing else 'does not load'}",
            key=key,
            evidence=None if missing else f"{type(error).__name__}: {error}",
            cure=_CURE.format(extra=extra),
        ) from error
