"""Check a gate, and everything that it reads, against its version at the merge base."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.checks.weakening.comparison import Weakening, other_prices, shared_confidence, weakenings
from pytest_ftgate.checks.weakening.contents import Remark, changed_code, changed_files, changed_recordings
from pytest_ftgate.checks.weakening.history import FETCH
from pytest_ftgate.checks.weakening.past import Past
from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.result import Check, Status

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys

_FILES_SHOWN = 5
_FORBIDS = "ini ftgate_forbid_weakening"
_LITERAL = "Write the values in the marker or the gate file, so that they can be compared."
_INTENDED = "Check that this is intended: a weaker gate proves less."
_RESTORE = "Restore it, or merge the change separately, with the approval of someone who may override this gate."


def review_checks(
    past: Past,
    gate: str,
    *,
    earlier: Callable[[Past], tuple[Sequence[GateKeys], Collection[str]]],
    after: GateKeys,
    loosened: Sequence[Weakening] = (),
    code: Sequence[tuple[str, Path]] = (),
    forbidden: bool = False,
    owed: bool = False,
) -> tuple[Check, ...]:
    """Return the checks that the gate is not weaker than at the merge base, nor than the gate file; none if all is
    as it was.

    Args:
        past: the project at the merge base.
        gate: the gate's name.
        earlier: returns the gate as it was judged then, several where it is not known which test became this one and
            none for a new gate; and the parts that could not be read, such as markers without literal values.
        after: the gate that is judged.
        loosened: the keys in which a marker or fixture is weaker than the gate file of today.
        code: the files of fixtures and hooks, by their names.
        forbidden: whether a weaker gate fails.
        owed: whether the project requires gates.
    """
    forbidden = forbidden or past.forbade
    found: list[Weakening | Remark] = []
    cure = None
    if past.problem is not None:
        if forbidden or owed or not past.absent:
            found.append(_unread(past.problem))
            cure = past.problem.cure
        return _checks(found, loosened, past.ref, forbidden=forbidden, cure=cure)
    try:
        gates, unread = earlier(past)
        found += [Remark("unread", f"could not be compared with {past.ref}: {text}") for text in unread]
        cure = _LITERAL if unread else None
        if not gates and not unread:
            apart = past.untracked if after.gate is not None else None
            new = Remark("note", f"the gate {gate} does not exist at {past.ref}: nothing to compare")
            found.append(new if apart is None else Remark("untracked", shown_path(apart)))
        for one in _changes(gates, after, code, past):
            found.append(one)
    except FtgateError as error:
        found.append(_unread(error))
        cure = error.cure
    if past.base is not None and past.base.unseen:
        found.append(Remark("unread", past.base.unseen))
        cure = cure or FETCH
    below = [one for one in loosened if one not in found]
    is_weaker = below or any(isinstance(one, Weakening) for one in found)
    return _checks(found, below, past.ref, forbidden=forbidden, cure=None if is_weaker else cure)


def _changes(
    gates: Sequence[GateKeys], after: GateKeys, code: Iterable[tuple[str, Path]], past: Past
) -> Iterator[Weakening | Remark]:
    """Yield what is weaker than at the merge base, and what else has changed."""
    if past.base is None or not gates:
        return
    for old in gates:
        for one in weakenings(old, after):
            gone = old.place_of(one.key)
            yield replace(one, where=after.place_of(one.key) or (f"{gone} at {past.ref}" if gone else ""))
        yield from (Remark("note", text) for text in shared_confidence(old, after))
        yield from (Remark("changed", text) for text in other_prices(old, after))
        yield from changed_files(old, after, past.base)
    yield from past.weaker
    yield from changed_code(after, code, past.base)
    if past.recordings is not None:
        yield from changed_recordings(*past.recordings, past.base)


def _unread(error: FtgateError) -> Remark:
    return Remark("unread", f"the gate could not be compared with its earlier version: {error.headline}")


def _told(several: Iterable[Weakening | Remark]) -> str:
    return "; ".join(f"{one} ({one.where})" if one.where else f"{one}" for one in several if isinstance(one, Weakening))


def _checks(
    found: Iterable[Weakening | Remark], below: Sequence[Weakening], ref: str, *, forbidden: bool, cure: str | None
) -> tuple[Check, ...]:
    """Return the checks of all findings; ``below`` are those against the gate file of today."""
    found = list(dict.fromkeys(found))
    texts: dict[str, list[str]] = {}
    for one in found:
        if isinstance(one, Remark):
            texts.setdefault(one.kind, []).append(one.text)
    worse: Status = "fail" if forbidden else "warning"
    source = _FORBIDS if forbidden else None
    checks = []
    weaker, loosened = _told(found), _told(below)
    bad = [f"this change weakens the gate compared with {ref}: {weaker}"] if weaker else []
    bad += [f"the marker or fixture requires less than the gate file: {loosened}"] if loosened else []
    bad += texts.get("unread", [])
    message = "; ".join([*bad, *texts.get("note", [])])
    if bad:
        count = len(below) + sum(isinstance(one, Weakening) for one in found)
        advice = cure or (_RESTORE if forbidden else _INTENDED)
        checks.append(Check("weakened", worse, message, count or None, 0 if count else None, source, advice))
    elif message:
        checks.append(Check("weakened", "note", message))
    changed = [*texts.get("suspect", []), *texts.get("changed", [])]
    if changed:
        more = [f"and {len(changed) - _FILES_SHOWN} more"] if len(changed) > _FILES_SHOWN else []
        message = f"this gate depends on what has changed since {ref}: {'; '.join([*changed[:_FILES_SHOWN], *more])}"
        advice = "Review these changes: their effect on the gate cannot be compared."
        status, cause = (worse, source) if "suspect" in texts else ("warning", None)
        checks.append(Check("changed", status, message, len(changed), None, cause, advice))
    if untracked := texts.get("untracked"):
        verb = "is" if len(untracked) == 1 else "are"
        message = f"{', '.join(untracked)} {verb} not in git at {ref}, so changes cannot be detected"
        advice = "Add it to git, or track it with Git LFS or DVC."
        checks.append(Check("untracked", worse, message, len(untracked), None, source, advice))
    return tuple(checks)
