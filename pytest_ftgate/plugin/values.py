"""Give our fixtures their values: models, examples, and a function that evaluates any model."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_ftgate.checks.audit import check_test_set
from pytest_ftgate.config import Layer, Source, resolve_gate
from pytest_ftgate.data import DataSet, Example, Input
from pytest_ftgate.errors import ConfigError, FtgateError, ModelError, Where
from pytest_ftgate.gate import inputs
from pytest_ftgate.metrics.judged import refuse_judged
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.plugin.layers import layers_of
from pytest_ftgate.plugin.outcome import fail, refuse_unmarked
from pytest_ftgate.plugin.session import GateSession
from pytest_ftgate.runs import jobs, measure, runner

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines


class CallableModel:
    """A configured model as a function that takes an input and returns the answer's text.

    Answers are not stored.
    """

    def __init__(
        self, model: Model, examples: Callable[[], Iterable[Example]], *, offline: bool
    ) -> None:
        self.model = model
        self.name = model.name
        self._examples = examples
        self._forbidden = offline and model.endpoint

    def __call__(self, input: Input) -> str:  # noqa: A002  # the public name
        if self._forbidden:
            raise ModelError(f"{self.name} is an endpoint, and --ftgate-offline forbids calls")
        try:
            return runner.ask(self.model, input, self._examples).text
        except ModelError as error:
            raise error.with_traceback(None) from None

    def __repr__(self) -> str:
        return f"<model {self.name}>"


def configured_model(
    request: pytest.FixtureRequest, key: str, session: GateSession
) -> CallableModel:
    """Return the model that the gate's markers and file configure, ignoring overridden fixtures."""
    refuse_unmarked(request, f"ftgate_{key}")
    with _as_failure():
        config = layers_of(request, session.project, but=key).config
        services = session.services(request.node.ihook)
        spec = next(iter(config.baselines.values())) if key == "baseline" else config.candidate
        if not spec.provider:
            message = "this gate has no candidate yet, because its stage is ready"
            raise ConfigError(message, where=Where(key="candidate"))

        # Only prompts with examples need the training set.
        training = None
        if spec.options.keys() & {"few_shot", "retrieval"}:
            origin = config.sources["training_set"].at
            training = services.load(config.training_set, origin, name="training_set")
        model = build_model(spec, Surroundings(training, services.offline), services.hook)

        def examples() -> DataSet:
            source = config.test_set or request.getfixturevalue("ftgate_test_set")  # overridden
            origin = config.sources["test_set"].at
            labeled = inputs.needs_expected(config, services.hook)
            return services.load(source, origin, labeled=labeled)

        return CallableModel(model, examples, offline=services.offline)


def configured_data(
    request: pytest.FixtureRequest, key: str, session: GateSession
) -> tuple[Example, ...]:
    """Return the examples that the gate's markers and file configure, without fixtures."""
    refuse_unmarked(request, f"ftgate_{key}")
    with _as_failure():
        config = layers_of(request, session.project, but=key).config
        hook = request.node.ihook
        labeled = key != "test_set" or inputs.needs_expected(config, hook)
        origin = config.sources[key].at
        data = session.data.load(getattr(config, key), origin, hook, name=key, labeled=labeled)
        return data.examples


@contextmanager
def _as_failure() -> Iterator[None]:
    """Turn an :class:`FtgateError` into a failure without a traceback."""
    try:
        yield
    except FtgateError as error:
        fail(str(error))


def evaluator(request: pytest.FixtureRequest, session: GateSession) -> Callable[..., jobs.Run]:
    """Return the function that the fixture ``ftgate_evaluate`` gives."""

    def evaluate(model: Any, test_set: Any, metric: Any = "accuracy") -> jobs.Run:
        """Run a model on a test set and return the run with the value of the metric.

        All three arguments are written as in a gate. Stored answers are reused.

        Raises:
            FtgateError: the model, the data or the metric is invalid, or an answer is missing.
        """
        if session.planning is not None:  # it would ask about all examples
            pytest.skip(f"{session.planning} plans only gates")
        try:
            # Resolved like a gate, of which only these keys are used, so that every spelling works.
            # A stand-in is the baseline: what is wrong with the model is said once.
            keys = {"baseline": len, "candidate": model, "test_set": test_set, "metric": metric}
            return _evaluate(keys | {"training_set": (), "margin": 0.0}, request, session)
        except FtgateError as error:
            raise error.with_traceback(None) from None

    return evaluate


def _evaluate(
    keys: Mapping[str, Any], request: pytest.FixtureRequest, session: GateSession
) -> jobs.Run:
    # The keys are resolved like those of a marker on the test.
    services = session.services(request.node.ihook)
    source = Source("marker", "ftgate_evaluate", request.path.parent)
    config = resolve_gate(
        [Layer(keys, dict.fromkeys(keys, source))],
        file=session.project.gate_file(),
        gate=None,
        default_name="ftgate_evaluate",
    )
    test = services.load(config.test_set, str(source))
    check_test_set(test)
    metrics = inputs.build_metrics(config, test, None, services.hook)
    for metric in metrics.values():
        refuse_judged(metric, "measured by ftgate_evaluate", source=str(source))

    model = build_model(config.candidate, Surroundings(None, services.offline), services.hook)
    (run,) = runner.run_models(
        [jobs.Job(model, test, of_candidate=True)],
        stores=services.stores,
        offline=services.offline,
        budget=services.budget,
    )
    _refuse_missing(run)
    services.stores.finish([run])

    answers = measure.answers_of(run)
    values = {name: metric.score(test.expected, answers).value for name, metric in metrics.items()}
    return replace(run, metrics=values)


def _refuse_missing(run: jobs.Run) -> None:
    """Raise :class:`ModelError` if answers are missing."""
    if run.fatal is not None:
        raise run.fatal
    if run.unanswered:
        cause = run.failure.cause if run.failure else ""
        counted = f"{len(run.unanswered):,} of {len(run.test_set):,} answers are missing"
        message = f"{run.model.name}: {cause}; {counted} ({run.unanswered[0].name})"
        raise ModelError(message, cure=run.failure.next_step if run.failure else None)
