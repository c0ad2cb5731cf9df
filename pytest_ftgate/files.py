"""A file that is written is there whole, or as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8 to a file; its folder is made. Raises :class:`OSError`, the file then being as it was.

    What is no plain file (a device, a pipe, a link to one) is written to directly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        _write(path, parts)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(draft, parts)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write(path: Path, parts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)
