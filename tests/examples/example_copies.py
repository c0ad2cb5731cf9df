"""Modules of an example as a run in its folder imports them."""

from __future__ import annotations

import importlib
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
