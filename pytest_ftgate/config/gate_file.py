"""The gate file, ``ftgate.yaml``: read once and validated as a whole."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import Keys, Named, Text, optional
from pytest_ftgate.config.models import ModelDefinition, ModelSpec
from pytest_ftgate.config.policy import Policy, find_policy, policy_of
from pytest_ftgate.config.problems import MISSING, Reading, read_keys, refusals
from pytest_ftgate.config.source import Layer, Source
from pytest_ftgate.config.yaml_nodes import Node, YamlError, compose
from pytest_ftgate.data.lines import is_endless
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.text import KeyPath, cut, dotted, got, quoted, suggestion

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
