"""Check how fresh a verdict is: the age of its answers, and what changed since it last passed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import ClassVar

from pytest_ftgate import errors, plain
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.result import Check, Status, called
from pytest_ftgate.runs import measure, store
from pytest_ftgate.runs.names import HALF
from pytest_ftgate.text import DAY_S, day, excerpt, plural, show_age

PREFIX = "green: "
"""Prefix of the names of notes on green verdicts."""
_ANSWERED_BY = ("baseline", "candidate", "test_set", "training_set", "repeats", "guards")


@dataclass(frozen=True)
class LastGreen:
    """Hold what is remembered of the last green verdict of a gate.

    Attributes:
        judged_at: seconds since the epoch.
        test_set: SHA-256 of its bytes, in hex.
        models: by role, the name that must not change: see :func:`_model_names`.
    """

    __pydantic_config__: ClassVar[object] = {"extra": "forbid"}

    judged_at: float
    test_set: str | None
    examples: int
    models: dict[str, str]


def filed_as(config: GateKeys, nodeid: str) -> str:
    """Return the name under which the facts of a test are stored: that of its gate.

    The node id of a test that changes the gate is added. The name depends on no other test, so that
    xdist workers and partial runs agree on it.
    """
    sources = [config.sources[key].kind for key in _ANSWERED_BY]
    is_changed = "marker" in sources or "fixture" in sources
    return f"{config.name} {nodeid}" if is_changed and config.gate is not None else config.name


def last_green(gate: Context, committed: Mapping[str, str], notes: store.Store) -> LastGreen | None:
    """Return the newest green verdict in recordings and the notes of this machine, if any."""
    name = _note_name(gate)
    texts = [committed.get(name)]
    with suppress(errors.StoreError):
        texts.append(notes.note(name))

    greens = []
    for text in filter(None, texts):
        with suppress(ValueError):
            greens.append(plain.from_plain(LastGreen, parse_json(text)))
    return max(greens, key=lambda green: green.judged_at, default=None)


def _note_name(gate: Context) -> str:
    return f"{PREFIX}{gate.config.stage} {filed_as(gate.config, gate.facts['nodeid'])}"


def keep_green(gate: Context, committed: Mapping[str, str], notes: store.Store) -> dict[str, str]:
    """Store a green verdict; return the note of the last green one, old or new, for recordings."""
    if not gate.runs:
        return {}

    if gate.holds:
        models = _model_names(gate)
        last: LastGreen | None = LastGreen(
            gate.now, test_set=gate.test.sha256, examples=_n_examples(gate), models=models
        )
    else:
        last = last_green(gate, committed, notes)
    if last is None:
        return {}

    name = _note_name(gate)
    text = json.dumps(asdict(last), sort_keys=True)
    with suppress(errors.StoreError):  # recordings may still carry it
        notes.keep_note(name, text)
    return {name: text}


def _n_examples(gate: Context) -> int:
    """Return the number of test examples, with those that may be shown and do not count."""
    return len(gate.test) + (0 if gate.shown is None else len(gate.shown.test))


def _model_names(gate: Context) -> dict[str, str]:
    """Return the known base model of the candidate and served models of the baselines."""
    names = {}
    for role in gate.models:
        spec = gate.asked(role)
        name = spec.served_model
        revision = spec.options.get("revision")

        # a retrained candidate is new by intent: only its base may not change
        if name is not None and role == "candidate":
            name = base_in_name(name)
        elif name is not None and revision:
            name = f"{name} (revision {revision})"
        if name is not None:
            names[role] = name
    return names


def base_in_name(model: str) -> str | None:
    """Return ``gpt-4.1-mini`` for ``ft:gpt-4.1-mini:acme::abc123``; None without base model."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def base_changed(gate: Context, last: LastGreen | None) -> Iterator[Check]:
    """Report base models and a test set that are not those of the last green verdict."""
    if last is None:
        return

    when = f"the last green verdict ({day(last.judged_at)})"
    for role, name in _model_names(gate).items():
        last_name = last.models.get(role)
        if last_name is None or last_name == name:
            continue
        model = called(role)
        if role == "candidate":
            model = f"the base model of {model}"
        message = f"{model} is {excerpt(name)}, but was {excerpt(last_name)} at {when}"
        yield Check("base_changed", "warning", message, observed=name, required=last_name)

    if (last.test_set, last.examples) != (gate.test.sha256, _n_examples(gate)):
        message = f"the test set has changed since {when}"
        yield Check(
            "test_set_changed",
            "warning",
            message,
            observed=gate.test.sha256,
            required=last.test_set,
        )


def until_judged(gate: Context, started: float) -> Iterator[Check]:
    """Warn of answers without a revision that a preview or an unfinished run before this one got.

    ``started`` is when the session began, in seconds since the epoch.
    """
    models = []
    times = []
    for _, run in gate.all_runs():
        if not run.model.until_judged:
            continue
        for answer in run.all_predictions:
            made_at = answer.created_at or 0.0
            if answer.stored and not answer.recorded and made_at < started:
                models.append(run.model.name)
                times.append(made_at)
    if not times:
        return

    names = ", ".join(map(excerpt, dict.fromkeys(models)))
    age = show_age(gate.now - min(times))
    message = f"{plural(len(times), 'answer')} of {names} are from a preview or an unfinished run, "
    message += f"the oldest {age} old"
    cure = "If the model has changed since, ask again with --ftgate-cache=refresh."
    yield Check("models", "warning", message, observed=len(times), cure=cure)


def max_age(gate: Context) -> Iterator[Check]:
    """Check that no answer is older than ``max_age_days``; an unknown age is an error."""
    if gate.config.max_age_days is None or not gate.scored:
        return

    times = []
    undated = []
    for role, run in gate.all_runs():
        if role == HALF.role:  # it decides nothing
            continue
        for _, made_at in measure.made_at(run):
            if made_at is None:
                undated.append(role)
            else:
                times.append(made_at)

    if undated or not times:
        yield _undated(gate, undated)
    # clocks of other machines may differ, but not by a day
    elif max(times) > gate.now + DAY_S:
        message = "the age of the answers is unknown: "
        message += f"one is dated {day(max(times))}, but today is {day(gate.now)}"
        yield _aged(gate, "error", message, cure="Record the answers again.")
    else:
        oldest = min(times)
        days = max(gate.now - oldest, 0.0) / DAY_S
        limit = gate.config.max_age_days
        message = f"the oldest answer is {plural(int(days), 'day')} old ({day(oldest)}; "
        message += f"limit {limit:g} days)"
        if days <= limit:
            yield _aged(gate, "pass", message, round(days, 3))
            return
        cure = "Ask the models again with --ftgate-cache=refresh, or record them again. If the "
        cure += "gate then fails, retrain."
        yield _aged(gate, "fail", message, round(days, 3), cure)


def _undated(gate: Context, undated: Iterable[str]) -> Check:
    """Return the error that the answers of these models and judges have no time."""
    roles = [called(role) if role in gate.models else "the judge" for role in undated]
    message = "the age of the answers is unknown: "
    message += f"those of {', '.join(dict.fromkeys(roles))} have no created_at"
    cure = "Record them with --ftgate-report=recordings:FOLDER, which writes created_at, or ask "
    cure += "the models anew."
    return _aged(gate, "error", message, cure=cure)


def _aged(
    gate: Context,
    status: Status,
    message: str,
    days: float | None = None,
    cure: str | None = None,
) -> Check:
    required = gate.requirement("max_age_days")
    return Check("max_age_days", status, message, observed=days, **required, cure=cure)
