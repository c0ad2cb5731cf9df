"""Store the last green verdict of each gate: its time, data, models and scores."""

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
"""Prefix of the names of notes on green verdicts."""
_BEFORE = "before "
_ANSWERED_BY = ("baseline", "candidate", "test_set", "training_set", "repeats", "guards")


_STRICT = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
_LATEST = 1e11  # seconds since the epoch


@dataclass(frozen=True)
class KeptModel:
    """A model at a green verdict; attributes are None if unknown.

    Attributes:
        model: the spelling in reports.
        served_as: the name at the endpoint, with the revision if the gate gives one.
        base_model: the model that was fine-tuned.
        asked: hash of the keys of its predictions; equal hashes mean equal requests.
        value: of the deciding metric.
        scores: the score of each answer, packed by :func:`pack_scores`.
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
        measured_at: when its oldest prediction was made, in seconds since the epoch; None: unknown.
        test_set: SHA-256 of the bytes, in hex.
        examples: number of test examples.
        metric: the deciding metric with its options.
        models: by role.
        shutdown: the shutdown dates that endpoints listed (ISO 8601), by model name.
        form: version of this format.
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
        """Return when its answers were made, as far as known: seconds since the epoch."""
        return self.judged_at if self.measured_at is None else self.measured_at

    def to_text(self) -> str:
        """Return the verdict as the JSON text of a note."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> LastGreen | None:
        """Return the verdict in a note; None if the text is not one, or one of another version."""
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
    """Return the name under which the facts of a test are stored: its gate, and its node id if it changes the gate.

    The name depends on no other test, so that xdist workers and partial runs agree on it.
    """
    own = any(config.sources[key].kind in ("marker", "fixture") for key in _ANSWERED_BY)
    return f"{config.name} {nodeid}" if own and config.gate is not None else config.name


def note_name(config: GateKeys, nodeid: str) -> str:
    """Return the name of the note on a gate's last green verdict; each stage has its own."""
    return f"{PREFIX}{config.stage} {filed_as(config, nodeid)}"


def read_last(
    name: str, committed: Mapping[str, str], kept: Notes, *, older_than: float | None = None
) -> LastGreen | None:
    """Return the newest green verdict in committed recordings and the notes of this machine.

    ``older_than`` (seconds since the epoch) leaves out verdicts of other tests of the gate in this session.

    Raise :class:`StoreError` if the notes cannot be read.
    """
    texts = (committed.get(name), kept.get(name), kept.get(_BEFORE + name))
    found = [one for text in texts if text is not None and (one := LastGreen.from_text(text)) is not None]
    found = [one for one in found if older_than is None or one.judged_at < older_than]
    return max(found, key=lambda one: one.judged_at, default=None)


def keep(name: str, green: LastGreen, notes: Notes, *, before: LastGreen | None = None) -> None:
    """Store a green verdict in place of the last one. Errors are ignored: recordings may still carry it.

    ``before`` is the verdict that other tests of the gate are compared with in this session.
    """
    with suppress(StoreError):
        if before is not None:
            notes.put(_BEFORE + name, before.to_text())
        notes.put(name, green.to_text())


def metric_text(config: GateKeys) -> str:
    """Return the deciding metric and its options as text; equal texts mean comparable scores."""
    options = json.dumps(dict(config.metric.options), sort_keys=True, default=lambda value: type(value).__name__)
    return f"{config.metric.name} {options}"


def asked_hash(run: Run) -> str:
    """Return a hash of the keys of all predictions, in order."""
    digest = sha256()
    for predictions in run.predictions:
        for prediction in predictions:
            digest.update(prediction.key.encode())
    return digest.hexdigest()


def pack_scores(scores: NDArray[np.float64]) -> str:
    """Return scores ``(n,)`` as text: one bit each if all are 0 or 1, else float32; deflated, in base 64."""
    import numpy as np

    if np.isin(scores, (0.0, 1.0)).all():
        kind, content = "bits", np.packbits(scores > 0).tobytes()
    else:
        kind, content = "f4", scores.astype("<f4").tobytes()
    return f"{kind}:{base64.b64encode(zlib.compress(content, 9)).decode()}"


def unpack_scores(text: str | None, count: int) -> NDArray[np.float64] | None:
    """Return the ``count`` scores in a text of :func:`pack_scores`; None if it is damaged or has another number."""
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
    """Return scores with the precision of stored ones, so that equal scores compare equal."""
    import numpy as np

    return scores.astype(np.float32).astype(np.float64)
