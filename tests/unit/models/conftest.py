"""Models built from specs as the configuration would give them."""

import asyncio
from pathlib import Path

import openai
import pytest

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import Example, examples_from
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Surroundings, build_model


@pytest.fixture(autouse=True)
def without_ambient_settings(no_ambient_settings):
    """Every test of a model."""


@pytest.fixture
def spec():
    def make(provider="openai", /, **options):
        if provider == "openai":
            options = {"model": "m", **options}
        return ModelSpec(
            provider, options, f"{provider}:m", "tuned", Source("file", "ftgate.yaml:7", Path())
        )

    return make


@pytest.fixture
def build(spec):
    def make(provider="openai", /, *, training=None, **options):
        return build_model(spec(provider, **options), Surroundings(training))

    return make


@pytest.fixture
def ask():
    """Ask a model once, in a loop of its own, and give back what it holds."""

    def once(model, given="hello", repeat=0, **fields):
        async def call():
            try:
                return await model.complete(Example("e1", given, "x", fields=fields), repeat)
            finally:
                await model.aclose()

        return asyncio.run(call())

    return once


@pytest.fixture
def failing(ask, build, server):
    """Return the error of a model's only call, to which the server gives these replies."""

    def failing(*faults, **options):
        server.faults.extend(faults)
        with pytest.raises(ModelError) as caught:
            ask(build(base_url=server.url, **options))
        return caught.value

    return failing


@pytest.fixture
def training():
    """Ten refunds, five invoices, two shippings."""
    counts = {"refund": 10, "invoice": 5, "shipping": 2}
    rows = [
        (f"{label} question {i}", label) for label, count in counts.items() for i in range(count)
    ]
    return examples_from(rows, origin="fixture ftgate_training_set")


@pytest.fixture(params=["aiohttp", "httpx"])
def backend(request, monkeypatch):
    """Use each of the HTTP clients, whatever is installed as default."""
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp")
    else:

        def not_installed(**_):
            raise RuntimeError("aiohttp is not installed")

        monkeypatch.setattr(openai, "DefaultAioHttpClient", not_installed)
