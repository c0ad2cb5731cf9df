"""Provide models, which complete examples. These are the names for other packages; modules here do not use them."""

from __future__ import annotations

from pytest_ftgate.models.protocol import FINISHES as FINISHES
from pytest_ftgate.models.protocol import Completion as Completion
from pytest_ftgate.models.protocol import Model as Model
from pytest_ftgate.models.protocol import Prediction as Prediction
from pytest_ftgate.models.protocol import Question as Question
from pytest_ftgate.models.protocol import Surroundings as Surroundings
from pytest_ftgate.models.protocol import key_of as key_of
from pytest_ftgate.models.registry import build_model as build_model
from pytest_ftgate.models.registry import is_built_in as is_built_in
from pytest_ftgate.models.registry import unknown_provider as unknown_provider
