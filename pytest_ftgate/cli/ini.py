"""Which ini file pytest will use for a folder, and what it should say so that no gate is lost."""

from __future__ import annotations

import re
from pathlib import Path

_SECTIONS = (
    ("pytest.ini", None),
    (".pytest.ini", None),
    ("pytest.toml", None),
    (".pytest.toml", None),
    ("pyproject.toml", r"^\[tool\.pytest(\.ini_options)?\]"),
    ("tox.ini", r"^\[pytest\]"),
    ("setup.cfg", r"^\[tool:pytest\]"),
)


def ini_file(folder: Path) -> Path | None:
    """The nearest file in this folder or above that pytest takes for its ini file."""
    for place in (folder, *folder.parents):
        for name, section in _SECTIONS:
            path = place / name
            if path.is_file() and (section is None or _has(path, section)):
                return path
    return None


def _has(path: Path, section: str) -> bool:
    try:
        return re.search(section, path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def ini_lines(gate_file: str = "ftgate.yaml", *, toml: bool = False) -> list[str]:
    """What makes a gate an obligation, in the language of the ini file.

    Args:
        gate_file: its path as seen from the ini file.
        toml: the ini file is one in TOML.
    """
    settings = {
        "required_plugins": "pytest-ftgate",
        "addopts": "--strict-markers --strict-config",
        "ftgate_required": "all",
    }
    if gate_file != "ftgate.yaml":
        settings["ftgate_config"] = gate_file
    return [f'{key} = "{value}"' if toml else f"{key} = {value}" for key, value in settings.items()]
