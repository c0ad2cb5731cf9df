"""Read the last green verdict of a gate before models are called, and replace it after a green one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate import clock
from pytest_ftgate.checks.freshness.last_green import (
    LastGreen,
    asked_hash,
    keep,
    metric_text,
    note_name,
    pack_scores,
    read_last,
)
from pytest_ftgate.checks.freshness.max_age import oldest_answer
from pytest_ftgate.checks.freshness.models import kept_role, today_models
from pytest_ftgate.errors import StoreError
from pytest_ftgate.text import DAY_S

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.runs.runner import Stores


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
            scored = measured.scores[config.metric.name]
            asked, scores = asked_hash(measured.run), pack_scores(rightness(scored))
            models[kept_role(config, role)] = replace(today, asked=asked, value=scored.value, scores=scores)
        before, last = (
            last,
            LastGreen(
                judged_at=gate.now,
                measured_at=oldest_answer(gate),
                test_set=gate.test.sha256,
                examples=len(gate.test),
                metric=metric_text(config),
                models=models,
                shutdown=dict(gate.result.clock.shutdown_dates) if gate.result.clock is not None else {},
            ),
        )
        assert notes is not None  # of a gate
        keep(name, last, notes, before=None if gate.surroundings.newer_than is None else before)
    return {} if last is None else {name: last.to_text()}
