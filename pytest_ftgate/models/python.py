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
from typing import Any, cast

from pytest_ftgate import clock, errors
from pytest_ftgate.config import ModelSpec, keys
from pytest_ftgate.data import Example, canonical_json, expected_text, without_instructions
from pytest_ftgate.models import price, workers
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.models.protocol import (
    BuiltModel,
    Completion,
    Delegate,
    Model,
    Question,
    Surroundings,
    parts_of,
)

CONCURRENCY_ASYNC, CONCURRENCY_SYNC = 16, 1
PREDICTED_AT_ONCE = 256  # inputs that one call of predict gets, unless batch_size says otherwise
_CHANGE_NO_ANSWER = frozenset(("revision", "concurrency", "timeout_s", "retries", "price", "name"))
_ANY_MODELS = ("concurrency", "timeout_s", "retries", "price", "strip_reasoning")
# of a model object
_NEEDED = ("name", "spelling", "concurrency", "timeout_s", "retries", "persistent")
_LIMITS: Mapping[str, Callable[[Any], bool]] = {
    "concurrency": lambda value: type(value) is int and value > 0,
    "retries": lambda value: type(value) is int and value >= 0,
    "timeout_s": lambda value: value is None or (isinstance(value, int | float) and value >= 0),
}
_CONSTANTS = (str, bytes, int, float, complex, tuple, frozenset, type(None), re.Pattern)


@dataclass(eq=False, kw_only=True)
class FunctionModel(BuiltModel):
    """Call ``input -> str`` (or :class:`Completion`) with the input as the example has it.

    An exception of the callable is a failed call, which is retried if it is about a connection or a
    time-out. The callable may be a coroutine function; if it takes a list of inputs, it returns a
    list of as many answers.
    """

    function: Callable[[Any], Any]
    identity: str  # stands for the callable in the keys of its answers
    batch_size: int = 1
    given: Callable[[Example], Any] = attrgetter("input")  # what the callable takes
    batched: bool = False  # whether the callable takes a list
    prompt: Prompt | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    exclusive: frozenset[Any] = frozenset()
    # whether a number may be an answer, which it is not where all expected outputs are words
    numbers: bool = True
    abandons: bool = field(init=False)
    _workers: workers.Workers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.abandons = not is_async(self.function)
        self._workers = workers.Workers(f"ftgate {self.name}")

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of the callable's identity and the input."""
        facts = {"provider": "python", "identity": self.identity, "input": self.given(example)}
        facts |= {"repeat": repeat} if repeat else {}
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        """Call the callable once."""
        (answer,) = await self.complete_many([Question("", example, repeat)])
        if isinstance(answer, errors.ModelError):
            raise answer
        return answer

    async def complete_many(
        self, questions: Sequence[Question]
    ) -> Sequence[Completion | errors.ModelError]:
        """Call the callable once with all inputs; the latency of each of several answers is that of the call."""
        start = clock.perf_counter()
        inputs = (self.given(question.example) for question in questions)
        # Messages are copied: the callable may change them.
        given = [one if isinstance(one, str | Mapping) else deepcopy(list(one)) for one in inputs]
        found = await self._call(given if self.batched else given[0])
        if not self.batched:
            return [self._completion(found)]
        latency_s = clock.perf_counter() - start
        return [
            self._completion(answer, latency_s)
            for answer in workers.one_each(self.name, found, len(given))
        ]

    def sent(self, example: Example) -> dict[str, Any]:
        """Return what the callable gets, as messages, with tools where it gets them."""
        given = self.given(example)
        return dict(given) if isinstance(given, Mapping) else super().sent(example)

    async def aclose(self) -> None:
        self._workers.stop()

    async def _call(self, given: Any) -> Any:
        error: BaseException | None = None
        try:
            call = partial(self.function, given)
            value, error = await self._workers.run(call) if self.abandons else (call(), None)
            if error is not None:
                raise error
            return await value if inspect.isawaitable(value) else value
        except (KeyboardInterrupt, errors.ModelError):
            raise
        except BaseException as raised:  # also sys.exit() and pytest.skip()
            is_closed = isinstance(raised, GeneratorExit) and error is None
            if is_closed or (
                isinstance(raised, asyncio.CancelledError) and errors.is_cancelled_from_outside()
            ):
                raise
            raise workers.failed_call(self.name, raised) from raised

    def _completion(
        self, answer: object, latency_s: float | None = None
    ) -> Completion | errors.ModelError:
        if isinstance(answer, errors.ModelError):
            return answer
        if isinstance(answer, Completion):
            return replace(answer, latency_s=latency_s) if answer.latency_s is None else answer
        label = workers.label_of(answer)
        if label is None:
            return workers.unreadable(self.name, answer)
        is_number = isinstance(answer, Number) and not isinstance(answer, bool)
        if self.numbers or not (is_number or re.fullmatch(r"LABEL_\d+", label)):
            return Completion(label, latency_s=latency_s)
        what = f"{self.name} returned {label}, the number of a label, and the outputs of the test set are words"
        cure = "return the text from the label encoder, encoder.inverse_transform([n])[0], or set id2label of the model"
        return errors.ModelError(what, cure=cure, fatal=True)


def build_target(spec: ModelSpec, surroundings: Surroundings) -> FunctionModel:
    """Return the model ``python:pkg.module:function``. Raises :class:`ConfigError`."""
    target, processes, where = (
        spec.options["target"],
        spec.options.get("workers"),
        spec.source.where,
    )
    module, _, path = target.partition(":")
    try:
        given = attrgetter(path)(import_module(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit() or pytest.skip()
        evidence = f"{type(error).__name__}: {error}"
        cure = "correct it, or add the module's folder to pytest's ini key pythonpath"
        what = f"{target!r} cannot be imported"
        raise errors.ConfigError(
            what, where=where("target"), evidence=evidence, cure=cure
        ) from error
    if not (callable(given) or predicts(given)):
        what = f"{target!r} is of type {type(given).__name__}: neither a function nor an object with predict"
        raise errors.ConfigError(what, where=where("target"))
    model = _function_model(given, spec, target, surroundings)
    if processes is None:
        return model
    if is_async(model.function):
        cure = "remove workers, and set concurrency: coroutines run concurrently in one process"
        raise errors.ConfigError(
            "a coroutine function cannot be called in processes", where=where("workers"), cure=cure
        )
    function = workers.InProcesses(model.function, processes, batched=model.batched)
    calls = 1 if model.batched else workers.CALLS_AT_ONCE
    # of one process's calls
    timeout_s = None if model.timeout_s is None else model.timeout_s * calls
    size = processes * model.batch_size * calls
    return replace(model, function=function, batched=True, batch_size=size, timeout_s=timeout_s)


def build_callable(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return the model of an object that a marker or a fixture gives.

    Raise :class:`ConfigError`.
    """
    return adopt(spec.options["function"], spec, surroundings)


def adopt(given: Any, spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return a callable as a model, and a model with what the gate says of it; else raise :class:`ConfigError`."""
    kind = type(given).__name__
    if not (hasattr(given, "complete") and hasattr(given, "key")):
        if callable(given) or predicts(given):
            target = spec.spelling
            # all keys that can change an answer identify the model with it
            if "revision" in spec.options:
                own = {
                    key: value
                    for key, value in spec.options.items()
                    if key not in _CHANGE_NO_ANSWER
                }
                what = f"writing the keys of {spec.spelling} beside its revision"
                target = errors.guarded(what, canonical_json, [spec.provider, own])
            return _function_model(given, spec, target, surroundings)
        cure = "pass a callable (str -> str, sync or async), an object with predict(), or one with complete() and key()"
        raise errors.ConfigError(
            f"a value of type {kind} is not a model", where=spec.source.where(), cure=cure
        )
    lacking = [part for part in _NEEDED if not hasattr(given, part)]
    wrong = [
        part for part, fits in _LIMITS.items() if not lacking and not fits(getattr(given, part))
    ]
    if lacking or wrong:
        flaw = (
            f"lacks {', '.join(lacking)}"
            if lacking
            else f"has the {wrong[0]} {getattr(given, wrong[0])!r}"
        )
        cure = "see pytest_ftgate.models.Model for what a model has"
        raise errors.ConfigError(
            f"the model of type {kind} {flaw}", where=spec.source.where(), cure=cure
        )
    model = cast("Model", given if Model in type(given).__mro__ else Delegate(given))
    price.price_of(model)
    changed: dict[str, Any] = {key: spec.options[key] for key in _ANY_MODELS if key in spec.options}
    if "price" in changed:
        changed["price"] = price.written_price(changed["price"], str(spec.source))
    if state := spec.source.state:

        def key(example: Example, repeat: int = 0) -> Any:
            """Return the model's own key with the parameters of the fixture that gave it; what is no text as it is."""
            own = model.key(example, repeat)
            return (
                hashlib.sha256(f"{state}\n{own}".encode()).hexdigest()
                if isinstance(own, str)
                else own
            )

        changed["key"] = key
    return cast("Model", Delegate(model, **changed)) if changed else model


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling it gives a coroutine: also for bound methods and ``async __call__``."""
    return any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004


def predicts(given: object) -> bool:
    """Return whether an object is called by its ``predict``, as a scikit-learn pipeline is.

    A callable is called.
    """
    return not callable(given) and callable(getattr(given, "predict", None))


def question(example: Example) -> Any:
    """Return the input; of a conversation that is one question, its text."""
    turns = without_instructions(example.input)
    return turns if isinstance(turns, str) or len(turns) > 1 else turns[0]["content"]


def _function_model(
    given: Any, spec: ModelSpec, target: str, surroundings: Surroundings
) -> FunctionModel:
    """Return a callable as a model.

    Without a revision it is known by itself, and by the parameters of the fixture that returned it.
    One that holds an object (a bound method, a closure, a partial, an object with ``__call__``)
    gets a new name each time, because the object, such as a model with another adapter, may have
    changed.
    """
    options, state, by_list = spec.options, spec.source.state, predicts(given)
    function: Callable[[Any], Any] = partial(workers.predicted, given) if by_list else given
    owners, waits, revision = _owners(function), is_async(function), options.get("revision")
    identity = secrets.token_hex(16) if owners else f"{keys.token(function)} {state}".rstrip()
    if revision is not None:
        identity = canonical_json([target, revision, *([state] if state else [])])
    asked = () if surroundings.asked is None else surroundings.asked.expected
    expected = [expected_text(one) for one in asked if one is not None]
    batch_size = options.get("batch_size") or (PREDICTED_AT_ONCE if by_list else 1)
    return FunctionModel(
        **parts_of(spec),
        function=function,
        identity=identity,
        persistent=revision is not None,
        concurrency=options.get("concurrency")
        or (CONCURRENCY_ASYNC if waits else CONCURRENCY_SYNC),
        exclusive=frozenset() if waits or "concurrency" in options else owners,
        batch_size=batch_size,
        batched=by_list or batch_size > 1,
        given=question if by_list else attrgetter("input"),
        price=price.written_price(options.get("price"), str(spec.source)),
        numbers=not expected or any(re.search(r"(?<!\w)\d|LABEL_\d", one) for one in expected),
    )


def _owners(function: Any) -> frozenset[int]:
    """Return the ids of the objects that a callable holds, whose state may decide what it answers."""
    if isinstance(function, partial):
        held = [function.func, *function.args, *function.keywords.values()]
    elif (
        owner := getattr(function, "__self__", None)
    ) is not None:  # a bound method, or its like of C code
        held = [owner, getattr(function, "__func__", None)]
    elif inspect.isfunction(function):
        held = [
            cell.cell_contents
            for cell in function.__closure__ or ()
            if cell.cell_contents is not function
        ]
    else:
        stateless = (
            inspect.ismodule(function) or inspect.isclass(function) or inspect.isroutine(function)
        )
        return (
            frozenset()
            if stateless or isinstance(function, _CONSTANTS)
            else frozenset([id(function)])
        )
    return frozenset().union(*map(_owners, held))
