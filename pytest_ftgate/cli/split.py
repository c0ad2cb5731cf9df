"""The command ``split``: make a training set and a test set of one file, or half a training set."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_ftgate.cli.copies import Copy, Source, path_of, read_sources, write_copies
from pytest_ftgate.errors import shown_path
from pytest_ftgate.splitting import half_rows, split_rows
from pytest_ftgate.text import plural


def split_file(
    say: Callable[[str], None], path: Path, columns: Mapping[str, str], wanted: int | None
) -> None:
    """Write a training set and a test set beside a file; ``wanted`` is the number of test rows.

    Raises:
        ConfigError: one of them exists, or cannot be written.
        DataError: the file cannot be read, or its rows cannot be split.
    """
    training_path = path_of(path, "train")
    test_path = path_of(path, "test")
    (source,) = read_sources([path], columns, repeats=True)
    trained, tested = split_rows(source.data, wanted)

    copies = [
        Copy(training_path, source, frozenset(trained)),
        Copy(test_path, source, frozenset(tested)),
    ]
    write_copies(copies)
    _report(say, source, copies)
    n_repeats = len(source.data) - len(trained) - len(tested)
    if n_repeats:
        say(f"left out    {plural(n_repeats, 'repeat')} of test rows")


def halve_file(say: Callable[[str], None], path: Path, columns: Mapping[str, str]) -> None:
    """Write half of a training set beside it. Raise as :func:`split_file` does."""
    half_path = path_of(path, "half")
    (source,) = read_sources([path], columns, repeats=True)
    copies = [Copy(half_path, source, frozenset(half_rows(source.data)))]
    write_copies(copies)
    _report(say, source, copies)


def _report(say: Callable[[str], None], source: Source, copies: list[Copy]) -> None:
    data = source.data
    groups = {group for group in data.groups if group is not None}
    of_groups = f" in {plural(len(groups), 'group')}" if groups else ""
    say(f"{shown_path(source.path):<11} {plural(len(data), 'row')}{of_groups}")
    if data.left_out:
        say(f"{'':<11} {data.told_left_out}")
    for copy in copies:
        say(f"wrote       {shown_path(copy.path)}: {plural(len(copy.kept), 'row')}")
