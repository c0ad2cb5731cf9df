"""What a session owes at its end: the gates that ini ``ftgate_required`` asks for, and those that were removed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.face.gate_files import GateFiles
from pytest_ftgate.obligations import Seen, not_passed, unjudged
from pytest_ftgate.render.text import Line
from pytest_ftgate.result import GateResult


@dataclass(frozen=True)
class Owed:
    """What has to be said of gates that were not judged.

    Attributes:
        unjudged: the obligations that were not met, as ``{"name": ..., "reason": ...}``.
        removed: sentences on gates that are gone since this change began.
        partial: obligations are printed instead of enforced.
        told: reasons that the block of a gate has told already.
    """

    unjudged: Sequence[dict[str, str]] = ()
    removed: Sequence[str] = ()
    partial: bool = False
    told: frozenset[str] = frozenset()

    @property
    def red(self) -> bool:
        return bool(self.unjudged) and not self.partial

    def lines(self) -> Iterator[Line]:
        """As the terminal shows it, below the blocks of the gates."""
        colour = "yellow" if self.partial else "red"
        waived = " (not enforced: --ftgate-partial)" if self.partial else ""
        for one in self.unjudged:
            if one["reason"] in self.told:
                continue
            yield Line(f"required gate {one['name']}: {one['reason']}{waived}", colour)
        yield from (Line(text, "red") for text in self.removed)


def find_owed(config: pytest.Config, files: GateFiles, results: Sequence[GateResult], seen: Seen) -> Owed:
    """Hold what the ini asks for against what this session has judged and seen.

    Where weakening is forbidden, gates that are required and were removed stay an obligation.
    """
    required: list[str] = config.getini("ftgate_required")
    unmet = _unmet(required, files, results, seen)
    owed = required if files.forbids_weakening else []
    ref, gone = _removed(files) if results or owed else ("", [])
    known = {one["name"] for one in unmet}
    since = f"was removed from {shown_path(files.ini_path)} since {ref}"
    for name in gone:
        if name not in known and ("all" in owed or name in owed):
            unmet.append({"name": name, "reason": f"it {since}"})
    return Owed(
        unmet,
        [f"the gate {name} {since}" for name in gone],
        bool(config.getoption("--ftgate-partial")),
        told=frozenset(not_passed(result) for result in results if not result.passed),
    )


def _unmet(
    required: Sequence[str], files: GateFiles, results: Sequence[GateResult], seen: Seen
) -> list[dict[str, str]]:
    """The obligations are those of the ini's gate file, whatever file the command line names."""
    if not required:
        return []
    try:
        in_file = files.ini_file().gate_names
    except FtgateError as error:
        if "all" in required or os.path.exists(files.ini_path):
            return [{"name": name, "reason": str(error).splitlines()[0]} for name in required]
        in_file = ()  # gates may stand in marks alone
    if "all" in required and not in_file:
        return [{"name": "all", "reason": f"{shown_path(files.ini_path)} has no gates"}]
    names = [name for one in required for name in (in_file if one == "all" else (one,))]
    return unjudged(names, results, seen, in_file=in_file)


def _removed(files: GateFiles) -> tuple[str, Sequence[str]]:
    """Where this change began, and the gates that were removed from the ini's gate file since."""
    from pytest_ftgate.revision.review import removed_gates

    past = files.past(files.ini_path)
    if past is None or past.file is None:
        return "", []
    try:
        now = files.ini_file().gate_names if files.ini_path.exists() else ()
    except FtgateError:
        return "", []  # a file that cannot be read is said where a gate needs it
    return past.ref, removed_gates(past, now)
