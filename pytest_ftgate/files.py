"""Write files that are either whole or unchanged."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, chunks: Iterable[str | bytes]) -> None:
    """Write bytes, or text in UTF-8, to a file, creating its folder.

    On :class:`OSError` the file is left unchanged.
    """
    path = path.resolve()  # the target of a symbolic link
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    if path.exists() and not path.is_file():  # a device or a pipe, which is written to directly
        draft = path

    try:
        with draft.open("wb") as file:
            for chunk in chunks:
                file.write(chunk.encode() if isinstance(chunk, str) else chunk)
        draft.replace(path)  # for a device it does nothing
    except BaseException:
        if draft != path:
            draft.unlink(missing_ok=True)
        raise
