"""Read the lines of a UTF-8 file, decoding and hashing them."""

import gc
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.text import listed, nearest

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SAVE_AS_UTF8 = "save the file as UTF-8"

# First bytes of files that are not UTF-8 text. UTF-32 first: its mark begins with that of UTF-16.
_OTHER_BEGINNINGS = (
    (b"\xff\xfe\0\0", "the file is UTF-32", _SAVE_AS_UTF8),
    (b"\0\0\xfe\xff", "the file is UTF-32", _SAVE_AS_UTF8),
    (b"\xff\xfe", "the file is UTF-16", _SAVE_AS_UTF8),
    (b"\xfe\xff", "the file is UTF-16", _SAVE_AS_UTF8),
    (b"\x1f\x8b", "the file is compressed with gzip", "add .gz to its name"),
    (b"PK\x03\x04", "the file is a ZIP archive, perhaps a spreadsheet", "save the data as CSV or JSONL"),
)

GZIP = ".gz"
_CHUNK = 1 << 18


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in lower case, of a compressed one that before ``.gz``: ``.jsonl``."""
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


class _Hashed(io.RawIOBase):
    """Read a file and hash what is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        self.digest.update(content)
        buffer[: len(content)] = content
        return len(content)


class Lines:
    """Iterate over the lines of a file, each with its line feed; ``number`` (from 1) and ``text`` are of the last one.

    Only a line feed ends a line: other Unicode line separators may occur within a JSON string.
    """

    def __init__(self, file: BinaryIO, path: str, *, packed: bool = False) -> None:
        self.path = path
        self.number = 0
        self.text = ""
        self._stored = _Hashed(file)
        raw: Any = gzip.GzipFile(fileobj=self._stored) if packed else self._stored
        self._file = io.BufferedReader(raw, _CHUNK)
        self._offset = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        raw = self._file.readline()
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            self._check_beginning(raw)
        if b"\0" in raw:
            raise self._error(f"NUL byte at byte {self._offset + raw.index(0)}", cure="save the file as text")
        try:
            self.text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._not_utf8(raw, error) from None
        self._offset += len(raw)
        if self.number == 1:
            self.text = self.text.removeprefix("\ufeff")
        return self.text

    def sha256(self) -> str:
        """Return the hex digest of the whole file, as it is stored, reading what is left of it."""
        while self._stored.read(_CHUNK):
            pass
        return self._stored.digest.hexdigest()

    def rest(self) -> bytes:
        """Return the bytes behind the lines that were read."""
        return self._file.read()

    def _check_beginning(self, raw: bytes) -> None:
        for beginning, what, cure in _OTHER_BEGINNINGS:
            if raw.startswith(beginning):
                raise self._error(what, cure=cure)
        if b"\0" in raw.removeprefix(_BYTE_ORDER_MARK)[:4]:
            raise self._error("the file looks like UTF-16: every other byte is NUL", cure=_SAVE_AS_UTF8)

    def _not_utf8(self, raw: bytes, error: UnicodeDecodeError) -> DataError:
        if error.reason == "unexpected end of data":  # no line feed follows
            return self._error("the last line is cut off within a character", cure="write the file again")
        around = raw[max(0, error.start - 20) : error.end + 20]
        return self._error(
            f"invalid UTF-8 at byte {self._offset + error.start}",
            evidence=f"found: {around!r}",
            cure=f"{_SAVE_AS_UTF8}; it may be Windows-1252 or Latin-1 now",
        )

    def _error(self, what: str, *, cure: str, evidence: str | None = None) -> DataError:
        return DataError(what, where=Where(path=self.path, line=self.number), evidence=evidence, cure=cure)


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """Open a file for reading line by line; if it does not exist, the error suggests a similar name."""
    shown = shown_path(path)
    with _opened(path, shown) as file, _without_collections():
        try:
            yield Lines(file, shown, packed=path.suffix.lower() == GZIP)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            cure = "compress the file again" if path.suffix.lower() == GZIP else None
            raise DataError(f"cannot be decompressed: {error}", where=Where(path=shown), cure=cure) from error
        except OSError as error:
            raise _unreadable(shown, error) from error


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the search for garbage, of which reading makes none: it would visit all rows again and again."""
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


def is_endless(path: Path) -> bool:
    """Return whether reading may block or never end: the path is a device or a named pipe."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _opened(path: Path, shown: str) -> BinaryIO:
    try:
        if path.is_dir():
            cure = f"use a file in it: {listed(_file_names(path), at_most=5)}"
            raise UnopenedError("is a folder, not a file", where=Where(path=shown), cure=cure)
        if is_endless(path):
            raise UnopenedError("is a device or a pipe, not a file", where=Where(path=shown))
        return path.open("rb")
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL character
        raise _unreadable(shown, error) from error


def _unreadable(shown: str, error: Exception) -> UnopenedError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UnopenedError(f"cannot be read: {reason}", where=Where(path=shown))


def missing(path: Path) -> UnopenedError:
    """Return the error that a file does not exist, with what was probably meant."""
    shown, evidence, folder = shown_path(path), None, path.parent
    near = nearest(path.name, _file_names(folder)) if folder.is_dir() else None
    cure: str | None = "paths are relative to the file in which they are written"
    if url := re.search(r"(?:^|/)(\w[\w+.-]+:)/", shown):
        cure = f"{url[1]}// is not read: download the data, and write the path of the file"
    elif near:
        cure = f'did you mean "{near}"?'
    elif not path.suffix:
        cure = "names of the Hugging Face hub are not read: save the data as a file, or give a Dataset in Python code"
    elif not folder.is_dir():
        evidence, cure = f"the folder {shown_path(folder)} does not exist either", None
    return UnopenedError("no such file", where=Where(path=shown), evidence=evidence, cure=cure)


def _file_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
