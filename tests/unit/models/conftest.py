"""Models built from specs as the configuration would give them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import DataSet, Example, examples_from
from pytest_ftgate.models import Completion, Surroundings, build_model


@pytest.fixture(autouse=True)
def without_ambient_settings(no_ambient_settings: None) -> None:
    """Every test of a model."""


@pytest.fixture
def spec() -> Callable[..., ModelSpec]:
    def make(provider: str = "openai", /, **options: Any) -> ModelSpec:
        if provider == "openai":
            options = {"model": "m", **options}
        return ModelSpec(provider, options, f"{provider}:m", "tuned", Source("file", "ftgate.yaml:7", Path()))

    return make


@pytest.fixture
def build(spec: Callable[..., ModelSpec]) -> Callable[..., Any]:
    def make(provider: str = "openai", /, *, training: DataSet | None = None, **options: Any) -> Any:
        return build_model(spec(provider, **options), Surroundings(training))

    return make


@pytest.fixture
def ask() -> Callable[..., Completion]:
    """Ask a model once, in a loop of its own, and give back what it holds."""

    def once(model: Any, given: Any = "hello", repeat: int = 0, **fields: Any) -> Completion:
        async def call() -> Completion:
            try:
                answer: Completion = await model.complete(Example("e1", given, "x", fields=fields), repeat)
                return answer
            finally:
                await model.aclose()

        return asyncio.run(call())

    return once


@pytest.fixture
def training() -> DataSet:
    """Ten refunds, five invoices, two shippings."""
    counts = {"refund": 10, "invoice": 5, "shipping": 2}
    rows = [(f"{label} question {i}", label) for label, count in counts.items() for i in range(count)]
    return examples_from(rows, origin="fixture ftgate_training_set")
