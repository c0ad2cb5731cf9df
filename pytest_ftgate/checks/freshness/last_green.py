"""The last green verdict of each gate, as notes keep it: when, on what data, of which models, with what scores."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_ftgate.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import TypeAdapter

    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.models import Notes
    from pytest_ftgate.runs.runner import Run

PREFIX = "green: "
"""How the names of notes on green verdicts begin."""
_BEFORE = "before "
_ANSWERED_BY = ("baseline", "candidate", "test_set", "training_set", "repeats", "guards")


_STRICT = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
_LATEST = 1e11  # seconds since the epoch


@dataclass(frozen=True)
class KeptModel:
    """One model as it was at a green verdict. ``None`` where it was not known.

    Attributes:
        model: as reports spell it.
        served_as: its name at the endpoint, with the revision where the gate gives one.
        base_model: what it was fine-tuned from.
        asked: hash of the keys of its predictions: equal ones were asked for in the same way.
        value: of the deciding metric.
        scores: how right each answer was, packed: see :func:`pack_scores`.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    model: str | None
    served_as: str | None = None
    base_model: str | None = None
    asked: str | None = None
    value: float | None = None
    scores: str | None = None


@dataclass(frozen=True)
class LastGreen:
    """A green verdict.

    Attributes:
        judged_at: seconds since the epoch.
        measured_at: when the oldest prediction was made that it rests on; None: unknown.
        test_set: SHA-256 of the bytes.
        examples: how many.
        metric: the deciding one, with its options.
        models: by role.
        shutdown: the dates that endpoints listed, by the models' names.
        form: the version of what is kept.
    """

    __pydantic_config__: ClassVar[Any] = _STRICT

    judged_at: float
    measured_at: float | None
    test_set: str
    examples: int
    metric: str
    models: dict[str, KeptModel]
    shutdown: dict[str, str] = field(default_factory=dict)
    form: Literal[1] = 1

    @property
    def since(self) -> float:
        """Return the time that what is measured today is compared with."""
        return self.judged_at if self.measured_at is None else self.measured_at

    def to_text(self) -> str:
        """Return it for a note."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> LastGreen | None:
        """Return the inverse; None where it is none, one of another version, or a file that was edited."""
        with suppress(ValueError):
            green = _adapter().validate_json(text)
            times = (green.judged_at, green.since)
            return green if all(0 <= at < _LATEST for at in times) else None
        return None


@cache
def _adapter() -> TypeAdapter[LastGreen]:
    from pydantic import TypeAdapter

    return TypeAdapter(LastGreen)


def filed_as(config: GateKeys, nodeid: str) -> str:
    """Return what is kept of a test is filed under: its gate, and itself where it judges others than that in the file.

    That depends on no other test, so that workers of xdist and runs of a part of the tests agree on it.
    """
    own = any(config.sources[key].kind in ("marker", "fixture") for key in _ANSWERED_BY)
    return f"{config.name} {nodeid}" if own and config.gate is not None else config.name


def note_name(config: GateKeys, nodeid: str) -> str:
    """Return under what a gate's last green verdict is kept; one before training is another thing than one after it."""
    return f"{PREFIX}{config.stage} {filed_as(config, nodeid)}"


def read_last(
    name: str, committed: Mapping[str, str], kept: Notes, *, older_than: float | None = None
) -> LastGreen | None:
    """Return the newest that committed recordings and this machine know. Raises :class:`StoreError`.

    Args:
        name: of the note.
        committed: notes out of recordings.
        kept: this machine's.
        older_than: seconds since the epoch; another test of the same gate may have been judged since.
    """
    texts = (committed.get(name), kept.get(name), kept.get(_BEFORE + name))
    found = [one for text in texts if text is not None and (one := LastGreen.from_text(text)) is not None]
    found = [one for one in found if older_than is None or one.judged_at < older_than]
    return max(found, key=lambda one: one.judged_at, default=None)


def keep(name: str, green: LastGreen, notes: Notes, *, before: LastGreen | None = None) -> None:
    """Keep it in place of an older one. Where nothing can be written, the recordings may still carry it.

    Args:
        name: of the note.
        green: the new one.
        notes: where.
        before: what other tests of the same gate are to be compared with in this session.
    """
    with suppress(StoreError):
        if before is not None:
            notes.put(_BEFORE + name, before.to_text())
        notes.put(name, green.to_text())


def metric_text(config: GateKeys) -> str:
    """Return the deciding metric, so that equal texts mean equal scores."""
    options = json.dumps(dict(config.metric.options), sort_keys=True, default=lambda value: type(value).__name__)
    return f"{config.metric.name} {options}"


def asked_hash(run: Run) -> str:
    """Return a hash over the keys of all predictions, in their order."""
    digest = sha256()
    for predictions in run.predictions:
        for prediction in predictions:
            digest.update(prediction.key.encode())
    return digest.hexdigest()


def pack_scores(scores: NDArray[np.float64]) -> str:
    """Return a bit each where all are 0 or 1, else in single precision; deflated, in base 64."""
    import numpy as np

    if np.isin(scores, (0.0, 1.0)).all():
        kind, content = "bits", np.packbits(scores > 0).tobytes()
    else:
        kind, content = "f4", scores.astype("<f4").tobytes()
    return f"{kind}:{base64.b64encode(zlib.compress(content, 9)).decode()}"


def unpack_scores(text: str | None, count: int) -> NDArray[np.float64] | None:
    """Return ``count`` scores; None where the text holds others."""
    import numpy as np

    kind, _, packed = (text or "").partition(":")
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(base64.b64decode(packed, validate=True), 4 * count + 1)
    except (ValueError, binascii.Error, zlib.error):
        return None
    if kind == "bits" and len(content) == -(-count // 8):
        return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(np.float64)
    if kind == "f4" and len(content) == 4 * count:
        scores = np.frombuffer(content, "<f4").astype(np.float64)
        return scores if np.isfinite(scores).all() else None
    return None


def as_kept(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores with the precision of kept ones, so that the same score is the same."""
    import numpy as np

    return scores.astype(np.float32).astype(np.float64)
