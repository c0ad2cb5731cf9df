"""Use Python callables as models: functions in their own threads, coroutines in the runner's loop."""

import asyncio
import hashlib
import inspect
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from numbers import Number
from operator import attrgetter
from typing import Any, NoReturn, cast
from weakref import WeakValueDictionary

from pytest_ftgate import clock
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.config.source import token
from pytest_ftgate.data import Example, canonical_json, expected_text, without_instructions
from pytest_ftgate.errors import RAISED_CURE, ConfigError, ModelError, Where, is_cancelled_from_outside, may_pass, told
from pytest_ftgate.models.price import price_of, written_price
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.models.protocol import (
    BuiltModel,
    Completion,
    Delegate,
    Model,
    Question,
    Surroundings,
    is_count,
    is_seconds,
    parts_of,
)
from pytest_ftgate.models.returned import encoded, label_of, predicted, unreadable
from pytest_ftgate.models.workers import CALLS_AT_ONCE, InProcesses, Workers
from pytest_ftgate.text import nearest


def resolve_target(target: str, where: Where) -> Callable[..., Any]:
    """Return the callable that a target names. Raises :class:`ConfigError`."""
    module, _, path = target.partition(":")
    if not (module and path):
        raise ConfigError(f"{target!r} is not of the form pkg.module:function", where=where)
    found: Any = _imported(module, where)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            near, called = nearest(name, dir(found)), getattr(found, "__name__", type(found).__name__)
            what, cure = f"{target!r}: there is no {name!r} in {called}", f"did you mean {near!r}?" if near else None
            raise ConfigError(what, where=where, cure=cure) from None
    if not (callable(found) or predicts(found)):
        what = f"{target!r} is of type {type(found).__name__}: neither a function nor an object with predict"
        raise ConfigError(what, where=where)
    return cast("Callable[..., Any]", found)


def _imported(module: str, where: Where) -> Any:
    try:
        return import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit() or pytest.skip()
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{module}.".startswith(f"{absent}."):
            cure = "install it, or add its folder to pytest's ini key pythonpath"
            raise ConfigError(f"there is no module {absent!r}", where=where, cure=cure) from None
        evidence = f"{type(error).__name__}: {error}"
        raise ConfigError(f"the module {module!r} cannot be imported", where=where, evidence=evidence) from error


CONCURRENCY_ASYNC = 16
CONCURRENCY_SYNC = 1
PREDICTED_AT_ONCE = 256  # inputs that one call of predict gets, unless batch_size says otherwise
_MODEL_PARTS = ("aclose", "name", "spelling", "concurrency", "timeout_s", "retries", "persistent", "verified", "price")
_CHANGE_NO_ANSWER = frozenset(("revision", "concurrency", "timeout_s", "retries", "price", "name"))
_ANY_MODELS = ("concurrency", "timeout_s", "retries", "price", "strip_reasoning")
_CONSTANTS = (str, bytes, int, float, complex, tuple, frozenset, type(None), re.Pattern)
_OTHER_LOOP = ("different loop", "different event loop", "event loop is closed")


@dataclass(eq=False, kw_only=True)
class FunctionModel(BuiltModel):
    """Call ``input -> str`` (or :class:`Completion`) with the input as the example has it.

    An exception of the callable is a failed call, which is retried if it is about a connection or a time-out. The
    callable may be a coroutine function; if it takes a list of inputs, it returns a list of as many answers.
    """

    function: Callable[[Any], Any]
    identity: str  # stands for the callable in the keys of its answers
    batch_size: int = 1
    given: Callable[[Example], Any] = attrgetter("input")  # what the callable takes
    batched: bool | None = None  # whether the callable takes a list; by default where batch_size is above 1
    prompt: Prompt | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    exclusive: frozenset[Any] = frozenset()
    numbers: bool = True  # whether a number may be an answer, which it is not where all expected outputs are words
    abandons: bool = field(init=False)
    _workers: Workers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.abandons = not is_async(self.function)
        self.batched = self.batch_size > 1 if self.batched is None else self.batched
        self._workers = Workers(f"ftgate {self.name}")

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of the callable's identity and the input."""
        facts: dict[str, Any] = {"provider": "python", "identity": self.identity, "input": self.given(example)}
        if repeat:
            facts["repeat"] = repeat
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        """Call the callable once."""
        if self.batched:
            (answer,) = await self.complete_many([Question("", example, repeat)])
        else:
            answer = self._completion(await self._call(self._input(example)))
        if isinstance(answer, ModelError):
            raise answer
        return answer

    async def complete_many(self, questions: Sequence[Question]) -> Sequence[Completion | ModelError]:
        """Call the callable once with all inputs; each answer's latency is that of the call."""
        start = clock.perf_counter()
        given = [self._input(question.example) for question in questions]
        answers = self._list(await self._call(given), len(given))
        latency_s = clock.perf_counter() - start
        return [self._completion(answer, latency_s) for answer in answers]

    def _input(self, example: Example) -> Any:
        """Return the input as the callable gets it: a copy, where it could be changed."""
        given = self.given(example)
        return given if isinstance(given, str | Mapping) else deepcopy(list(given))

    def sent(self, example: Example) -> dict[str, Any]:
        """Return what the callable gets, as messages, with tools where it gets them."""
        given = self.given(example)
        return dict(given) if isinstance(given, Mapping) else super().sent(example)

    async def _call(self, given: Any) -> Any:
        if not self.abandons:
            return await self._awaited(self.function, given)
        outcome = await self._workers.run(partial(self.function, given))
        if outcome.error is not None:
            self._failed(outcome.error)
        if inspect.isawaitable(outcome.value):  # a plain function around a coroutine
            return await self._awaited(lambda _: outcome.value, given)
        return outcome.value

    def _list(self, answers: object, n: int) -> Sequence[object]:
        """Return one answer for each input, in their order."""
        found = f"a value of type {type(answers).__name__}"
        if isinstance(answers, Sequence) and not isinstance(answers, str):
            if len(answers) == n:
                return answers
            found = f"{len(answers):,} answers for {n:,} inputs"
        raise ModelError(
            f"{self.name} returned {found}",
            cure="with batch_size, return a list with one answer for each input of the list",
        )

    async def aclose(self) -> None:
        self._workers.stop()

    async def _awaited(self, function: Callable[[Any], Any], given: Any) -> Any:
        try:
            return await function(given)
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                raise
            self._failed(error)
        except GeneratorExit:
            raise
        except BaseException as error:  # also sys.exit() and pytest.skip()
            self._failed(error)

    def _failed(self, error: BaseException) -> NoReturn:
        if isinstance(error, KeyboardInterrupt | ModelError):
            raise error
        cure = RAISED_CURE
        if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OTHER_LOOP):
            cure = "create the client inside the call: one made in another event loop cannot be used in this one"
        elif getattr(self.function, "__name__", "") == "predict" and hasattr(self.function, "__self__"):
            cure = "pass the object itself, not its method predict, which takes a list of inputs"
        raise ModelError(
            f"{self.name} raised {told(error, self.function)}",
            retryable=may_pass(error),
            cure=cure,
        ) from error

    def _completion(self, answer: object, latency_s: float | None = None) -> Completion | ModelError:
        label = label_of(answer)
        if label is not None:
            is_number = isinstance(answer, Number) and not isinstance(answer, bool)
            if not self.numbers and (is_number or re.fullmatch(r"LABEL_\d+", label)):
                return encoded(self.name, label)
            return Completion(label, latency_s=latency_s)
        if isinstance(answer, Completion):
            return replace(answer, latency_s=latency_s) if answer.latency_s is None else answer
        if isinstance(answer, ModelError):
            return answer
        if inspect.iscoroutine(answer):
            answer.close()  # or Python warns that it was never awaited
        return unreadable(self.name, answer)


def build_target(spec: ModelSpec, surroundings: Surroundings) -> FunctionModel:
    """Return the model ``python:pkg.module:function``. Raises :class:`ConfigError`."""
    target, workers = spec.options["target"], spec.options.get("workers")
    model = _function_model(resolve_target(target, spec.source.where("target")), spec, target)
    model.numbers = _expects_numbers(surroundings)
    if workers is None:
        return model
    if is_async(model.function):
        cure = "remove workers, and set concurrency: coroutines run concurrently in one process"
        what = "a coroutine function cannot be called in processes"
        raise ConfigError(what, where=spec.source.where("workers"), cure=cure)
    calls = 1 if model.batched else CALLS_AT_ONCE
    return replace(
        model,
        function=InProcesses(model.function, workers, batched=bool(model.batched)),
        batched=True,
        batch_size=workers * model.batch_size * calls,
        timeout_s=None if model.timeout_s is None else model.timeout_s * calls,  # of one process's calls
    )


def build_callable(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return the model that a fixture or a marker gives as an object. Raises :class:`ConfigError`."""
    model = adopt(spec.options["function"], spec)
    if isinstance(model, FunctionModel):
        model.numbers = _expects_numbers(surroundings)
    return model


def _expects_numbers(surroundings: Surroundings) -> bool:
    """Return whether any example that the model will be asked expects a number, or none expects anything."""
    expected = [] if surroundings.asked is None else [one for one in surroundings.asked.expected if one is not None]
    return not expected or any(re.search(r"(?<!\w)\d|LABEL_\d", expected_text(one)) for one in expected)


def adopt(given: Any, spec: ModelSpec) -> Model:
    """Return a callable as a model, and a model as it is. Raises :class:`ConfigError` for anything else."""
    if hasattr(given, "complete") and hasattr(given, "key"):
        if isinstance(given, type):
            raise _unfit(spec, f"the class {given.__name__} is not a model", "pass an instance of it")
        missing = [part for part in _MODEL_PARTS if not hasattr(given, part)]
        if missing:
            raise _unfit(spec, f"the model of type {type(given).__name__} lacks {', '.join(missing)}")
        # One model per object, so that its limit on concurrency holds wherever it is used.
        model = given if Model in type(given).__mro__ else _adoptions.setdefault(id(given), Delegate(given))
        return _as_written(cast("Model", model), type(given).__name__, spec)
    if not (callable(given) or predicts(given)):
        cure = "pass a callable (str -> str, sync or async), an object with predict(), or one with complete() and key()"
        raise _unfit(spec, f"a value of type {type(given).__name__} is not a model", cure)
    return _function_model(given, spec, _written(spec) if "revision" in spec.options else spec.spelling)


def _unfit(
    spec: ModelSpec, what: str, cure: str = "see pytest_ftgate.models.Model for what a model has"
) -> ConfigError:
    return ConfigError(what, where=spec.source.where(), cure=cure)


_adoptions: WeakValueDictionary[int, Delegate] = WeakValueDictionary()


def _as_written(model: Model, kind: str, spec: ModelSpec) -> Model:
    """Check the limits and the price of a model, and return it with what the gate says of it.

    The hook that gave it may have left that out.
    """
    flaws = {
        "concurrency": not is_count(model.concurrency) or model.concurrency < 1,
        "retries": not is_count(model.retries),
        "timeout_s": model.timeout_s is not None and not is_seconds(model.timeout_s),
    }
    wrong = next((part for part, is_wrong in flaws.items() if is_wrong), None)
    if wrong is not None:
        raise _unfit(spec, f"the model of type {kind} has the {wrong} {getattr(model, wrong)!r}")
    price_of(model)
    changed = {key: spec.options[key] for key in _ANY_MODELS if key in spec.options}
    if spec.source.state:
        changed["key"] = partial(_key_in_state, model.key, spec.source.state)
    if "price" in changed:
        changed["price"] = written_price(changed["price"], str(spec.source))
    return cast("Model", Delegate(model, **changed)) if changed else model


def _key_in_state(key: Callable[..., Any], state: str, example: Example, repeat: int = 0) -> Any:
    """Return a model's own key with the parameters of the fixture that gave the model; anything but text as it is."""
    own = key(example, repeat)
    return hashlib.sha256(f"{state}\n{own}".encode()).hexdigest() if isinstance(own, str) else own


def _written(spec: ModelSpec) -> str:
    """Return all keys of a hook's model that can change an answer: with the revision they identify the model."""
    own = {key: value for key, value in spec.options.items() if key not in _CHANGE_NO_ANSWER}
    try:
        return canonical_json([spec.provider, own])
    except (TypeError, ValueError) as error:
        cure = "write its other keys as text, numbers, lists and mappings, or remove revision"
        what = f"answers of {spec.spelling} cannot be kept under a revision: {error}"
        raise ConfigError(what, where=spec.source.where("revision"), cure=cure) from error


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling it gives a coroutine: also for partials, bound methods and ``async __call__``."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004
    )


def predicts(given: object) -> bool:
    """Return whether an object is called by its ``predict``, as a scikit-learn pipeline is. A callable is called."""
    return not callable(given) and callable(getattr(given, "predict", None))


def question(example: Example) -> Any:
    """Return the input; of a conversation that is one question, its text."""
    turns = without_instructions(example.input)
    return turns if isinstance(turns, str) or len(turns) > 1 else turns[0]["content"]


def _function_model(given: Any, spec: ModelSpec, target: str) -> FunctionModel:
    options, by_list = spec.options, predicts(given)
    function: Callable[[Any], Any] = partial(predicted, given) if by_list else given
    revision, state = options.get("revision"), [spec.source.state] if spec.source.state else []
    concurrency = CONCURRENCY_ASYNC if is_async(function) else CONCURRENCY_SYNC
    return FunctionModel(
        **parts_of(spec),
        function=function,
        identity=_session_identity(function, spec) if revision is None else canonical_json([target, revision, *state]),
        persistent=revision is not None,
        concurrency=options.get("concurrency") or concurrency,
        exclusive=frozenset() if is_async(function) or "concurrency" in options else _owners(function),
        batch_size=options.get("batch_size") or (PREDICTED_AT_ONCE if by_list else 1),
        batched=True if by_list else None,
        given=question if by_list else attrgetter("input"),
        price=written_price(options.get("price"), str(spec.source)),
    )


def _session_identity(function: Callable[..., Any], spec: ModelSpec) -> str:
    """Return a name for this very function, and the parameters of the fixture that returned it.

    A callable that holds an object (a bound method, a closure, a partial, an object with ``__call__``) gets a new name
    each time, because the object, such as a model with another adapter, may have changed.
    """
    if _owners(function):
        return secrets.token_hex(16)
    return f"{token(function)} {spec.source.state}".rstrip()


def _owners(function: Any) -> frozenset[int]:
    """Return the ids of the objects that a callable holds, whose state may decide what it answers."""
    if isinstance(function, partial):
        held = [function.func, *function.args, *function.keywords.values()]
        return frozenset().union(*map(_owners, held))
    if (owner := getattr(function, "__self__", None)) is not None:  # a bound method, or its like of C code
        return _owners(owner) | _owners(getattr(function, "__func__", None))
    if inspect.isfunction(function):
        cells = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
        return frozenset().union(*map(_owners, cells))
    stateless = inspect.ismodule(function) or inspect.isclass(function) or inspect.isroutine(function)
    return frozenset() if stateless or isinstance(function, _CONSTANTS) else frozenset([id(function)])
