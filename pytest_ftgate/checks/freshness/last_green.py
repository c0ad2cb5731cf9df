"""The last green verdict of each gate: its time, data, models and scores, stored and read again.

It also knows what the names of models stand for, as far as that can be known, so that today's compare with those.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_ftgate import clock
from pytest_ftgate.errors import StoreError
from pytest_ftgate.text import DAY_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import TypeAdapter

    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.models import Notes
    from pytest_ftgate.runs.runner import Run, Stores

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
        examples: number of test examples that decided.
        metric: the deciding metric with its options.
        models: by role.
        shutdown: the shutdown dates that endpoints listed (ISO 8601), by model name.
        whole: number of examples in the whole test set, of which early stopping needs a part.
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
    whole: int | None = None
    form: Literal[1] = 1

    @property
    def since(self) -> float:
        """Return when its answers were made, as far as known: seconds since the epoch."""
        return self.judged_at if self.measured_at is None else self.measured_at

    def to_text(self) -> str:
        """Return the verdict as the JSON text of a note."""
        plain = asdict(self)
        if self.whole is None:  # without early stopping notes are as they always were
            del plain["whole"]
        return json.dumps(plain, sort_keys=True)

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


def metric_text(config: GateKeys) -> str:
    """Return the deciding metric and its options as text; equal texts mean comparable scores."""
    options = json.dumps(dict(config.decided_by.options), sort_keys=True, default=lambda value: type(value).__name__)
    return f"{config.decided_by.name} {options}"


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


# --- models ------------------------------------------------------------------------------------------------------


def check_name(rule: str, role: str) -> str:
    """Return the name of a check: ``drift_candidate``, ``drift_baseline``, or ``drift_baseline.few_shot``."""
    return f"{rule}_{role}" if role in ("baseline", "candidate") else f"{rule}_baseline.{role}"


def base_in_name(model: str) -> str | None:
    """Return ``gpt-4.1-mini`` for ``ft:gpt-4.1-mini:acme::abc123``; None if the name has no base model."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def today_models(gate: Context) -> dict[str, KeptModel]:
    """Return the models of the gate by role, with their served names and base models as far as known."""
    return {role: _today(gate, role) for role in gate.models}


def _today(gate: Context, role: str) -> KeptModel:
    spec = gate.asked(role)
    model, revision, tuned = served_as(spec), spec.options.get("revision"), gate.tuned.get(role)
    base = tuned.job.base_model if tuned is not None else None
    if model is None:
        return KeptModel(spec.spelling, base_model=base)
    served = f"{model} (revision {revision})" if revision else model
    return KeptModel(spec.spelling, served, base or base_in_name(model))


def served_as(spec: ModelSpec) -> str | None:
    """Return the model's name at an endpoint; None if it has none, or if its checkpoint is not chosen yet."""
    return spec.options.get("model") if spec.provider == "openai" else None


def kept_role(config: GateKeys, role: str) -> str:
    """Return the role under which a model is stored; several candidates have a role each."""
    if role != "candidate" or not config.candidates:
        return role
    return next((f"candidate {name}" for name, spec in config.candidates.items() if spec is config.candidate), role)


def beneath(role: str, model: KeptModel | None) -> str | None:
    """Return the name that must not change: the base model of a candidate, the served model of a baseline."""
    if model is None:
        return None
    return model.base_model if role == "candidate" else model.served_as


def asked_anew(gate: Context, role: str) -> bool:
    """Return whether at least one answer of the model was requested in this run, not stored or recorded."""
    runs = [run for name, run in gate.all_runs() if name == role and run.model.verified is None]
    answers = (one for run in runs for repeat in run.predictions for one in repeat)
    return any(one.completion is not None and not one.stored for one in answers)


def oldest_answer(gate: Context) -> float | None:
    """Return when the oldest answer was made, in seconds since the epoch; None if the time of any is unknown."""
    times = list(answer_times(gate))
    known = [at for at in times if at is not None]
    return min(known) if known and len(known) == len(times) else None


def answer_times(gate: Context) -> Iterator[float | None]:
    """Return when each answer was made, in seconds since the epoch; None where that is unknown."""
    from pytest_ftgate.runs.measure import made_at

    return (at for _, run in gate.all_runs() for _, at in made_at(run))


# --- before and after a gate --------------------------------------------------------------------------------------


def last_green(config: GateKeys, nodeid: str, committed: Mapping[str, str], stores: Stores) -> LastGreen | None:
    """Return the last green verdict, if one is known.

    Raise :class:`StoreError` if the store cannot be read, and ``clock.base_changed`` is ``fail``.
    """
    tomorrow = clock.wall() + DAY_S  # a verdict from a wrong clock or an edited file would stay the newest for ever
    until = tomorrow if stores.newer_than is None else stores.newer_than
    try:
        return read_last(note_name(config, nodeid), committed, stores.notes, older_than=until)
    except StoreError:
        if config.clock.base_changed == "fail":
            raise
        return None


def keep_green(gate: Context) -> dict[str, str]:
    """Store a green verdict; return the note of the last green one, old or new, for recordings."""
    from pytest_ftgate.runs.measure import rightness

    if not gate.runs:
        return {}
    config, last, notes = gate.config, gate.last_green, gate.surroundings.notes
    name = note_name(config, gate.result.nodeid)
    if gate.result.passed:
        models = {}
        for role, today in today_models(gate).items():
            measured = gate.scored[role]
            scored = measured.scores[config.decided_by.name]
            asked, scores = asked_hash(measured.run), pack_scores(rightness(scored))
            models[kept_role(config, role)] = replace(today, asked=asked, value=scored.value, scores=scores)
        before, last = (
            last,
            LastGreen(
                judged_at=gate.now,
                measured_at=oldest_answer(gate),
                test_set=gate.test.sha256,
                examples=len(gate.test),
                whole=gate.n_whole if gate.look is not None else None,
                metric=metric_text(config),
                models=models,
                shutdown=dict(gate.result.clock.shutdown_dates) if gate.result.clock is not None else {},
            ),
        )
        assert notes is not None  # of a gate
        with suppress(StoreError):  # recordings may still carry it
            if before is not None and gate.surroundings.newer_than is not None:  # other tests are compared with it
                notes.put(_BEFORE + name, before.to_text())
            notes.put(name, last.to_text())
    return {} if last is None else {name: last.to_text()}
