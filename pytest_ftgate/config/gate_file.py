"""The gate file, ``ftgate.yaml``: read once and validated as a whole."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import Keys, Named, Text, comparable, optional
from pytest_ftgate.config.models import BaselineKeys, ModelDefinition, ModelSpec
from pytest_ftgate.config.problems import MISSING, Reading, read_keys, refusals
from pytest_ftgate.config.requirements import LEVELS, EconomicsKeys, SliceKeys
from pytest_ftgate.config.source import Layer, Source
from pytest_ftgate.config.yaml_nodes import Node, YamlError, compose
from pytest_ftgate.data.lines import is_endless
from pytest_ftgate.errors import ConfigError, Where, combined, shown_path
from pytest_ftgate.text import KeyPath, cut, dotted, got, plain_number, quoted, suggestion

_Kind = Literal["file", "defaults"]

DEEPEST = 50  # maximum nesting: far more than any gate needs, and far below Python's recursion limit


def _without_colon(values: dict[str, Any]) -> dict[str, Any]:
    with_colon = [name for name in values if ":" in name]
    if with_colon:
        text = "a model's name must not contain a colon, which separates provider and model, as in openai:NAME"
        raise refusals(((name,), text) for name in with_colon)
    return values


class DefaultKeys(GateKeys):
    """The keys of a gate, as defaults of all gates of the file, and a policy."""

    extends: Text = optional(
        "A policy that gates may only tighten: the path of a file, or PACKAGE:FILE of an installed package. It holds "
        "version and defaults."
    )


class FileKeys(Keys):
    """Gates for fine-tuned models, and the models that they compare."""

    version: Literal[1] = Field(description="The version of this format.")
    defaults: DefaultKeys = optional("Default values of gate keys, for all gates of the file.")
    models: Annotated[dict[str, ModelDefinition], Named, AfterValidator(_without_colon)] = optional(
        "Models by name, which can be used wherever a model is expected."
    )
    gates: Annotated[dict[str, GateKeys], Named] = optional("Gates by name.")


# --- a policy that several repositories share, which a gate may only tighten -----------------------------------------

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
        others = [*_others(self.keys, gate)]
        problems = []
        for key, asked, given in (*found, *others):
            there = self.keys.place_of(key) or self.keys.place_of(key.rpartition(".")[2])
            other = (key, asked, given) in others
            differs = "differs from" if other else "requires less than"
            what = f"{_shown(given)} {differs} the policy, {_shown(asked)} ({there})"
            cure = "Remove the key, so that the policy's value applies"
            cure += "." if other else ", or write one that is at least as strict."
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
        elif name == "fields" and prefix:  # of which each part of the test set has one value
            yield from [] if set(old) <= set(new or ()) else [(key, old, new)]
        elif name in ("thresholds", "guards"):
            for part, inner in old.items():
                yield from _looser(inner, (new or {}).get(part), f"{key}.{part}.")
        elif isinstance(old, SliceKeys | EconomicsKeys):
            yield from _looser(old, new, f"{key}.")


def _checks(policy: GateKeys, gate: GateKeys) -> Iterator[Loosened]:
    for name, level in (policy.checks if "checks" in policy.model_fields_set else {}).items():
        if LEVELS.index(gate.level(name)) < LEVELS.index(level):
            yield f"checks.{name}", level, gate.level(name)


def _others(policy: GateKeys, gate: GateKeys) -> Iterator[Loosened]:
    """Yield what the policy's thresholds and checks are about, where a gate sets it otherwise: it has no direction."""
    written, (old, new) = policy.written(), (policy.decided_by, gate.decided_by)
    inherited = gate.place_of("metric") == policy.place_of("metric")
    if "metric" in written and not inherited and (old.name, old.options) != (new.name, new.options):
        yield "metric", old, new
    if "goal" in written and gate.goal != policy.goal:
        yield "goal", policy.goal, gate.goal


def _baselines(policy: GateKeys, gate: GateKeys) -> Iterator[Loosened]:
    """Yield the standards of single baselines that are lower than the policy's."""
    for role, one in gate.standards.items():
        for name, weaker in comparable(BaselineKeys).items():
            old, new = getattr(policy, name), getattr(one, name)
            if None not in (old, new) and weaker.asks_less(old, new):
                yield f"baselines.{role}.{name}", old, new


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return cut(f"[{', '.join(map(str, value))}]")
    return plain_number(value) if isinstance(value, int | float) else "none" if value is None else cut(str(value))


def places_of(name: str, folder: Path, home: Path) -> list[Path]:
    """Return where a gate file may be, nearest first: in a test's ``folder`` or above, up to ``home``.

    ``name`` is that of the ini file in ``home``. A path with a folder is one place.
    """
    if os.path.basename(name) != name or not folder.is_relative_to(home):
        return [Path(os.path.abspath(home / name))]
    return [place / name for place in (folder, *folder.parents) if place.is_relative_to(home)]


@dataclass(frozen=True)
class GateFile:
    """A gate file whose keys and types are valid; its path is absolute."""

    path: Path
    models: Mapping[str, ModelSpec]
    root: Node = field(repr=False)
    policy: Policy | None = None

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Return the names of the gates, in the order of the file."""
        return tuple(self.root.value.get("gates", {}))

    def layers(self, gate: str | None, *, named_at: Where | None = None) -> list[Layer]:
        """Return the file's layers for a gate (None: a marker alone defines it). Raises :class:`ConfigError`."""
        own = {key: value for key, value in self.root.value.get("defaults", {}).items() if key != "extends"}
        defaults = [self._layer("defaults", ("defaults",), own), *([self.policy.layer] if self.policy else [])]
        if gate is None:
            return defaults
        if gate not in self.gate_names:
            known = f"; its gates are: {cut(', '.join(self.gate_names)) or 'none'}"
            what = f"there is no gate {quoted(gate)} in {shown_path(self.path)}"
            raise ConfigError(what + suggestion(gate, self.gate_names, known), where=named_at)
        return [self._layer("file", ("gates", gate), self.root.value["gates"][gate]), *defaults]

    def where(self, path: KeyPath) -> Where:
        return _where(self.path, self.root, path)

    def _layer(self, kind: _Kind, prefix: KeyPath, values: Mapping[str, Any]) -> Layer:
        return Layer(values, lambda path: _source(self.path, self.root, (*prefix, *path), kind))


def read_yaml(path: Path, content: bytes | None = None) -> Node:
    """Read a file of one YAML mapping; ``content`` replaces what is on disk. Raises :class:`ConfigError`."""

    def unusable(what: str, line: int | None = None, key: str | None = None, cure: str | None = None) -> ConfigError:
        return ConfigError(what, where=Where(shown_path(path), line, key), cure=cure)

    if content is None and is_endless(path):
        raise unusable("the gate file must be a regular file, not a device or a pipe")
    try:
        content = path.read_bytes() if content is None else content
        root = compose(content.decode("utf-8-sig"), deepest=DEEPEST)
    except FileNotFoundError:
        raise unusable("there is no such gate file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        text = f"not valid UTF-8: byte 0x{error.object[error.start]:02x}"
        raise unusable(text, line, cure="Save the file as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise unusable(f"cannot read the gate file: {getattr(error, 'strerror', None) or error}") from None
    except YamlError as error:
        raise unusable(error.what, error.line, dotted(error.path) or None) from None
    if root is None or root.value is None:
        raise unusable("the gate file is empty", cure="Begin it with: version: 1")
    if not isinstance(root.value, dict):
        raise unusable("the gate file must be a mapping", root.line)
    return root


def load_gate_file(
    path: Path, content: bytes | None = None, *, read: Callable[[Path], bytes] = Path.read_bytes
) -> GateFile:
    """Read and validate a gate file; ``content`` replaces what is on disk. Raise all problems as one ConfigError.

    ``read`` returns the content of the policy that it extends.
    """
    path = Path(os.path.abspath(path))
    root = read_yaml(path, content)
    _check_version(path, root)
    written = root.value.get("models")
    reading = Reading(written if isinstance(written, dict) else {})
    keys = read_keys(FileKeys, root.value, reading=reading, place=lambda below, text: (_where(path, root, below), text))
    _check_names(path, root)

    def at(name: str) -> Source:
        return replace(_source(path, root, ("models", name), "file"), key=dotted(("models", name)))

    models = {name: model.placed(partial(at, name), name) for name, model in (keys.models or {}).items()}
    return GateFile(path, models, root, _read_policy(path, root, read))


def _read_policy(path: Path, root: Node, read: Callable[[Path], bytes]) -> Policy | None:
    written, where = root.value.get("defaults", {}).get("extends"), _where(path, root, ("defaults", "extends"))
    if written is None:
        return None
    found = find_policy(written, path.parent, where)
    try:
        content = read(found)
    except OSError as error:
        raise ConfigError(f"cannot read the policy {shown_path(found)}: {error.strerror}", where=where) from None
    policy = read_yaml(found, content)
    _check_version(found, policy)
    return policy_of(found, written if ":" in written else shown_path(found), policy)


def _where(path: Path, root: Node, below: KeyPath) -> Where:
    return Where(shown_path(path), root.line_of(below), dotted(below) or None)


def _source(path: Path, root: Node, below: KeyPath, kind: _Kind) -> Source:
    return Source(kind, f"{shown_path(path)}:{root.line_of(below)}", path.parent)


def _check_version(path: Path, root: Node) -> None:
    """Refuse a file of another version before its other keys are validated."""
    version = root.value.get("version")
    if version != 1 or type(version) is not int:
        missing = f"{MISSING}: write version: 1"
        wrong = f"must be 1, the only supported version, {got(version, ())}"
        raise ConfigError(wrong if "version" in root.value else missing, where=_where(path, root, ("version",)))


def _check_names(path: Path, root: Node) -> None:
    """Refuse two gates with one name: the wrong one could satisfy ftgate_required."""
    default = root.value.get("defaults", {}).get("name")
    taken: dict[str, str] = {}
    for gate, keys in root.value.get("gates", {}).items():
        name = keys.get("name", default or gate)
        if name in taken:
            place = _where(path, root, ("gates", gate, "name") if "name" in keys else ("gates", gate))
            text = f"two gates have the name {quoted(name)}: {cut(taken[name])} and {cut(gate)}"
            raise ConfigError(text, where=place)
        taken[name] = gate


def render_json_schema() -> str:
    """Return the JSON Schema of the gate file, generated from the models that validate it."""
    draft, title = "https://json-schema.org/draft/2020-12/schema", "Gate file of pytest-ftgate (ftgate.yaml)"
    schema = FileKeys.model_json_schema()
    own, same = (schema["$defs"][keys.__name__]["properties"] for keys in (DefaultKeys, GateKeys))
    own |= {name: {"$ref": f"#/$defs/{GateKeys.__name__}/properties/{name}"} for name in same}
    head = {"$schema": draft, "title": title}
    return json.dumps(head | _untitled(schema), indent=2, ensure_ascii=False) + "\n"


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """Return a schema without pydantic's titles; with ``names``, the keys of this mapping are names, also ``title``."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(part, names=key in ("properties", "$defs") and not names)
        for key, part in schema.items()
        if names or key != "title"
    }
