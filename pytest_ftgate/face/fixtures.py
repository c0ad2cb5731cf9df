"""What our own fixtures give: the models and examples of a test's gate, and a way to evaluate any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.config import Source
from pytest_ftgate.errors import ConfigError, FtgateError, ModelError, Where
from pytest_ftgate.face.layers import layers_as_written
from pytest_ftgate.face.outcome import fail

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, ModelSpec
    from pytest_ftgate.data import Example, Input
    from pytest_ftgate.face.session import GateSession
    from pytest_ftgate.models import Model
    from pytest_ftgate.running.runner import Run


class CallableModel:
    """A configured model as a plain function: one input in, the answer's text out. Not stored."""

    def __init__(self, model: Model, *, offline: bool) -> None:
        self.model = model
        self.name = model.name
        self._forbidden = offline and getattr(model, "endpoint", False)

    def __call__(self, input: Input) -> str:  # noqa: A002  # the contract's word for it
        from pytest_ftgate.data import Example
        from pytest_ftgate.running.runner import ask

        if self._forbidden:
            raise ModelError(f"{self.name} is an endpoint, and --ftgate-offline forbids asking it")
        try:
            return ask(self.model, Example(id="call", input=input, expected="")).text
        except ModelError as error:
            raise error.with_traceback(None) from None

    def __repr__(self) -> str:
        return f"<model {self.name}>"


def configured_model(request: pytest.FixtureRequest, key: str, session: GateSession) -> CallableModel:
    """What the gate's marks and file say the model is, overridden fixtures aside."""
    from pytest_ftgate.jobs.tuning import build_settled
    from pytest_ftgate.models import Surroundings

    with _as_failure():
        config = layers_as_written(request, key, session.files).resolve()
        spec = _configured_spec(config, key)
        services = session.services(request.node.ihook)
        training = None
        if spec.options.keys() & {"few_shot", "retrieval"}:
            training = services.load(config.training_set, config.sources["training_set"].at)
        surroundings = Surroundings(training, services.notes(), services.offline, services.stores.newer_than)
        return CallableModel(build_settled(spec, surroundings, services.hook), offline=services.offline)


def _configured_spec(config: GateConfig, key: str) -> ModelSpec:
    if key == "baseline":
        return next(iter(config.baselines.values()))
    if config.candidates:
        raise ConfigError(
            "the fixture ftgate_candidate cannot say which of the candidates is chosen, before they are judged",
            where=config.sources["candidates"].where("candidates"),
            cure="Ask for the fixture ftgate, whose candidate is the chosen one.",
        )
    if not config.candidate.provider:
        raise ConfigError("this gate has no candidate yet: its stage is ready", where=Where(key="candidate"))
    return config.candidate


def configured_data(request: pytest.FixtureRequest, key: str, session: GateSession) -> tuple[Example, ...]:
    """The examples that the gate's marks and file name, overridden fixtures aside."""
    from pytest_ftgate.preparation import needs_expected

    with _as_failure():
        config = layers_as_written(request, key, session.files).resolve()
        labeled = key != "test_set" or needs_expected(config)
        source = config.sources[key].at
        return session.data.load(getattr(config, key), source, request.node.ihook, labeled=labeled).examples


def evaluator(request: pytest.FixtureRequest, session: GateSession) -> Callable[..., Run]:
    """The function that the fixture ``ftgate_evaluate`` gives."""

    def evaluate(model: Any, test_set: Any, metric: Any = "accuracy") -> Run:
        """Run ``model`` over ``test_set`` and score it.

        Args:
            model: a spelling, a mapping, or a callable, as a gate takes it.
            test_set: a path, or an iterable of examples.
            metric: a name, or a mapping with options.

        Raises:
            FtgateError: the model or the data cannot be used, or an answer is missing.
        """
        from pytest_ftgate.evaluate import evaluate_model

        source = Source("marker", "ftgate_evaluate", request.path.parent)
        services = session.services(request.node.ihook)
        file = session.files.gate_file(required=False)
        root = request.config.rootpath
        try:
            return evaluate_model(model, test_set, metric, source=source, file=file, root=root, services=services)
        except FtgateError as error:
            raise error.with_traceback(None) from None

    return evaluate


@contextmanager
def _as_failure() -> Iterator[None]:
    """Our own errors become pytest's, without a traceback of ours."""
    try:
        yield
    except FtgateError as error:
        fail(str(error))
