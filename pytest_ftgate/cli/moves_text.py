"""A comparison as lines of plain text, no wider than a CI log shows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pytest_ftgate.cli.compare import GateMoves, Move, moved_versions
from pytest_ftgate.cli.report_file import ReportFile
from pytest_ftgate.text import plural, printable

WIDTH = 80
_MARK_WIDTH = 10
_NAMES_SHOWN = 10
_NAME_WIDTH = 60


def comparison_lines(before: ReportFile, after: ReportFile, found: Sequence[GateMoves]) -> Iterator[str]:
    """The two reports, each gate with what moved, and the outcome."""
    yield from _wrapped(_report("before", before))
    yield from _wrapped(_report("after", after))
    versions = moved_versions(before.environment, after.environment)
    if versions:
        yield from _wrapped(f"versions: {', '.join(versions)}")
    for gate in found:
        yield ""
        yield from _wrapped(f"{printable(gate.name, _NAME_WIDTH)}: {_heading(gate)}".rstrip().removesuffix(":"))
        for move in gate.moves:
            yield from _move(move)
    yield ""
    yield from _wrapped(_outcome(found))


def _report(label: str, report: ReportFile) -> str:
    partial = ", partial: its obligations were not enforced" if report.partial else ""
    return f"{label + ':':<8}{report.path} ({plural(len(report.gates), 'gate')}{partial})"


def _heading(gate: GateMoves) -> str:
    if gate.moves:
        return "WORSE" if gate.worse else ""
    return "nothing moved" if gate.verdict in ("", "pass") else f"nothing moved, {gate.verdict} as before"


def _move(move: Move) -> list[str]:
    indent = " " * (2 + _MARK_WIDTH)
    return _wrapped(f"{move.what}: {move.said}", f"  {move.mark:<{_MARK_WIDTH}}", indent)


def _outcome(found: Sequence[GateMoves]) -> str:
    worse = [printable(gate.name, _NAME_WIDTH) for gate in found if gate.worse]
    if not worse:
        return f"no gate got worse ({plural(len(found), 'gate')} compared)"
    names = ", ".join(worse[:_NAMES_SHOWN]) + (", ..." if len(worse) > _NAMES_SHOWN else "")
    return f"{len(worse):,} of {plural(len(found), 'gate')} got worse: {names}"


def _wrapped(text: str, first: str = "", then: str = "  ") -> list[str]:
    lines = textwrap.wrap(printable(text), WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
    return [printable(line.rstrip()) for line in lines]  # no line of them begins with a command either
