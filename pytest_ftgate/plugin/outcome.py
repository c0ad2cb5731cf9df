"""Judge the gate of a marked test in its set-up, turn the verdict into the test's outcome, and give fixtures values."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from pytest_ftgate.checks.audit import check_test_set
from pytest_ftgate.config import Layer, Source, resolve_gate
from pytest_ftgate.data import Example, Input
from pytest_ftgate.errors import ConfigError, FtgateError, Interrupted, ModelError, Where
from pytest_ftgate.gate import inputs, state
from pytest_ftgate.gate.run import judge_gate
from pytest_ftgate.metrics.judged import refuse_judged
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.plugin.layers import MARK, claimed_name, id_of, layers_of, refuse_unused_fixtures
from pytest_ftgate.plugin.required_gates import BROKEN
from pytest_ftgate.plugin.session import GateSession
from pytest_ftgate.reports.sentences import headline
from pytest_ftgate.reports.text import failure_text, title
from pytest_ftgate.result import GateResult, closed, error_check, failed_result
from pytest_ftgate.runs import jobs, measure, runner
from pytest_ftgate.text import plural, printable

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)


def judge_in_setup(
    item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession
) -> None:
    """Judge the gate of a marked test; if the verdict is ``error``, the test's set-up fails.

    ``request`` is None if the fixture that keeps it was not set up.
    """
    if item.config.getoption("setupplan", False):
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        return
    if request is not None:
        _judge(request, session)
        return
    needs = (
        "needs a test function or method, and the fixture _ftgate_request must not be overridden"
    )
    _refuse(
        item, session, FtgateError(f"{item.nodeid} cannot judge a gate: the ftgate marker {needs}")
    )
    _fail_gate(item, session.results[item.nodeid])


def _refuse(item: pytest.Item, session: GateSession, error: FtgateError) -> None:
    """Make the verdict of a test ``error``, so that the session fails, whatever becomes of the test."""
    result = session.results.get(item.nodeid)
    if result is None:
        result = GateResult(claimed_name(item), id_of(item), "error")
    session.keep(state.Judged(failed_result(result, error)), item)


def refuse_late_marks(item: pytest.Item, session: GateSession) -> None:
    """Make the verdict of a test ``error`` whose markers changed after its gate was judged, or could have been."""
    session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
    what = f"the ftgate markers of {item.nodeid} changed after its set-up, where its gate is judged"
    cure = "Put the marker on the test; a fixture may also add it, and so may pytest_collection_modifyitems."
    _refuse(item, session, FtgateError(what, cure=cure))


def judged_gate(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    if request.node.get_closest_marker(MARK) is None:
        fail("the fixture ftgate needs the marker @pytest.mark.ftgate(...) on the test")
    return _judge(request, session)


def _fail_gate(item: pytest.Item, result: GateResult) -> NoReturn:
    """Fail the test with the block of its gate."""
    fail(failure_text(result, item.config.get_verbosity()))


def fail(text: str) -> NoReturn:
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    pytest.fail(text, pytrace=False)


def _judge(request: pytest.FixtureRequest, session: GateSession) -> GateResult:
    """Return the verdict of a test.

    It is computed once: a rerun of the test does not call the models again.
    """
    item: pytest.Item = request.node
    if session.planning is not None:
        _plan_and_leave(request, session)
    nodeid = id_of(item)
    if item.nodeid not in session.results:
        session.judged_with[item.nodeid] = tuple(item.iter_markers(MARK))
        unnamed, config = GateResult(claimed_name(item), nodeid, "error"), None
        try:
            layers = layers_of(request, session.project)
            unnamed = replace(unnamed, gate=layers.gate)
            config = layers.config
            reviewed, services = layers.reviewed(session.project), session.services(item.ihook)
            judged = judge_gate(config, services, nodeid=nodeid, reviewed=reviewed)
            if judged.result.verdict != "error":
                services.stores.finish(judged.runs.values())
            judged = replace(
                judged,
                result=replace(
                    judged.result,
                    loosened=tuple(f"{key}: {values}" for key, values in layers.loosened.items()),
                ),
            )
        except FtgateError as error:
            judged = state.Judged(failed_result(unnamed, error))
        except Interrupted as error:
            check = error_check(_interruption(error), "interrupted")
            session.keep(state.Judged(closed(unnamed, (*unnamed.checks, check))), item)
            raise
        except BaseException as error:
            # only a fixture may skip its test
            if config is not None or not isinstance(error, _SKIPPED):
                unexpected = FtgateError(f"{type(error).__name__}: {error}")
                session.keep(state.Judged(failed_result(unnamed, unexpected)), item)
            raise
        session.keep(judged, item)
    result = session.results[item.nodeid]
    if result.verdict == "error":
        _fail_gate(item, result)
    return result


def _interruption(error: Interrupted) -> FtgateError:
    kept, total = error.kept
    counted = f": {kept:,} of {plural(total, 'answer')} are stored" if total else ""
    cure = "Run again to continue: stored answers are reused."
    if error.abandoned:
        cure = f"Calls to {', '.join(error.abandoned)} could not be cancelled and may still be running. {cure}"
    return FtgateError(f"stopped by Ctrl-C{counted}", cure=cure)


def _plan_and_leave(request: pytest.FixtureRequest, session: GateSession) -> NoReturn:
    """Plan the gate of a test once, and skip the test; it fails where the plan fails."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    from pytest_ftgate.gate.plan import Plan, plan_gate
    from pytest_ftgate.reports.plan import plan_lines

    item: pytest.Item = request.node
    session.see_absent(item, f"was not judged: {session.planning} gives no verdict")
    if item.nodeid not in session.plans:
        try:
            layers, few = (
                layers_of(request, session.project),
                item.config.getoption("--ftgate-preview") or 0,
            )
            reviewed, services = layers.reviewed(session.project), session.services(item.ihook)
            plan = plan_gate(
                layers.config, services, nodeid=id_of(item), reviewed=reviewed, preview=few
            )
        except FtgateError as error:
            plan = Plan(claimed_name(item), (error_check(error),))
        lines = plan_lines(plan, full=item.config.get_verbosity() > 0)
        session.plans[item.nodeid] = lines, plan.failed
    (heading, *_), failed = session.plans[item.nodeid]
    if failed:
        pytest.fail(heading.text, pytrace=False)
    pytest.skip(f"{session.planning} gives no verdict")


@contextmanager
def verdict_after_body(
    item: pytest.Item, request: pytest.FixtureRequest | None, session: GateSession
) -> Iterator[None]:
    """Fail the test unless the gate passed, even if the body skips.

    A failure of the body is reported first.

    The body only runs if the models were called and scored. It may have requested a fixture that
    the gate did not use.
    """
    result, skipped = session.results[item.nodeid], None
    if (result.scored and result.models_called) or result.passed:
        try:
            yield
        except _SKIPPED as error:
            skipped = error
        if request is not None:
            try:
                refuse_unused_fixtures(request)
            except ConfigError as error:
                _refuse(item, session, error)
                result = session.results[item.nodeid]
    if not result.passed:
        _fail_gate(item, result)
    if skipped is not None:
        raise skipped


def hold_report(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    session: GateSession,
    *,
    late: bool,
) -> None:
    """Make sure that the test's report shows a gate that did not pass, even if the body failed or skipped.

    The failure has the gate's block; the line of pytest's short summary says why. The verdict
    reaches xdist's controller as an attribute of the report.

    Args:
        late: the verdict is new, because the markers changed during this phase.
    """
    if item.nodeid in session.facts:
        vars(report)[MARK] = session.facts[item.nodeid]
    result = session.results.get(item.nodeid)
    skipped = f"was skipped: {_why_skipped(report)}" if report.skipped else ""
    if report.when == "setup" and result is None and item.get_closest_marker(MARK) is not None:
        if skipped and call.excinfo is not None and not isinstance(call.excinfo.value, _SKIPPED):
            cause = f"{type(call.excinfo.value).__name__}: {call.excinfo.value}"
            hidden = f"xfail hides that the set-up failed before the gate was judged: {cause}"
            _refuse(item, session, FtgateError(hidden))
        elif skipped or report.failed:
            session.see_absent(item, skipped or BROKEN)
    elif report.when == "call":
        session.see_absent(item, skipped)
    if result is None or result.passed or (report.when == "teardown" and not late):
        return
    heading, why = title(result).text, printable(headline(result))
    if heading in report.longreprtext:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and heading in crash.message:
            crash.message = why
    elif report.when == "call" or late:
        add_section = getattr(report.longrepr, "addsection", None)
        whole = failure_text(result, item.config.get_verbosity())
        if report.outcome == "failed" and add_section is not None:
            add_section("ftgate", whole)
        elif not hasattr(report, "wasxfail"):
            report.outcome, report.longrepr = "failed", f"{why}\n{whole}"


def _why_skipped(report: pytest.TestReport) -> str:
    """Return the reason that the test gives for skipping, which pytest stores elsewhere for xfail."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        reason = str(expected).removeprefix("reason: ")
        return f"xfail: {reason}".rstrip(": ")

    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


# --- values of the fixtures: models and examples of a test's gate, and a function that evaluates
# any model -------


class CallableModel:
    """A configured model as a function that takes an input and returns the answer's text.

    Answers are not stored.
    """

    def __init__(
        self, model: Model, asked: Callable[[], Iterable[Example]], *, offline: bool
    ) -> None:
        self.model = model
        self.name = model.name
        self._asked = asked
        self._forbidden = offline and model.endpoint

    def __call__(self, input: Input) -> str:  # noqa: A002  # the public name
        if self._forbidden:
            raise ModelError(f"{self.name} is an endpoint, and --ftgate-offline forbids calls")
        try:
            return runner.ask(self.model, input, self._asked).text
        except ModelError as error:
            raise error.with_traceback(None) from None

    def __repr__(self) -> str:
        return f"<model {self.name}>"


def configured_model(
    request: pytest.FixtureRequest, key: str, session: GateSession
) -> CallableModel:
    """Return the model that the gate's markers and file configure, ignoring overridden fixtures."""
    with _as_failure():
        config, services = (
            layers_of(request, session.project, but=key).config,
            session.services(request.node.ihook),
        )
        spec = next(iter(config.baselines.values())) if key == "baseline" else config.candidate
        if not spec.provider:
            what = "this gate has no candidate yet, because its stage is ready"
            raise ConfigError(what, where=Where(key="candidate"))
        shown = spec.options.keys() & {"few_shot", "retrieval"}
        training = (
            services.load(
                config.training_set, config.sources["training_set"].at, name="training_set"
            )
            if shown
            else None
        )
        model = build_model(spec, Surroundings(training, services.offline), services.hook)

        def asked() -> Iterable[Example]:
            source = config.test_set or request.getfixturevalue("ftgate_test_set")  # overridden
            return services.load(
                source,
                config.sources["test_set"].at,
                labeled=inputs.needs_expected(config, services.hook),
            )

        return CallableModel(model, asked, offline=services.offline)


def configured_data(
    request: pytest.FixtureRequest, key: str, session: GateSession
) -> tuple[Example, ...]:
    """Return the examples that the gate's markers and file configure, ignoring overridden fixtures."""
    with _as_failure():
        config = layers_of(request, session.project, but=key).config
        labeled = key != "test_set" or inputs.needs_expected(config, request.node.ihook)
        source = config.sources[key].at
        return session.data.load(
            getattr(config, key), source, request.node.ihook, name=key, labeled=labeled
        ).examples


@contextmanager
def _as_failure() -> Iterator[None]:
    """Turn an :class:`FtgateError` into a failure without a traceback."""
    try:
        yield
    except FtgateError as error:
        fail(str(error))


def evaluator(request: pytest.FixtureRequest, session: GateSession) -> Callable[..., jobs.Run]:
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
            keys = {"baseline": model, "candidate": model, "test_set": test_set, "metric": metric}
            return _evaluate(keys | {"training_set": (), "margin": 0.0}, request, session)
        except FtgateError as error:
            raise error.with_traceback(None) from None

    return evaluate


def _evaluate(
    keys: Mapping[str, Any], request: pytest.FixtureRequest, session: GateSession
) -> jobs.Run:
    source, services = (
        Source("marker", "ftgate_evaluate", request.path.parent),
        session.services(request.node.ihook),
    )
    file, root = session.project.gate_file(), request.config.rootpath
    layers = [Layer(keys, dict.fromkeys(keys, source))]
    config = resolve_gate(layers, file=file, gate=None, default_name="ftgate_evaluate", root=root)
    test = services.load(config.test_set, str(source))
    check_test_set(test)
    metrics = inputs.build_metrics(config, test, None, services.hook)
    for one in metrics.values():
        refuse_judged(one, "measured by ftgate_evaluate", source=str(source))
    model = build_model(config.candidate, Surroundings(None, services.offline), services.hook)
    job = jobs.Job(model, test, of_candidate=True)
    (run,) = runner.run_models(
        [job], stores=services.stores, offline=services.offline, budget=services.budget
    )
    if run.fatal is not None:
        raise run.fatal
    if run.unanswered:
        cause, cure = (run.failure.cause, run.failure.advice) if run.failure else ("", None)
        counted = f"{len(run.unanswered):,} of {len(run.test_set):,} answers are missing"
        raise ModelError(
            f"{run.model.name}: {cause}; {counted} ({run.unanswered[0].name})", cure=cure
        )
    services.stores.finish([run])
    answers, expected = measure.answers_of(run), [example.expected for example in test.examples]
    return replace(
        run, metrics={name: one.score(expected, answers).value for name, one in metrics.items()}
    )
