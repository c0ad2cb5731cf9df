"""Check how fresh a verdict is: how old its answers are, and what has changed since the gate last passed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import ClassVar

from pytest_ftgate import clock, errors, plain, result
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.models.protocol import Prediction
from pytest_ftgate.runs import jobs, measure, store
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
    """Return the name under which the facts of a test are stored: its gate, and its node id if it changes the gate.

    The name depends on no other test, so that xdist workers and partial runs agree on it.
    """
    own = any(config.sources[key].kind in ("marker", "fixture") for key in _ANSWERED_BY)
    return f"{config.name} {nodeid}" if own and config.gate is not None else config.name


def last_green(gate: Context, committed: Mapping[str, str], notes: store.Store) -> LastGreen | None:
    """Return the newest green verdict in committed recordings and the notes of this machine, if one can be read."""
    name, found = _note_name(gate), list[LastGreen]()
    texts = [committed.get(name)]
    with suppress(errors.StoreError):
        texts.append(notes.note(name))
    for text in filter(None, texts):
        with suppress(ValueError):
            found.append(plain.from_plain(LastGreen, parse_json(text)))
    # a verdict from a wrong clock or an edited file would stay the newest for ever
    tomorrow = clock.wall() + DAY_S
    return max(
        (one for one in found if 0 <= one.judged_at < tomorrow),
        key=lambda one: one.judged_at,
        default=None,
    )


def _note_name(gate: Context) -> str:
    return f"{PREFIX}{gate.config.stage} {filed_as(gate.config, gate.facts['nodeid'])}"


def keep_green(gate: Context, committed: Mapping[str, str], notes: store.Store) -> dict[str, str]:
    """Store a green verdict; return the note of the last green one, old or new, for recordings."""
    name, last = _note_name(gate), last_green(gate, committed, notes) if gate.runs else None
    if gate.runs and gate.holds:
        last = LastGreen(gate.now, gate.test.sha256, _n_examples(gate), _model_names(gate))
    if last is None:
        return {}
    text = json.dumps(asdict(last), sort_keys=True)
    with suppress(errors.StoreError):  # recordings may still carry it
        notes.keep_note(name, text)
    return {name: text}


def _n_examples(gate: Context) -> int:
    """Return the number of test examples, with those that may be shown and do not count."""
    return len(gate.test) + (0 if gate.shown is None else len(gate.shown.test))


def _model_names(gate: Context) -> dict[str, str]:
    """Return the base model of the candidate and the served models of the baselines, by role, as far as known."""
    names = {}
    for role in gate.models:
        spec = gate.asked(role)
        name = spec.served_model
        revision = spec.options.get("revision")

        if name is not None and role == "candidate":
            name = base_in_name(name)
        elif name is not None and revision:
            name = f"{name} (revision {revision})"
        if name is not None:
            names[role] = name
    return names


def base_in_name(model: str) -> str | None:
    """Return ``gpt-4.1-mini`` for ``ft:gpt-4.1-mini:acme::abc123``; None if the name has no base model."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def base_changed(gate: Context, last: LastGreen | None) -> Iterator[result.Check]:
    """Check that the base models are those of the last green verdict, and report a changed test set."""
    if last is None:
        return
    when = day(last.judged_at)
    for role, now in _model_names(gate).items():
        then = last.models.get(role)
        if then is None or then == now:
            continue
        what = (
            f"the base model of {result.called(role)}"
            if role == "candidate"
            else result.called(role)
        )
        message = (
            f"{what} is {excerpt(now)}, but was {excerpt(then)} at the last green verdict ({when})"
        )
        yield result.Check("base_changed", "warning", message, now, then)
    if (last.test_set, last.examples) != (gate.test.sha256, _n_examples(gate)):
        message = f"the test set has changed since the last green verdict ({when})"
        yield result.Check("test_set_changed", "warning", message, gate.test.sha256, last.test_set)


def until_judged(gate: Context, started: float) -> Iterator[result.Check]:
    """Report answers without a revision: those of earlier runs without a verdict, and all that this verdict ends.

    ``started`` is when the session began, in seconds since the epoch.
    """
    runs = [run for _, run in gate.all_runs() if run.model.until_judged]
    answers = [
        (run, one)
        for run in runs
        for one in run.all_predictions
        if one.completion and not one.recorded
    ]
    earlier = [
        (run, one) for run, one in answers if one.stored and (one.created_at or 0.0) < started
    ]
    if earlier:
        age = show_age(max(0.0, gate.now - min(one.created_at or 0.0 for _, one in earlier)))
        message = f"{_counted(earlier)} are from a run that did not finish, the oldest {age} old"
        advice = "If the model has changed since, ask again with --ftgate-cache=refresh."
        yield result.Check("models", "warning", message, len(earlier), advice=advice)
    if answers and gate.verdict != "error":
        message = f"for this session only: {_counted(answers)}; a revision would keep them"
        advice = "Set revision on the model: a name for its weights, changed with them. Later sessions then ask only "
        yield result.Check("models", "note", message, len(answers), advice=f"{advice}what is new.")


def _counted(answers: Sequence[tuple[jobs.Run, Prediction]]) -> str:
    names = dict.fromkeys(excerpt(run.model.name) for run, _ in answers)
    return f"{plural(len(answers), 'answer')} of {', '.join(names)}"


def max_age(gate: Context) -> Iterator[result.Check]:
    """Check that no answer is older than ``max_age_days``; an unknown age is an error."""
    if gate.config.max_age_days is None or not gate.scored:
        return
    made = [(role, at) for role, run in gate.all_runs() for _, at in measure.made_at(run)]
    times, undated = (
        [at for _, at in made if at is not None],
        {role for role, at in made if at is None},
    )
    now, required, unknown = (
        gate.now,
        gate.requirement("max_age_days"),
        "the age of the answers is unknown: ",
    )
    if undated or not times:
        models = [result.called(role) for role in gate.models if role in undated]
        roles = ", ".join(
            [*models, *(["the judge"] if undated.intersection(gate.judge_runs) else [])]
        )
        advice = "Record them with --ftgate-report=recordings:FOLDER, which writes created_at, or ask the models anew."
        message = f"{unknown}those of {roles} have no created_at"
        yield result.Check("max_age_days", "error", message, **required, advice=advice)
    elif max(times) > now + DAY_S:
        message = f"{unknown}one is dated {day(max(times))}, but today is {day(now)}"
        yield result.Check(
            "max_age_days", "error", message, **required, advice="Record the answers again."
        )
    else:
        age, most = max(now - min(times), 0.0) / DAY_S, required["required"]
        message = f"the oldest answer is {plural(int(age), 'day')} old ({day(min(times))}; limit {most:g} days)"
        if age > most:
            advice = "Ask the models again with --ftgate-cache=refresh, or record them again. If the gate then fails, "
            required |= {"advice": f"{advice}retrain."}
        yield result.Check(
            "max_age_days", "pass" if age <= most else "fail", message, round(age, 3), **required
        )
