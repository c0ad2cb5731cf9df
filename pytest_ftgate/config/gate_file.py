"""The gate file, ``ftgate.yaml``, read and validated as a whole; and the policy that it extends."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import (
    Keys,
    Layer,
    Named,
    Reading,
    Source,
    Text,
    optional,
    read_keys,
    refusing,
)
from pytest_ftgate.config.models import ModelDefinition, ModelSpec
from pytest_ftgate.data import yaml_nodes
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.plain import DIALECT
from pytest_ftgate.text import KeyPath, cut, dotted, quoted, suggestion

_COLON = (
    "a model's name must not contain a colon, which separates provider and model, as in openai:NAME"
)
_POLICY = (
    "Write a path, which is relative to the folder of the gate file, or PACKAGE:FILE, of which the "
    "file is package data of an installed package."
)
_Version = Annotated[int, Field(ge=1, le=1)]
_WithoutColon = refusing(lambda values: [((name,), _COLON) for name in values if ":" in name])


class DefaultKeys(GateKeys):
    """The keys of a gate, as defaults of all gates of the file, and a policy."""

    extends: Text = optional(
        "A policy that gates may only tighten: the path of a file, or PACKAGE:FILE of an installed "
        "package. It holds version and defaults.",
        example="policy.yaml",
    )


class PolicyKeys(Keys):
    """A policy file."""

    version: _Version = Field(description="The version of this format: 1.", examples=[1])
    defaults: GateKeys = Field(
        description="Keys of all gates that extend the policy.", examples=[{"margin": 0.05}]
    )


class FileKeys(Keys):
    """Gates for fine-tuned models, and the models that they compare."""

    version: _Version = Field(description="The version of this format: 1.", examples=[1])
    defaults: DefaultKeys = optional(
        "Default values of gate keys, for all gates of the file.", example={"margin": 0.05}
    )
    models: Annotated[dict[str, ModelDefinition], Named, _WithoutColon] = optional(
        "Models by name, which can be used wherever a model is expected.",
        example={"tuned": "openai:ft:gpt-4.1-mini:acme::abc123"},
    )
    gates: Annotated[dict[str, GateKeys], Named] = optional(
        "Gates by name.", example={"intents": {"test_set": "data/test.jsonl", "margin": 0.05}}
    )

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:  # noqa: ARG003
        if key in GateKeys.model_fields:
            return "this is a key of a gate: write it under gates.NAME, or under defaults"
        return None


@dataclass(frozen=True)
class _Written:
    """A YAML file whose keys are valid: its absolute path, what messages call it, and its nodes."""

    path: Path
    shown: str
    root: yaml_nodes.Node = field(repr=False)

    def where(self, below: KeyPath) -> Where:
        return Where(self.shown, self.root.line_of(below), dotted(below) or None)

    def source(self, kind: Literal["file", "defaults"], below: KeyPath) -> Source:
        return Source(
            kind, f"{self.shown}:{self.root.line_of(below)}", self.path.parent, key=dotted(below)
        )

    def layer(
        self, kind: Literal["file", "defaults"], prefix: KeyPath, values: Mapping[str, Any]
    ) -> Layer:
        return Layer(values, lambda path: self.source(kind, (*prefix, *path)))

    def read(self, kind: type[Any], models: Any = None) -> Any:
        """Return the validated keys. Raise all problems as one :class:`ConfigError`."""
        reading = Reading(models if isinstance(models, dict) else {}, folder=self.path.parent)
        return read_keys(kind, self.root.value, reading, self.error)

    def error(self, below: KeyPath, text: str) -> ConfigError:
        return ConfigError(text, where=self.where(below))


@dataclass(frozen=True)
class GateFile(_Written):
    """A gate file whose keys and types are valid; its path is absolute."""

    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    policy: Layer | None = None

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Return the names of the gates, in the order of the file."""
        return tuple(self.root.value.get("gates", {}))

    @property
    def extends(self) -> str | None:
        """Return the policy that the file extends, as it is written."""
        extends: str | None = self.root.value.get("defaults", {}).get("extends")
        return extends

    def layers(self, gate: str | None, *, named_at: Where | None = None) -> list[Layer]:
        """Return the file's layers for a gate (None: a marker alone defines it).

        Raises :class:`ConfigError`.
        """
        values = dict(self.root.value.get("defaults", {}))
        values.pop("extends", None)
        defaults = [self.layer("defaults", ("defaults",), values)]
        if self.policy is not None:
            defaults.append(self.policy)

        if gate is None:
            return defaults
        if gate not in self.gate_names:
            gates = f"; its gates are: {cut(', '.join(self.gate_names)) or 'none'}"
            what = f"there is no gate {quoted(gate)} in {self.shown}"
            raise ConfigError(what + suggestion(gate, self.gate_names, gates), where=named_at)
        return [self.layer("file", ("gates", gate), self.root.value["gates"][gate]), *defaults]


def load_gate_file(
    path: Path, content: bytes | None = None, *, read: Callable[[Path], bytes] = Path.read_bytes
) -> GateFile:
    """Read and validate a gate file; ``content`` replaces what is on disk.

    Raise all problems as one ConfigError.

    ``read`` returns the content of the policy that it extends.
    """
    path = Path(os.path.abspath(path))
    file = _Written(path, shown_path(path), yaml_nodes.read_yaml(path, content))
    written = file.read(FileKeys, file.root.value.get("models"))
    _check_names(file)

    models = {}
    for name, model in (written.models or {}).items():
        models[name] = model.placed(partial(_source_of_model, file, name), name)

    policy = None
    extends = file.root.value.get("defaults", {}).get("extends")
    if extends is not None:
        policy = _read_policy(extends, path, file.where(("defaults", "extends")), read)
    return GateFile(path, shown=file.shown, root=file.root, models=models, policy=policy)


def _source_of_model(file: _Written, name: str, *below: str | int) -> Source:
    """Return the source of a model under ``models``, or of a part of it."""
    return file.source("file", ("models", name, *below))


def _check_names(file: _Written) -> None:
    """Refuse two gates with one name: the wrong one could satisfy ftgate_required."""
    default = file.root.value.get("defaults", {}).get("name")
    gate_of_name: dict[str, str] = {}
    for gate, values in file.root.value.get("gates", {}).items():
        name = values.get("name", default or gate)
        if name in gate_of_name:
            gates = f"{cut(gate_of_name[name])} and {cut(gate)}"
            raise file.error(
                ("gates", gate, "name"), f"two gates have the name {quoted(name)}: {gates}"
            )
        gate_of_name[name] = gate


# --- a policy that several repositories share, which a gate may only tighten ----------------------


def _read_policy(written: str, file: Path, where: Where, read: Callable[[Path], bytes]) -> Layer:
    """Return the values of a policy, as a layer below the defaults of a gate file.

    Args:
        written: ``PATH``, relative to the folder of the gate file, or ``PACKAGE:FILE``.
        file: the gate file.
        where: the place that names the policy.
        read: returns the content of a file.

    Raises:
        ConfigError: the policy does not exist, or is not valid.
    """
    package, colon, name = written.partition(":")
    is_packaged = colon and len(package) > 1  # one letter is a drive of Windows
    try:
        # A package without __init__.py may have several folders.
        policy_file = files(package) / name if is_packaged else file.parent / written
        path = Path(os.path.abspath(str(policy_file)))
        content = read(path)
    except (ImportError, OSError, TypeError, ValueError) as error:
        # the name may be that of a module, and the path may have a NUL character
        text = f"cannot read the policy {cut(written)}: {getattr(error, 'strerror', error)}"
        raise ConfigError(text, where=where, cure=_POLICY) from None

    # A path below the folder of an installed package tells nobody where the policy comes from.
    shown = written if is_packaged else shown_path(path)
    policy = _Written(path, shown, yaml_nodes.read_yaml(path, content))
    policy.read(PolicyKeys)
    return policy.layer("defaults", ("defaults",), policy.root.value["defaults"])


# --- the schema for editors -----------------------------------------------------------------------


def render_json_schema() -> str:
    """Return the JSON Schema of the gate file, generated from the models that validate it."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
            return False

    schema = FileKeys.model_json_schema(schema_generator=Untitled)
    for mapping in (schema, *schema["$defs"].values()):
        mapping.pop("title", None)

    # The keys of defaults are those of a gate, which are described once.
    defaults = schema["$defs"][DefaultKeys.__name__]["properties"]
    gate = GateKeys.__name__
    for name in schema["$defs"][gate]["properties"]:
        defaults[name] = {"$ref": f"#/$defs/{gate}/properties/{name}"}

    head = {"$schema": DIALECT, "title": "Gate file of pytest-ftgate (ftgate.yaml)"}
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"
