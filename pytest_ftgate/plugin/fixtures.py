"""Values of the fixtures: models and examples of a test's gate, and a function that evaluates any model."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_ftgate.checks.audit import check_test_set
from pytest_ftgate.config import Layer, Source, resolve_gate
from pytest_ftgate.data import Example, Input
from pytest_ftgate.errors import ConfigError, FtgateError, ModelError, Where
from pytest_ftgate.gate.inputs import build_metrics, needs_expected
from pytest_ftgate.metrics.judged import refuse_judged
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.plugin.layers import layers_as_written
from pytest_ftgate.plugin.outcome import fail
from pytest_ftgate.plugin.session import GateSession
from pytest_ftgate.runs.jobs import Job, Run
from pytest_ftgate.runs.measure import answers_of
from pytest_ftgate.runs.runner import ask, run_models

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines


class CallableModel:
    """A configured model as a function that takes an input and returns the answer's text. Answers are not stored."""

    def __init__(self, model: Model, asked: Callable[[], Iterable[Example]], *, offline: bool) -> None:
        self.model = model
        self.name = model.name
        self._asked = asked
        self._forbidden = offline and model.endpoint

    def __call__(self, input: Input) -> str:  # noqa: A002  # the public name
        if self._forbidden:
            raise ModelError(f"{self.name} is an endpoint, and --ftgate-offline forbids calls")
        try:
            return ask(self.model, input, self._asked).text
        except ModelError as error:
            raise error.with_traceback(None) from None

    def __repr__(self) -> str:
        return f"<model {self.name}>"


def configured_model(request: pytest.FixtureRequest, key: str, session: GateSession) -> CallableModel:
    """Return the model that the gate's markers and file configure, ignoring overridden fixtures."""
    with _as_failure():
        config, services = layers_as_written(request, key, session.files).config, session.services(request.node.ihook)
        spec = next(iter(config.baselines.values())) if key == "baseline" else config.candidate
        if not spec.provider:
            raise ConfigError(
                "this gate has no candidate yet, because its stage is ready", where=Where(key="candidate")
            )
        training = None
        if spec.options.keys() & {"few_shot", "retrieval"}:
            training = services.load(config.training_set, config.sources["training_set"].at)
        model = build_model(spec, Surroundings(training, services.offline), services.hook)

        def asked() -> Iterable[Example]:
            source = config.test_set or request.getfixturevalue("ftgate_test_set")  # overridden
            return services.load(source, config.sources["test_set"].at, labeled=needs_expected(config, services.hook))

        return CallableModel(model, asked, offline=services.offline)


def configured_data(request: pytest.FixtureRequest, key: str, session: GateSession) -> tuple[Example, ...]:
    """Return the examples that the gate's markers and file configure, ignoring overridden fixtures."""
    with _as_failure():
        config = layers_as_written(request, key, session.files).config
        labeled = key != "test_set" or needs_expected(config, request.node.ihook)
        source = config.sources[key].at
        return session.data.load(getattr(config, key), source, request.node.ihook, labeled=labeled).examples


@contextmanager
def _as_failure() -> Iterator[None]:
    """Turn an :class:`FtgateError` into a failure without a traceback."""
    try:
        yield
    except FtgateError as error:
        fail(str(error))


def evaluator(request: pytest.FixtureRequest, session: GateSession) -> Callable[..., Run]:
    def evaluate(model: Any, test_set: Any, metric: Any = "accuracy") -> Run:
        """Run a model on a test set and return the run with the value of the metric.

        All three arguments are written as in a gate. Stored answers are reused.

        Raises:
            FtgateError: the model, the data or the metric is invalid, or an answer is missing.
        """
        if session.planning is not None:  # it would ask about all examples
            pytest.skip(f"{session.planning} plans only gates")
        try:
            # Resolved like a gate, of which only these keys are used, so that every spelling works.
            keys = {"baseline": model, "candidate": model, "test_set": test_set, "metric": metric}
            return _evaluate(keys | {"training_set": (), "margin": 0.0}, request, session)
        except FtgateError as error:
            raise error.with_traceback(None) from None

    return evaluate


def _evaluate(keys: Mapping[str, Any], request: pytest.FixtureRequest, session: GateSession) -> Run:
    source, services = Source("marker", "ftgate_evaluate", request.path.parent), session.services(request.node.ihook)
    file, root = session.files.gate_file(request.path.parent), request.config.rootpath
    layers = [Layer(keys, dict.fromkeys(keys, source))]
    config = resolve_gate(layers, file=file, gate=None, default_name="ftgate_evaluate", root=root)
    test = services.load(config.test_set, str(source))
    check_test_set(test)
    metrics = build_metrics(config, test, None, services.hook)
    for one in metrics.values():
        refuse_judged(one, "measured by ftgate_evaluate", source=str(source))
    model = build_model(config.candidate, Surroundings(None, services.offline), services.hook)
    job = Job(model, test, of_candidate=True)
    (run,) = run_models([job], stores=services.stores, offline=services.offline, budget=services.budget)
    if run.fatal is not None:
        raise run.fatal
    if run.unanswered:
        cause, cure = (run.failure.cause, run.failure.advice) if run.failure else ("", None)
        counted = f"{len(run.unanswered):,} of {len(run.test_set):,} answers are missing"
        raise ModelError(f"{run.model.name}: {cause}; {counted} ({run.unanswered[0].name})", cure=cure)
    services.stores.finish([run])
    answers, expected = answers_of(run), [example.expected for example in test.examples]
    return replace(run, metrics={name: one.score(expected, answers).value for name, one in metrics.items()})
