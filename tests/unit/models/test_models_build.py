"""Providers, and the loopback server that the other tests rely on."""

from types import SimpleNamespace

import pytest

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models import Surroundings, build_model


def hook(made):
    return SimpleNamespace(pytest_ftgate_model=lambda spec: made(spec) if callable(made) else made)


def test_keys_that_every_provider_has_hold_for_the_hooks_callables(spec):
    options = {"concurrency": 4, "timeout_s": 1.5, "retries": 1, "price": {"input_per_1m": 2.0}, "revision": "v1"}
    model = build_model(spec("echo", **options), Surroundings(), hook(lambda spec: str.upper))
    assert (model.concurrency, model.timeout_s, model.retries) == (4, 1.5, 1)
    assert (model.price.input_per_1m, model.persistent) == (2.0, True)


def test_a_revision_is_one_models_alone(spec):
    """Two models of a provider that differ in a key of its own share no answers; what changes no answer is no part."""

    def key(**options):
        return build_model(spec("echo", **options), Surroundings(), hook(lambda spec: str.upper)).key(
            Example("e1", "hello", "x")
        )

    kept = {key(size=size, revision=name) for size in (1, 2) for name in ("v1", "v2")}
    assert len(kept) == 4
    assert key(size=1, revision="v1", concurrency=3, price={"input_per_1m": 1.0}, name="x") in kept


def test_what_cannot_be_written_cannot_be_kept(spec):
    with pytest.raises(ConfigError, match=r"echo:m(.|\n)*revision"):
        build_model(spec("echo", size=object(), revision="v1"), Surroundings(), hook(lambda spec: str.upper))


@pytest.mark.parametrize("asked", [None, hook(None)])
def test_a_provider_that_nobody_knows(spec, asked):
    with pytest.raises(ConfigError, match=r"^ftgate.yaml:7: .*'opnai'") as caught:
        build_model(spec("opnai"), Surroundings(), asked)
    assert all(word in str(caught.value) for word in ("openai, python, recorded", "'openai'", "pytest_ftgate_model"))


def test_the_hook_is_not_asked_for_what_is_built_in(spec):
    def refuse(spec):
        raise AssertionError

    assert build_model(spec(base_url="http://127.0.0.1:9"), Surroundings(), hook(refuse)).spelling == "openai:m"
