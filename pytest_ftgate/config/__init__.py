"""The configuration of a gate: the gate file, markers and fixtures, merged and validated."""

from pytest_ftgate.config.comparing import weakenings
from pytest_ftgate.config.data import DataKeys
from pytest_ftgate.config.gate_file import GateFile, load_gate_file, render_json_schema
from pytest_ftgate.config.gate_keys import GateKeys
from pytest_ftgate.config.keys import Layer, Source
from pytest_ftgate.config.metrics import MetricSpec
from pytest_ftgate.config.models import ModelSpec
from pytest_ftgate.config.requirements import (
    EconomicsKeys,
    GuardKeys,
    HypothesisKeys,
    SliceKeys,
    ThresholdKeys,
)
from pytest_ftgate.config.resolve import as_written, resolve_gate

__all__ = [
    "DataKeys",
    "EconomicsKeys",
    "GateFile",
    "GateKeys",
    "GuardKeys",
    "HypothesisKeys",
    "Layer",
    "MetricSpec",
    "ModelSpec",
    "SliceKeys",
    "Source",
    "ThresholdKeys",
    "as_written",
    "load_gate_file",
    "render_json_schema",
    "resolve_gate",
    "weakenings",
]
