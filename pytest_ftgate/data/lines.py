"""Read the lines of a UTF-8 file."""

import gc
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.text import nearest

GZIP = ".gz"
_CHUNK = 1 << 18
_FOLDERS_SEEN = 1000  # where a missing file is looked for


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in lower case: of ``rows.JSONL.gz`` it is ``.jsonl``."""
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix == GZIP else name.suffix


class UnopenedError(DataError):
    """A file cannot be opened, perhaps because its path is wrong where the gate gives it."""


@contextmanager
def written_at(place: Where) -> Iterator[None]:
    """Add the place where the path is written to errors about a file that cannot be opened."""
    try:
        yield
    except UnopenedError as error:
        raise DataError(f"{error.where}: {error.what}", **error.parts(where=place)) from None


class Lines:
    """Iterate over the lines of a file, each with its line feed.

    ``number`` (from 1) is that of the last one.

    Only a line feed ends a line: other Unicode line separators may occur within a JSON string.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.number = 0
        self.file = file
        self._offset = 0  # bytes before the next line

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        raw = self.file.readline()
        if not raw:
            raise StopIteration
        self.number += 1

        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._flaw("invalid UTF-8", raw, error.start) from None
        if "\0" in text:
            raise self._flaw("NUL byte", raw, raw.index(0))
        self._offset += len(raw)
        return text.removeprefix("\ufeff") if self.number == 1 else text

    def rewind(self) -> None:
        """Begin again at the first line."""
        self.file.seek(0)
        self.number = 0
        self._offset = 0

    def _flaw(self, flaw: str, raw: bytes, position: int) -> DataError:
        return DataError(
            f"{flaw} at byte {self._offset + position}",
            where=Where(path=self.path, line=self.number),
            evidence=f"found: {raw[max(0, position - 20) : position + 20]!r}",
            cure="save the file as UTF-8 text; it may be UTF-16, Windows-1252, Latin-1 or "
            "compressed now",
        )


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """Open a file for reading line by line.

    If it does not exist, the error suggests a similar name.
    """
    name = shown_path(path)
    with _opened(path) as stored, _without_collections():
        file: Any = stored
        if path.suffix.lower() == GZIP:
            file = gzip.GzipFile(fileobj=stored)

        # Errors of the code in the block arrive here too: gzip decompresses as lines are read.
        try:
            yield Lines(file, name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            message = f"cannot be decompressed: {error}"
            raise DataError(message, where=Where(name), cure="compress the file again") from error
        except OSError as error:
            raise _unreadable(path, error) from error


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the search for garbage: it would visit all rows again and again, and find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file without its byte order mark."""
    with open_lines(path) as lines:
        return "".join(lines)


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file as it is stored."""
    digest = hashlib.sha256()
    with _opened(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _opened(path: Path) -> BinaryIO:
    where = Where(path=shown_path(path))
    try:
        if path.is_dir():
            cure = (
                "write the path of one file in it, or let a fixture such as ftgate_test_set return "
                "the rows of all"
            )
            raise UnopenedError("is a folder, not a file", where=where, cure=cure)

        # Reading it may block, or never end.
        if os.path.exists(path) and not path.is_file():
            raise UnopenedError("is a device or a pipe, not a file", where=where)
        return path.open("rb")
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL character
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UnopenedError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UnopenedError(f"cannot be read: {reason}", where=Where(path=shown_path(path)))


def _in_a_folder_beside(path: Path) -> str | None:
    """Return where a file of this name lies one folder above or below; None if it lies in none."""
    with suppress(OSError, ValueError):
        places = [path.parent.parent, *sorted(path.parent.iterdir())]
        for folder in places[:_FOLDERS_SEEN]:
            if (folder / path.name).is_file():
                return Path(os.path.relpath(folder / path.name, path.parent)).as_posix()
    return None


_FILES_SHOWN = 8


def missing(path: Path) -> UnopenedError:
    """Return the error that a file does not exist, with what was probably meant."""
    shown = shown_path(path)
    url = re.search(r"(?:^|/)(\w[\w+.-]+):/+(.*)", shown)
    if url is not None:  # paths have no double slash
        cure = "download the data, and write the path of the file"
        where = Where(path=f"{url[1]}://{url[2]}")
        return UnopenedError(f"{url[1]}:// is not read", where=where, cure=cure)

    # The folder may be unreadable, or absent as well.
    near = None
    files: list[str] = []
    if os.access(path.parent, os.R_OK):
        # Without the suffix, which would make any two names alike.
        files = sorted(os.listdir(path.parent), key=lambda name: (name.endswith(path.suffix), name))
        names = {PurePath(name).stem: name for name in files}
        near = names.get(nearest(path.stem, names) or "")
    cure = "paths are relative to the file in which they are written"
    elsewhere = _in_a_folder_beside(path)
    if elsewhere is not None:
        cure = f'did you mean "{elsewhere}"?'
    elif near is not None:
        cure = f'did you mean "{near}"?'
    elif not path.suffix:
        cure = (
            "names of the Hugging Face hub are not read: save the data as a file, or give a "
            "Dataset in Python code"
        )
    elif files:
        visible = sorted(name for name in files if not name.startswith("."))
        more = ", ..." if len(visible) > _FILES_SHOWN else ""
        cure = f"{cure}; that folder has {', '.join(visible[:_FILES_SHOWN])}{more}"
    return UnopenedError("no such file", where=Where(path=shown), cure=cure)
