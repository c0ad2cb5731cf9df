"""What a gate is asked: the gate file and its layers, merged into one checked configuration."""

from __future__ import annotations

from pytest_ftgate.config.data import DataKeys as DataSpec
from pytest_ftgate.config.gate_file import GateFile, load_gate_file, render_json_schema
from pytest_ftgate.config.gate_keys import GateKeys as GateConfig
from pytest_ftgate.config.gate_keys import comparison_of, threshold, weaker_of
from pytest_ftgate.config.levels import AuditKeys as AuditSpec
from pytest_ftgate.config.metrics import MetricSpec
from pytest_ftgate.config.models import ModelSpec
from pytest_ftgate.config.requirements import BoundKeys as Bound
from pytest_ftgate.config.requirements import EconomicsKeys as EconomicsSpec
from pytest_ftgate.config.requirements import GuardKeys as GuardSpec
from pytest_ftgate.config.requirements import HypothesisKeys as Prediction
from pytest_ftgate.config.requirements import SliceKeys as SliceSpec
from pytest_ftgate.config.resolve import resolve_gate
from pytest_ftgate.config.source import Layer, Source

__all__ = [
    "AuditSpec",
    "Bound",
    "DataSpec",
    "EconomicsSpec",
    "GateConfig",
    "GateFile",
    "GuardSpec",
    "Layer",
    "MetricSpec",
    "ModelSpec",
    "Prediction",
    "SliceSpec",
    "Source",
    "comparison_of",
    "load_gate_file",
    "render_json_schema",
    "resolve_gate",
    "threshold",
    "weaker_of",
]
