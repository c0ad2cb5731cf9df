"""The JSON Schema of the gate file, by which editors complete and explain its keys."""

from __future__ import annotations

import json
from typing import Any

from pytest_ftgate.config.gate_file import FileKeys

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_json_schema() -> str:
    """The schema as text, made from the models that check the file itself; the same for the same models."""
    head = {"$schema": DIALECT, "title": "Gate file of pytest-ftgate (ftgate.yaml)"}
    return json.dumps(head | _untitled(FileKeys.model_json_schema()), indent=2, ensure_ascii=False) + "\n"


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """Without pydantic's titles; ``names``: the keys of this mapping are names, which may be ``title``."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(part, names=key in ("properties", "$defs") and not names)
        for key, part in schema.items()
        if names or key != "title"
    }
