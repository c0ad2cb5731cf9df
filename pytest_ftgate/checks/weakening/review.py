"""Check a gate of the gate file against its version at the merge base, and a test against its gate in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.weakening.comparison import Weakening, weakenings
from pytest_ftgate.checks.weakening.examples import Remark, changed_examples
from pytest_ftgate.checks.weakening.history import FETCH
from pytest_ftgate.checks.weakening.past import Past
from pytest_ftgate.errors import FtgateError, shown_path
from pytest_ftgate.result import Check, Status

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile, GateKeys

_FORBIDS = "ini ftgate_forbid_weakening"
_INTENDED = "Check that this is intended: a weaker gate proves less."
_RESTORE = "Restore it, or merge the change separately, with the approval of someone who may override this gate."


def review_checks(
    past: Past,
    gate: str | None,
    *,
    in_file: Callable[[GateFile], GateKeys],
    now: GateFile | None,
    loosened: Sequence[Weakening] = (),
    forbidden: bool = False,
    owed: bool = False,
) -> tuple[Check, ...]:
    """Return the checks that the gate is not weaker than at the merge base, nor its test weaker than the gate file.

    Args:
        past: the project at the merge base.
        gate: the gate's name in the gate file; None for a gate of a marker, which is not compared.
        in_file: returns the gate as a gate file defines it.
        now: the gate file of today.
        loosened: the keys in which a marker or fixture is weaker than that.
        forbidden: whether a weaker gate fails.
        owed: whether the project requires gates.
    """
    forbidden = forbidden or past.forbade
    found: list[Weakening | Remark] = []
    cure = None
    try:
        if past.problem is not None:
            raise past.problem
        found += past.weaker
        if gate is not None and now is not None:
            found += _changes(past, gate, in_file, now)
    except FtgateError as error:
        if forbidden or owed or not past.absent:
            found.append(Remark("unread", f"the gate could not be compared with its earlier version: {error.headline}"))
            cure = error.cure
    if past.base is not None and past.base.unseen:
        found.append(Remark("unread", past.base.unseen))
        cure = cure or FETCH
    if past.problem is None and (loosened or any(isinstance(one, Weakening) for one in found)):
        cure = None
    return _checks(found, loosened, past.ref, forbidden=forbidden, cure=cure)


def _changes(
    past: Past, gate: str, in_file: Callable[[GateFile], GateKeys], now: GateFile
) -> Iterator[Weakening | Remark]:
    """Yield what is weaker than at the merge base, and what else has changed."""
    if past.file is None or gate not in past.file.gate_names:
        new = Remark("note", f"the gate {gate} does not exist at {past.ref}: nothing to compare")
        yield new if past.untracked is None else Remark("untracked", shown_path(past.untracked))
        return
    before, after = in_file(past.file), in_file(now)
    for one in weakenings(before, after):
        gone = before.place_of(one.key)
        yield replace(one, where=after.place_of(one.key) or (f"{gone} at {past.ref}" if gone else ""))
    if past.base is not None:
        yield from changed_examples(before, after, past.base)


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
    if untracked := texts.get("untracked"):
        verb = "is" if len(untracked) == 1 else "are"
        message = f"{', '.join(untracked)} {verb} not in git at {ref}, so changes cannot be detected"
        advice = "Add it to git, or track it with Git LFS or DVC."
        checks.append(Check("untracked", worse, message, len(untracked), None, source, advice))
    return tuple(checks)
