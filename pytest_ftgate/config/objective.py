"""Which keys belong to which objective, once all places have been merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.config.source import Source
from pytest_ftgate.errors import ConfigError, Where

_OF_MATCH = ("max_drop", "cheaper_by", "faster_by")


def check_objective(read: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
    """Refuse keys that contradict the objective, and ``match`` without what it has to hold.

    Args:
        read: the gate's values by key, ``None`` where nothing gives one.
        sources: where each of them was written.

    Raises:
        ConfigError: the keys do not make one objective.
    """
    if read["objective"] == "beat":
        for key in _OF_MATCH:
            if read[key] is not None:
                raise ConfigError(
                    f"{_shown(key, read, sources)} belongs to objective: match, and this gate is to beat the baseline",
                    where=Where(sources[key].place or None, key=key),
                    cure=f"write objective: match (without a margin), or remove {key}",
                )
        return
    objective = f"objective: match ({sources['objective']})"
    if read["margin"] is not None:
        moved = sources["margin"].kind == "defaults"
        raise ConfigError(
            f"{_shown('margin', read, sources)} contradicts {objective}: nothing has to be gained",
            where=Where(sources["margin"].place or None, key="margin"),
            cure=("move the margin to the gates that have to beat something" if moved else "remove the margin")
            + ", and say with max_drop how much worse the candidate may be: max_drop: 0.02",
        )
    if read["max_drop"] is None:
        raise ConfigError(
            f"{objective} needs max_drop: how much worse the candidate may be",
            where=Where(sources["objective"].place or None, key="max_drop"),
            cure="write max_drop: 0.02 for two points",
        )
    if read["cheaper_by"] is None and read["faster_by"] is None:
        raise ConfigError(
            f"{objective} needs cheaper_by or faster_by: a model that is only as good is not worth a change",
            where=Where(sources["objective"].place or None, key="cheaper_by"),
            cure="write cheaper_by: 5 for a fifth of the cost of a call, faster_by: 2 for half of the time, or both",
        )
    if sources["evidence"].kind != "default" and read["evidence"] != "proven":
        raise ConfigError(
            f"evidence {read['evidence']} ({sources['evidence']}) contradicts {objective}, which is always proven",
            where=Where(sources["evidence"].place or None, key="evidence"),
            cure="remove evidence, or write evidence: proven",
        )


def _shown(key: str, read: Mapping[str, Any], sources: Mapping[str, Source]) -> str:
    return f"{key} {read[key]:g} ({sources[key]})"
