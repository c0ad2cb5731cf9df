"""Tell the models of a gate apart by name, where nobody has named them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_ftgate.config import GateKeys, ModelSpec
from pytest_ftgate.models import Model


def with_clear_names(config: GateKeys, models: Mapping[str, Model]) -> GateKeys:
    """Return the gate's keys with models whose short names say more.

    Models with the same short name get the folders in which they differ, and recorded answers the
    model that made them. A name that somebody wrote stays as it is.
    """
    named = dict(config.asked)
    for role, name in _names_with_folders(config.asked).items():
        made_by = models[role].made_by
        if made_by is not None:
            name = f"{name} ({made_by})"
        named[role] = replace(named[role], name=name)

    candidate = named.pop("candidate", config.candidate)
    baselines = {}
    for role, baseline in config.baselines.items():
        baselines[role] = named.get(role, baseline)
    return config.model_copy(update={"candidate": candidate, "baselines": baselines})


def _names_with_folders(specs: Mapping[str, ModelSpec]) -> dict[str, str]:
    """Return the names of models that nobody has named, with as many folders as tell them apart."""
    places = {}
    for role, spec in specs.items():
        place = spec.spelling.partition(":")[2]
        if spec.name == spec.kind.short_name(place):
            places[role] = place

    names = {}
    for role, place in places.items():
        name = specs[role].name
        others = set()
        for other_role, other_place in places.items():
            if specs[other_role].name == name and other_place != place:
                others.add(other_place)
        names[role] = _distinct_end(place, others) if others else name
    return names


def _distinct_end(place: str, others: Iterable[str]) -> str:
    """Return the shortest end of a path, in whole folders, that no other path has."""
    parts = place.split("/")
    for first in range(len(parts) - 2, 0, -1):
        end = "/".join(parts[first:])
        if not any(f"/{other}".endswith(f"/{end}") for other in others):
            return end
    return place
