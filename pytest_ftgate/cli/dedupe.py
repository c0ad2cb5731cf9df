"""The command ``dedupe``: copy a test set or a training set without what the other one holds."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_ftgate.cli.copies import Copy, path_of, read_sources, write_copies
from pytest_ftgate.errors import shown_path
from pytest_ftgate.splitting import Side, shared_rows
from pytest_ftgate.text import plural


def dedupe_file(
    say: Callable[[str], None],
    test_path: Path,
    training_path: Path,
    side: Side,
    columns: Mapping[str, str],
) -> None:
    """Write a copy of one of two files beside it; none where there is nothing to remove.

    Raises:
        ConfigError: the copy exists, or cannot be written.
        DataError: a file cannot be read, or no row would remain.
    """
    original = test_path if side == "test" else training_path
    path = path_of(original, "deduped")
    test, training = read_sources([test_path, training_path], columns, repeats=True)
    removed = shared_rows(test.data, training.data, side)
    if not removed:
        say(f"{shown_path(original)} shares and repeats nothing, so no copy was written")
        return

    source = test if side == "test" else training
    kept = frozenset(range(len(source.data))) - removed
    write_copies([Copy(path, source, kept, has_others=True)])
    say(f"removed     {plural(len(removed), 'row')} of {shown_path(original)}")
    say(f"wrote       {shown_path(path)}: the other {len(kept):,}")
    key = "test_set" if side == "test" else "training_set"
    step = f"write {key}: {shown_path(path)} into the gate"
    if side == "training":
        step += ", and train on it again"
    say(f"next        {step}")
