"""One marked test: from its marks and fixtures to a judged gate, and from the verdict to the test's outcome."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_ftgate.choice import judge_gate
from pytest_ftgate.config import GateConfig, Layer, Source, resolve_gate
from pytest_ftgate.errors import ConfigError, FtgateError, Interrupted, ModelError, Where, shown_path
from pytest_ftgate.face.marks import gate_name, marks_nearest_first, test_id
from pytest_ftgate.pipeline import Judged
from pytest_ftgate.plugin import REQUEST, gate_session
from pytest_ftgate.render.text import failure_text
from pytest_ftgate.result import Check, GateResult, failed_result
from pytest_ftgate.retraining.last_green import filed_as
from pytest_ftgate.revision.review import review_checks
from pytest_ftgate.revision.weakening import weakenings

__tracebackhide__ = True  # what a fixture or a body raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile
    from pytest_ftgate.data import Example, Input
    from pytest_ftgate.face.session import GateSession
    from pytest_ftgate.models import Model
    from pytest_ftgate.running.runner import Run

_ANY_CANDIDATE = Layer({"candidate": str}, {"candidate": Source("fixture", "no candidate", Path())})
"""Which candidate is judged is no part of what a gate asks for; at the stage ready there is none."""
_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)
_FIXTURES = {
    "ftgate_baseline": "baseline",
    "ftgate_candidate": "candidate",
    "ftgate_test_set": "test_set",
    "ftgate_training_set": "training_set",
}
_OBJECTIVE = ("margin", "objective", "max_drop", "cheaper_by", "faster_by")
_REQUIRED = (*_FIXTURES.values(), "baselines", "candidates", *_OBJECTIVE)


# --- the verdict and the test's outcome ----------------------------------------------------------------------


def judge_in_setup(item: pytest.Item) -> None:
    """Judge the gate of a marked test; in error, the test is in error too."""
    if item.config.getoption("setupplan", False):
        return
    if REQUEST not in item.stash:
        _fail(
            f"ftgate: {item.nodeid} cannot judge a gate: the mark works on test functions and methods, "
            "and the fixture _ftgate_request must not be overridden"
        )
    _fail_in_error(_judge(item, item.stash[REQUEST]))


def judged_gate(request: pytest.FixtureRequest) -> GateResult:
    """What the fixture ``ftgate`` gives."""
    if request.node.get_closest_marker("ftgate") is None:
        _fail("the fixture ftgate needs the mark: @pytest.mark.ftgate(...)")
    result = _judge(request.node, request)
    _fail_in_error(result)
    return result


def _fail(text: str) -> NoReturn:
    __tracebackhide__ = False  # pytest remarks on it where a failure leaves no line to show
    pytest.fail(text, pytrace=False)


def _fail_in_error(result: GateResult) -> None:
    if result.verdict == "error":
        _fail(failure_text(result))


def _judge(item: pytest.Item, request: pytest.FixtureRequest) -> GateResult:
    """The first verdict of a test is kept: a rerun of the test does not ask the models again."""
    session, nodeid = gate_session(item.config), test_id(item)
    if item.nodeid not in session.results:
        unnamed, config = GateResult(nodeid, nodeid, "error"), None
        try:
            unnamed = GateResult(gate_name(item) or nodeid, nodeid, "error")
            layers = _layers(item, session, lambda given: _fixture_layer(request, given, request.getfixturevalue))
            unnamed = replace(unnamed, gate=layers.gate)
            config = layers.resolve()
            reviewed = layers.reviewed(config, session)
            judged = judge_gate(config, session.services(item.ihook), nodeid=nodeid, reviewed=reviewed)
            judged = replace(judged, result=replace(judged.result, loosened=layers.loosened()))
            samples = {f"{role}_latency": run for role, run in judged.samples.items()}
            guards = {f"{role} guard {guard}": run for (guard, role), run in judged.guards.items()}
            runs = {**judged.runs, **samples, **judged.contest, **guards, **judged.judging}
            session.record(filed_as(config, nodeid), runs, judged.jobs)
        except FtgateError as error:
            judged = Judged(failed_result(unnamed, error))
        except BaseException as error:
            if config is not None or not isinstance(error, _SKIPPED):  # only a fixture may skip its test
                session.keep(Judged(failed_result(unnamed, _ended_by(error))), item)
            raise
        session.keep(judged, item)
    return session.results[item.nodeid]


def _ended_by(error: BaseException) -> FtgateError:
    """What keeps the gate from being judged, in our terms."""
    if not isinstance(error, Interrupted):
        return FtgateError(f"{type(error).__name__}: {error}")
    went_on = f"calls of {', '.join(error.abandoned)} could not be cancelled and were abandoned; " * bool(
        error.abandoned
    )
    return FtgateError(
        "interrupted while the models were asked",
        cure=f"{went_on}run again to go on: what had arrived is kept (unless --ftgate-cache=off)",
    )


def fail_unscored(item: pytest.Item) -> None:
    """The free checks did not hold: there is nothing that a body could look at."""
    result = gate_session(item.config).results[item.nodeid]
    if not result.scored:
        raise_verdict(item)


def raise_verdict(item: pytest.Item) -> None:
    """Fail the test unless the gate passed."""
    result = gate_session(item.config).results[item.nodeid]
    if not result.passed:
        _fail(failure_text(result))


def hold_report(item: pytest.Item, report: pytest.TestReport) -> None:
    """A gate that is not green shows in the report, whatever the body did: a failure of its own, or a skip."""
    session = gate_session(item.config)
    result = session.results.get(item.nodeid)
    if report.when == "setup" and report.skipped and result is None:
        session.see_skipped(item, report)
    if report.when != "call" or result is None or result.passed:
        return
    text = failure_text(result)
    if text in report.longreprtext:
        return
    add_section = getattr(report.longrepr, "addsection", None)
    if report.outcome == "failed" and add_section is not None:
        add_section("ftgate", text)
    elif not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = text


# --- from marks and fixtures to a configuration --------------------------------------------------------------


@dataclass(frozen=True)
class _Layers:
    """The places that give a gate's keys, nearest first within each."""

    marks: Sequence[Layer]
    fixtures: Sequence[Layer]
    file: GateFile | None
    promised: GateFile | None
    gate: str | None
    nodeid: str
    root: Path

    def resolve(self) -> GateConfig:
        """The gate as it is judged."""
        written = self.file.layers(self.gate) if self.file is not None else ()
        layers = [*self.marks, *self.fixtures, *written]
        return resolve_gate(layers, file=self.file, gate=self.gate, default_name=self.nodeid, root=self.root)

    def loosened(self) -> tuple[str, ...]:
        """Where the test asks for less than the gate in the file does, and the defaults that it relies on there."""
        promised = self.promised or self.file
        if self.gate is None or promised is None:
            return ()
        return tuple(map(str, weakenings(self._as_of(promised), self.resolve())))

    def reviewed(self, config: GateConfig, session: GateSession) -> tuple[Check, ...]:
        """Whether ``config`` asks for less than the gate in the file did where this change began."""
        past = session.past() if self.gate is not None else None
        if past is None or self.gate is None:
            return ()
        return review_checks(
            past,
            self.gate,
            before=self._as_of,
            after=config,
            loosened=self.loosened(),
            forbidden=session.forbids_weakening,
        )

    def _as_of(self, then: GateFile) -> GateConfig:
        """The gate as another state of the file asks for it; marks name models that only today's may have."""
        file = replace(then, models={**(self.file.models if self.file else {}), **then.models})
        layers = [*file.layers(self.gate), *map(_required_keys, (*self.marks, *self.fixtures)), _ANY_CANDIDATE]
        return resolve_gate(layers, file=file, gate=self.gate, default_name=self.nodeid)


def _required_keys(layer: Layer) -> Layer:
    """What the file may leave to others: the keys that have no default."""
    return replace(layer, values={key: value for key, value in layer.values.items() if key in _REQUIRED})


def _layers(item: pytest.Item, session: GateSession, fixtures: Callable[[set[str]], Layer | None]) -> _Layers:
    gate = gate_name(item)
    source = Source("marker", "marker", item.path.parent)
    marks = [Layer(dict(mark.kwargs), dict.fromkeys(mark.kwargs, source)) for mark in marks_nearest_first(item)]
    overridden = fixtures({key for layer in marks for key in layer.values})
    file = session.gate_file(required=gate is not None)
    promised = session.promised(gate) if gate is not None else None
    root = item.config.rootpath
    return _Layers(marks, [overridden] if overridden else [], file, promised, gate, test_id(item), root)


def _fixture_layer(request: pytest.FixtureRequest, given: set[str], value_of: Callable[[str], Any]) -> Layer | None:
    """What overridden fixtures give, as far as no mark gives it already, and parameters that stand for fixtures."""
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    parameters = _parameters(request.node)
    for name, key in _FIXTURES.items():
        function = _override(request, name)
        is_parameter = function is None and name in parameters
        if key in given or (key in ("baseline", "candidate") and f"{key}s" in given):
            if is_parameter:
                raise _given_twice(request.node, name, key)
            continue
        if is_parameter:
            sources[key], value = Source("fixture", f"parameter {name}", request.path.parent), parameters[name]
        elif function is not None:
            sources[key], value = _fixture_source(name, function), value_of(name)
        else:
            continue
        if value is None:
            raise ConfigError(f"the {sources[key]} returned None", cure="Return the model or the examples.")
        values[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return Layer(values, sources) if values else None


def _parameters(item: pytest.Item) -> Mapping[str, Any]:
    """The values that the test was parametrized with, by name."""
    found: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def _given_twice(item: pytest.Item, name: str, key: str) -> ConfigError:
    return ConfigError(
        f"{key} is given by a mark and by the parameter {name}",
        where=Where(shown_path(item.path)),
        cure="Keep one of the two.",
    )


def _override(request: pytest.FixtureRequest, name: str) -> Callable[..., Any] | None:
    """The function of a fixture that a user put in place of ours.

    pytest has no public way to ask which function stands behind a fixture's name.
    """
    where: Any = request.node if pytest.version_tuple >= (8, 1) else request.node.nodeid
    definitions = request._fixturemanager.getfixturedefs(name, where)
    function = definitions[-1].func if definitions else None
    return None if function is None or function.__module__ == "pytest_ftgate.plugin" else function


def _fixture_source(name: str, function: Callable[..., Any]) -> Source:
    plain = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(plain, "__code__", None)
    if code is None:
        return Source("fixture", f"fixture {name}", Path.cwd())
    place = f"{shown_path(code.co_filename)}:{code.co_firstlineno}"
    return Source("fixture", f"fixture {name}, {place}", Path(code.co_filename).parent)


# --- our own fixtures ----------------------------------------------------------------------------------------


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


def configured_model(request: pytest.FixtureRequest, key: str) -> CallableModel:
    """What the gate's marks and file say the model is, overridden fixtures aside."""
    from pytest_ftgate.jobs.tuning import build_settled
    from pytest_ftgate.models import Surroundings

    with _as_failure():
        session = gate_session(request.config)
        config = _config_as_written(request, key)
        if key == "candidate" and config.candidates:
            raise ConfigError(
                "the fixture ftgate_candidate cannot say which of the candidates is chosen, before they are judged",
                where=Where(str(config.sources["candidates"]), key="candidates"),
                cure="Ask for the fixture ftgate, whose candidate is the chosen one.",
            )
        spec = config.candidate if key == "candidate" else next(iter(config.baselines.values()))
        if not spec.provider:
            raise ConfigError("this gate has no candidate yet: its stage is ready", where=Where(key="candidate"))
        training = None
        if spec.options.keys() & {"few_shot", "retrieval"}:
            training = session.load(config.training_set, str(config.sources["training_set"]), request.node.ihook)
        offline = bool(request.config.getoption("--ftgate-offline"))
        services = session.services(request.node.ihook)
        surroundings = Surroundings(training, services.notes(), offline, services.stores.newer_than)
        model = build_settled(spec, surroundings, services.hook)
        return CallableModel(model, offline=offline)


def configured_data(request: pytest.FixtureRequest, key: str) -> tuple[Example, ...]:
    """The examples that the gate's marks and file name, overridden fixtures aside."""
    with _as_failure():
        config = _config_as_written(request, key)
        source, session = str(config.sources[key]), gate_session(request.config)
        return session.load(getattr(config, key), source, request.node.ihook).examples


def _config_as_written(request: pytest.FixtureRequest, key: str) -> GateConfig:
    """The gate as far as ``key`` goes, without an overridden fixture for it: that one may be what asks.

    Other overridden fixtures are not set up; a stand-in for each satisfies "required".
    """
    name = f"ftgate_{key}"
    if name in _parameters(request.node):
        cure = "Leave out indirect: the parameter itself is the model or the examples."
        raise ConfigError(f"the fixture {name} takes no parameter", where=Where(shown_path(request.path)), cure=cure)
    stand_ins: Mapping[str, Any] = {"ftgate_baseline": str, "ftgate_candidate": str}

    def fixtures(given: set[str]) -> Layer | None:
        return _fixture_layer(request, given | {key}, lambda name: stand_ins.get(name, ()))

    return _layers(request.node, gate_session(request.config), fixtures).resolve()


def evaluator(request: pytest.FixtureRequest) -> Callable[..., Run]:
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

        session = gate_session(request.config)
        source = Source("marker", "ftgate_evaluate", request.path.parent)
        services = session.services(request.node.ihook)
        file = session.gate_file(required=False)
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
        _fail(str(error))
