"""What relative paths are relative to: in an ini file its folder, on the command line where pytest was started."""

from __future__ import annotations

from pathlib import Path

import pytest


def ini_path(config: pytest.Config, text: str) -> Path:
    """A path as an ini file writes it."""
    folder = config.inipath.parent if config.inipath else config.rootpath
    return folder / text


def option_path(config: pytest.Config, text: str) -> Path:
    """A path as the command line writes it."""
    return Path(config.invocation_params.dir, text)
