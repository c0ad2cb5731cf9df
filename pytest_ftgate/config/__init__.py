"""What a gate is asked: the gate file and its layers, merged into one checked configuration."""

from __future__ import annotations

from pytest_ftgate.config.gate_config import (
    AuditSpec,
    Bound,
    DataSpec,
    GateConfig,
    GuardSpec,
    MetricSpec,
    ModelSpec,
    SliceSpec,
)
from pytest_ftgate.config.gate_file import GateFile, load_gate_file
from pytest_ftgate.config.json_schema import render_json_schema
from pytest_ftgate.config.resolve import resolve_gate
from pytest_ftgate.config.source import Layer, Source

__all__ = [
    "AuditSpec",
    "Bound",
    "DataSpec",
    "GateConfig",
    "GateFile",
    "GuardSpec",
    "Layer",
    "MetricSpec",
    "ModelSpec",
    "SliceSpec",
    "Source",
    "load_gate_file",
    "render_json_schema",
    "resolve_gate",
]
