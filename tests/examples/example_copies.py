"""Modules of an example as a run in its folder imports them, and runs of pytest there."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]


def modules_of(folder: Path, *names: str) -> SimpleNamespace:
    """Return the modules, and leave nothing behind; a module stands behind those that it imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        loaded: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]
    assert all(Path(module.__file__ or "").parent == folder for module in loaded.values())
    return SimpleNamespace(**loaded)


def ran(folder: Path, *args: str, status: int) -> str:
    """Run pytest offline in the folder and return what it prints."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args, "--ftgate-offline"]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout
