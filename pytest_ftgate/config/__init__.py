"""The configuration of a gate: the gate file, markers and fixtures, merged and validated."""

from pytest_ftgate.config.data import DataKeys as DataKeys
from pytest_ftgate.config.data import file_of as file_of
from pytest_ftgate.config.data import keys_of as keys_of
from pytest_ftgate.config.gate_file import GateFile as GateFile
from pytest_ftgate.config.gate_file import load_gate_file as load_gate_file
from pytest_ftgate.config.gate_file import places_of as places_of
from pytest_ftgate.config.gate_file import render_json_schema as render_json_schema
from pytest_ftgate.config.gate_keys import GateKeys as GateKeys
from pytest_ftgate.config.metrics import MetricSpec as MetricSpec
from pytest_ftgate.config.models import ModelSpec as ModelSpec
from pytest_ftgate.config.requirements import EconomicsKeys as EconomicsKeys
from pytest_ftgate.config.requirements import GuardKeys as GuardKeys
from pytest_ftgate.config.requirements import HypothesisKeys as HypothesisKeys
from pytest_ftgate.config.requirements import SliceKeys as SliceKeys
from pytest_ftgate.config.requirements import ThresholdKeys as ThresholdKeys
from pytest_ftgate.config.resolve import resolve_gate as resolve_gate
from pytest_ftgate.config.source import Layer as Layer
from pytest_ftgate.config.source import Source as Source
