"""List the files that a gate reads, and hash them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pytest_ftgate.config.data import DataKeys
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import Keys
from pytest_ftgate.config.metrics import MetricSpec
from pytest_ftgate.config.models import ModelSpec


def files_of(config: GateKeys) -> Iterator[tuple[str, Path]]:
    """Yield the key and the absolute path of each file that the gate reads, except weights; some may not exist."""
    for key in type(config).model_fields:
        yield from _below(key, getattr(config, key))


def _below(key: str, value: Any) -> Iterator[tuple[str, Path]]:
    if isinstance(value, Path):
        yield key, value
    elif isinstance(value, DataKeys):
        yield key, value.path
    elif isinstance(value, MetricSpec | ModelSpec):
        yield from _below(key, {name: part for name, part in value.options.items() if name != "function"})
        yield from ((f"{key}.{name}", path) for name, path in _named(value))
    elif isinstance(value, Keys):
        fields = {info.alias or name: getattr(value, name) for name, info in type(value).model_fields.items()}
        file = {"path": value.path} if hasattr(value, "path") else {}
        yield from _below(key, {**fields, **file})
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _below(f"{key}.{name}", part)
    elif isinstance(value, tuple) and all(isinstance(part, Keys | MetricSpec | ModelSpec) for part in value):
        for index, part in enumerate(value):
            yield from _below(f"{key}[{index}]", part)


def _named(spec: MetricSpec | ModelSpec) -> Iterator[tuple[str, Path]]:
    """Yield the file of a function's module, which is not written as a path."""
    target = spec.options.get("target")
    if isinstance(spec, ModelSpec) and spec.provider == "python" and isinstance(target, str):
        yield from (("target", path) for path in [_module_file(target.partition(":")[0])] if path is not None)


def _module_file(module: str) -> Path | None:
    """Return the file of a module without importing it or its packages; None if it is not found."""
    places, spec = None, None
    with suppress(Exception):  # finders on sys.meta_path may be anybody's
        for end in range(1, module.count(".") + 2):
            spec = PathFinder.find_spec(".".join(module.split(".")[:end]), places)
            places = spec.submodule_search_locations if spec else None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def content_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of all names and files in a folder; None if it cannot be read."""
    try:
        if not path.is_dir():  # a pipe or a device may never end
            return sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found = sha256()
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            found.update(f"{file.relative_to(path).as_posix()} {content_hash(file)}\n".encode())
        return found.hexdigest()
    except (OSError, ValueError):
        return None
