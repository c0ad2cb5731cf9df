"""What a gate is asked: the gate file and its layers, merged into one checked configuration."""

from __future__ import annotations

from pytest_ftgate.config.data import DataKeys
from pytest_ftgate.config.economics import EconomicsKeys
from pytest_ftgate.config.gate_file import GateFile, load_gate_file
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.gate_keys import comparison_of, threshold, weaker_of
from pytest_ftgate.config.json_schema import render_json_schema
from pytest_ftgate.config.levels import AuditKeys
from pytest_ftgate.config.metrics import MetricSpec
from pytest_ftgate.config.models import ModelSpec
from pytest_ftgate.config.requirements import BoundKeys as Bound
from pytest_ftgate.config.requirements import GuardKeys
from pytest_ftgate.config.requirements import HypothesisKeys as Prediction
from pytest_ftgate.config.requirements import SliceKeys
from pytest_ftgate.config.resolve import resolve_gate
from pytest_ftgate.config.source import Layer, Source

__all__ = [
    "AuditKeys",
    "Bound",
    "DataKeys",
    "EconomicsKeys",
    "GateKeys",
    "GateFile",
    "GuardKeys",
    "Layer",
    "MetricSpec",
    "ModelSpec",
    "Prediction",
    "SliceKeys",
    "Source",
    "comparison_of",
    "load_gate_file",
    "render_json_schema",
    "resolve_gate",
    "threshold",
    "weaker_of",
]
