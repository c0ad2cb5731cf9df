"""A policy that several repositories share: defaults of a file, which a gate may only tighten."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pytest_ftgate.config.baselines import BaselineKeys
from pytest_ftgate.config.checks import LEVELS
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import Keys, comparable
from pytest_ftgate.config.problems import Reading, read_keys
from pytest_ftgate.config.source import Layer, Source
from pytest_ftgate.config.yaml_nodes import Node
from pytest_ftgate.errors import ConfigError, Where, combined
from pytest_ftgate.text import KeyPath, cut, dotted, plain_number

Loosened = tuple[str, Any, Any]
"""A key, the value that the policy asks for, and that of the gate."""


class PolicyKeys(Keys):
    """A policy file."""

    version: Literal[1] = Field(description="The version of this format.")
    defaults: GateKeys = Field(description="Keys of all gates that extend the policy.")


@dataclass(frozen=True)
class Policy:
    """What a policy file asks of every gate, and the layer that gives its values to gates without their own."""

    keys: GateKeys
    layer: Layer

    def check(self, gate: GateKeys) -> None:
        """Raise :class:`ConfigError` with all keys in which a gate requires less."""
        found = [*_looser(self.keys, gate), *_checks(self.keys, gate), *_baselines(self.keys, gate)]
        problems = []
        for key, asked, given in found:
            there = self.keys.place_of(key) or self.keys.place_of(key.rpartition(".")[2])
            what = f"{_shown(given)} requires less than the policy, {_shown(asked)} ({there})"
            cure = "Remove the key, so that the policy's value applies, or write one that is at least as strict."
            place = gate.place_of(key) or gate.place_of(key.rpartition(".")[0])
            problems.append(ConfigError(what, where=Where(place or None, key=key), cure=cure))
        if problems:
            raise combined(problems)


def find_policy(written: str, folder: Path, where: Where) -> Path:
    """Return the path of ``PATH`` or ``PACKAGE:FILE``; a path is relative to the ``folder`` of the gate file."""
    package, colon, name = written.partition(":")
    if not colon or len(package) == 1:  # a drive
        return Path(os.path.abspath(folder / written))
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        cure = "Install the package of the policy, or write the path of a file."
        raise ConfigError(f"there is no installed package {cut(package)}", where=where, cure=cure)
    return Path(os.path.abspath(Path(next(iter(spec.submodule_search_locations))) / name))


def policy_of(path: Path, shown: str, root: Node) -> Policy:
    """Return the policy in a file that was read as YAML. Raise all its problems as one :class:`ConfigError`."""

    def at(*below: str | int) -> Source:
        return Source("defaults", f"{shown}:{root.line_of(('defaults', *below))}", path.parent)

    def place(below: KeyPath, text: str) -> tuple[Where, str]:
        return Where(shown, root.line_of(below), dotted(below) or None), text

    keys = read_keys(PolicyKeys, root.value, reading=Reading(), place=place).defaults
    return Policy(keys.placed(at), Layer(root.value["defaults"], lambda below: at(*below)))


def _looser(before: Keys, after: Any, prefix: str = "") -> Iterator[Loosened]:
    """Yield the written keys of a mapping with a direction, in which another one requires less."""
    directions = comparable(type(before))
    for name, old in before.written().items():
        new, key = getattr(after, name, None), f"{prefix}{name}"
        if name in directions:
            if directions[name].asks_less(old, new):
                yield key, old, new
        elif name == "fields" and prefix:  # of slices
            yield from [] if set(old) <= set(new or ()) else [(key, old, new)]
        elif name in ("thresholds", "guards"):
            for part, inner in old.items():
                yield from _looser(inner, (new or {}).get(part), f"{key}.{part}.")
        elif name in ("slices", "economics"):
            yield from _looser(old, new, f"{key}.")


def _checks(policy: GateKeys, gate: GateKeys) -> Iterator[Loosened]:
    for name, level in (policy.checks if "checks" in policy.model_fields_set else {}).items():
        if LEVELS.index(gate.level(name)) < LEVELS.index(level):
            yield f"checks.{name}", level, gate.level(name)


def _baselines(policy: GateKeys, gate: GateKeys) -> Iterator[Loosened]:
    """Yield the standards of single baselines that are lower than the policy's."""
    for role, one in gate.standards.items():
        for name, weaker in comparable(BaselineKeys).items():
            old, new = getattr(policy, name), getattr(one, name)
            if None not in (old, new) and weaker.asks_less(old, new):
                yield f"baselines.{role}.{name}", old, new


def _shown(value: Any) -> str:
    return plain_number(value) if isinstance(value, int | float) else "none" if value is None else cut(str(value))
