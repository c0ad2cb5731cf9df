"""The files that metrics read: what they hold decides as much as what the gate's file says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, MetricSpec


def metric_files(before: GateConfig, after: GateConfig) -> Iterator[tuple[str, Path]]:
    """The files that the deciding metric, bounds and guards read, each with its key, where both versions name them."""
    kept = {path for _, metric in _deciding(before) for _, path in _files(metric)}
    for key, metric in _deciding(after):
        for option, path in _files(metric):
            if path in kept:
                yield f"{key}.{option}", path
                kept.discard(path)


def _files(metric: MetricSpec) -> Iterator[tuple[str, Path]]:
    """What a metric reads, and of a command what it may be made of: arguments that name a file beside the gate's."""
    for option, value in metric.options.items():
        if isinstance(value, Path):
            yield option, value
        elif option == "calibration" and hasattr(value, "path"):
            yield f"{option}.path", value.path
    argv = metric.options.get("argv")
    for place, part in enumerate(argv if isinstance(argv, list | tuple) else ()):
        bare_program = place == 0 and not os.path.dirname(str(part))  # looked for in PATH, and not here
        if isinstance(part, str) and part and "\0" not in part and not os.path.isabs(part) and not bare_program:
            yield "argv", Path(os.path.abspath(metric.source.base_dir / part))


def _deciding(config: GateConfig) -> Iterator[tuple[str, MetricSpec]]:
    yield "metric", config.metric
    for bound in config.require:
        yield f"require.{bound.of}.{bound.metric.name}", bound.metric
    for name, guard in config.guards.items():
        yield f"guards.{name}.metric", guard.metric
