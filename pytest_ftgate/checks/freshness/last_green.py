"""The last green verdict of each gate, as notes keep it: when, on what data, of which models, with what scores."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING

from pytest_ftgate.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.models import Notes
    from pytest_ftgate.runs.runner import Run

PREFIX = "green: "
"""How the names of notes on green verdicts begin."""
_BEFORE = "before "
_FORM = 1
_ANSWERED_BY = ("baseline", "candidate", "test_set", "training_set", "repeats", "guards")


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

    model: str | None
    served_as: str | None = None
    base_model: str | None = None
    asked: str | None = None
    value: float | None = None
    scores: str | None = None

    def is_sound(self) -> bool:
        """Whether everything is of its type."""
        texts = (self.model, self.served_as, self.base_model, self.asked, self.scores)
        number = 0.0 if self.value is None else self.value
        return (
            all(text is None or isinstance(text, str) for text in texts)
            and isinstance(number, int | float)
            and isfinite(number)
        )


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
    """

    judged_at: float
    measured_at: float | None
    test_set: str
    examples: int
    metric: str
    models: Mapping[str, KeptModel]
    shutdown: Mapping[str, str] = field(default_factory=dict)

    @property
    def since(self) -> float:
        """The time that what is measured today is compared with."""
        return self.judged_at if self.measured_at is None else self.measured_at

    def to_text(self) -> str:
        """For a note."""
        return json.dumps({"form": _FORM, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> LastGreen | None:
        """The inverse; None where it is none, or one of another version."""
        with suppress(ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
            facts = json.loads(text)
            if facts.pop("form") != _FORM:
                return None
            models = {role: KeptModel(**one) for role, one in facts.pop("models").items()}
            found = cls(models=models, **facts)
            return found if found._is_sound() else None
        return None

    def _is_sound(self) -> bool:
        """Whether everything is of its type: the file that it came from may have been edited."""
        texts = [self.test_set, self.metric, *self.models, *self.shutdown, *self.shutdown.values()]
        times = [self.judged_at, *([] if self.measured_at is None else [self.measured_at])]
        return (
            all(isinstance(text, str) for text in texts)
            and isinstance(self.examples, int)
            and all(isinstance(at, int | float) and 0 <= at < 1e11 for at in times)
            and all(model.is_sound() for model in self.models.values())
        )


def filed_as(config: GateKeys, nodeid: str) -> str:
    """What is kept of a test is filed under its gate, and itself where it judges others than the gate in the file.

    It depends on no other test, so that workers of xdist and runs of a part of the tests agree on it.
    """
    own = any(config.sources[key].kind in ("marker", "fixture") for key in _ANSWERED_BY)
    return f"{config.name} {nodeid}" if own and config.gate is not None else config.name


def note_name(config: GateKeys, nodeid: str) -> str:
    """Under what a gate's last green verdict is kept; one before training is another thing than one after it."""
    return f"{PREFIX}{config.stage} {filed_as(config, nodeid)}"


def read_last(
    name: str, committed: Mapping[str, str], kept: Notes, *, older_than: float | None = None
) -> LastGreen | None:
    """The newest that committed recordings and this machine know. Raises :class:`StoreError`.

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
    """In place of an older one. Where nothing can be written, the recordings may still carry it.

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
    """The deciding metric, so that equal texts mean equal scores."""
    options = json.dumps(dict(config.metric.options), sort_keys=True, default=lambda value: type(value).__name__)
    return f"{config.metric.name} {options}"


def asked_hash(run: Run) -> str:
    """Over the keys of all predictions, in their order."""
    digest = sha256()
    for predictions in run.predictions:
        for prediction in predictions:
            digest.update(prediction.key.encode())
    return digest.hexdigest()


def pack_scores(scores: NDArray[np.float64]) -> str:
    """A bit each where all are 0 or 1, else in single precision; deflated, in base 64."""
    import numpy as np

    if np.isin(scores, (0.0, 1.0)).all():
        kind, content = "bits", np.packbits(scores > 0).tobytes()
    else:
        kind, content = "f4", scores.astype("<f4").tobytes()
    return f"{kind}:{base64.b64encode(zlib.compress(content, 9)).decode()}"


def unpack_scores(text: str | None, count: int) -> NDArray[np.float64] | None:
    """``count`` scores; None where the text holds others."""
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
    """With the precision of kept ones, so that the same score is the same."""
    import numpy as np

    return scores.astype(np.float32).astype(np.float64)
