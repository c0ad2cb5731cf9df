"""Options of metrics that are paths: relative to the file in which they are written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.config.source import Source

_PATHS = {("format", "json_schema")}


def metric_options(name: str, written: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """The options of the metric ``name`` as written, paths as absolute :class:`~pathlib.Path`."""
    return {
        key: Path(os.path.abspath(source.base_dir / value)) if _is_path(name, key, value) else value
        for key, value in written.items()
    }


def _is_path(name: str, key: str, value: Any) -> bool:
    return (name, key) in _PATHS and isinstance(value, str | os.PathLike) and bool(os.fspath(value))
