"""Use Python callables as models: functions in threads, coroutines in the runner's loop."""

import asyncio
import hashlib
import inspect
import os
import pkgutil
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Number
from operator import attrgetter
from typing import Any, cast

from pytest_ftgate import clock, errors
from pytest_ftgate.config import ModelSpec, forms, keys
from pytest_ftgate.data import Example, canonical_json, expected_text, without_instructions
from pytest_ftgate.guarded import guarded, is_cancelled_from_outside
from pytest_ftgate.models import price, workers
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.models.protocol import (
    BuiltModel,
    Completion,
    Delegate,
    Model,
    Question,
    Surroundings,
    key_of,
    parts_of,
)
from pytest_ftgate.text import excerpt, listed, nearest

CONCURRENCY_ASYNC = 16
CONCURRENCY_SYNC = 1
PREDICTED_AT_ONCE = 256  # inputs that one call of predict gets, unless batch_size says otherwise
_ANY_MODELS = ("concurrency", "timeout_s", "retries", "price", "strip_reasoning")
_CHANGE_NO_ANSWER = frozenset(("revision", "name", *_ANY_MODELS))  # as the model gives it
_NEEDED = ("name", "spelling", "concurrency", "timeout_s", "retries", "persistent")
"""What a model object must have."""
_CONSTANTS = (str, bytes, int, float, complex, tuple, frozenset, type(None), re.Pattern)
_IMPORTING = {os.path.dirname(file) for file in (__file__, pkgutil.__file__)}
"""The folders of the code that imports a target, which is not the user's."""
_LABEL_NUMBER = re.compile(r"LABEL_\d+")


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
    argument: Callable[[Example], Any] = attrgetter("input")  # what the callable takes
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
        facts = {"provider": "python", "identity": self.identity, "input": self.argument(example)}
        if repeat:
            facts["repeat"] = repeat
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
        """Call the callable once with all inputs.

        The latency of each of several answers is that of the call.
        """
        start = clock.perf_counter()
        inputs = [_copied(self.argument(question.example)) for question in questions]
        if not self.batched:
            return [self._completion(await self._call(inputs[0]))]

        returned = await self._call(inputs)
        latency_s = clock.perf_counter() - start
        answers = workers.one_each(self.name, returned, len(inputs))
        return [self._completion(answer, latency_s) for answer in answers]

    def sent(self, example: Example) -> dict[str, Any]:
        """Return what the callable gets, as messages, with tools where it gets them."""
        argument = self.argument(example)
        return dict(argument) if isinstance(argument, Mapping) else super().sent(example)

    async def aclose(self) -> None:
        self._workers.stop()

    async def _call(self, argument: Any) -> Any:
        """Return what the callable returns. Raise :class:`ModelError` where it raises."""
        try:
            if self.abandons:
                value, error = await self._workers.run(partial(self.function, argument))
                if error is not None:
                    raise error
            else:
                value = self.function(argument)
            return await value if inspect.isawaitable(value) else value
        except (KeyboardInterrupt, GeneratorExit, errors.ModelError):
            raise
        except BaseException as raised:  # also sys.exit() and pytest.skip()
            # A cancellation by the runner is no exception of the function.
            if isinstance(raised, asyncio.CancelledError) and is_cancelled_from_outside():
                raise
            raise workers.failed_call(self.name, raised, argument) from raised

    def _completion(
        self, answer: object, latency_s: float | None = None
    ) -> Completion | errors.ModelError:
        if isinstance(answer, errors.ModelError):
            return answer
        if isinstance(answer, Completion):
            completion = answer
            if answer.latency_s is None:
                completion = replace(answer, latency_s=latency_s)
        else:
            label = workers.label_of(answer)
            if label is None:
                return workers.unreadable(self.name, answer)
            completion = Completion(label, latency_s=latency_s)

        is_number = isinstance(answer, Number) and not isinstance(answer, bool)
        if self.numbers or not (is_number or label_number(str(completion.text))):
            return completion
        message = (
            f"{self.name} returned {completion.text}, the number of a label, and the outputs of "
            "the test set are words"
        )
        cure = (
            "return the text from the label encoder, encoder.inverse_transform([n])[0], or set "
            "id2label of the model"
        )
        return errors.ModelError(message, cure=cure, fatal=True)


def _copied(argument: Any) -> Any:
    """Return what a callable gets; messages are copied, because it may change them."""
    return argument if isinstance(argument, str | Mapping) else deepcopy(list(argument))


# --- functions and objects of the user ------------------------------------------------------------


def build_target(spec: ModelSpec, surroundings: Surroundings) -> FunctionModel:
    """Return the model ``python:pkg.module:function``. Raises :class:`ConfigError`."""
    target = spec.options["target"]
    value = _imported(target, spec.source.where("target"))
    if not (callable(value) or predicts(value)):
        kind = type(value).__name__
        message = f"{target!r} is of type {kind}: neither a function nor an object with predict"
        raise errors.ConfigError(message, where=spec.source.where("target"))

    model = _function_model(value, spec, target, surroundings)
    processes = spec.options.get("workers")
    if processes is None:
        return model
    if is_async(model.function):
        message = "a coroutine function cannot be called in processes"
        cure = "remove workers, and set concurrency: coroutines run concurrently in one process"
        raise errors.ConfigError(message, where=spec.source.where("workers"), cure=cure)

    # A call is one of several of one process, and may take as long as all of them.
    calls = 1 if model.batched else workers.CALLS_AT_ONCE
    timeout_s = None if model.timeout_s is None else model.timeout_s * calls
    return replace(
        model,
        function=workers.InProcesses(model.function, processes, batched=model.batched),
        batched=True,
        batch_size=processes * model.batch_size * calls,
        timeout_s=timeout_s,
    )


def _imported(target: str, where: errors.Where) -> Any:
    """Return what ``pkg.module:function`` names. Raise :class:`ConfigError`."""
    try:
        return pkgutil.resolve_name(target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit() or pytest.skip()
        message = f"{target!r} cannot be imported"
        cure = _import_cure(target, error)
        evidence = f"{type(error).__name__}: {error}{_line_of(error)}"
        raise errors.ConfigError(message, where=where, evidence=evidence, cure=cure) from error


def _line_of(error: BaseException) -> str:
    """Return the last line of the user's files that an import came to; empty if to none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        folder = os.path.dirname(frame.filename)
        if os.path.isfile(frame.filename) and folder not in _IMPORTING:
            return f" ({errors.shown_path(frame.filename)}:{frame.lineno})"
    return ""


def _import_cure(target: str, error: BaseException) -> str | None:
    """Return what helps against an exception of importing a target; None if that is not known."""
    function = forms.function_in(target)
    if ".py:" in target:
        return f"write python:{function}"

    module, _, name = target.partition(":")
    functions = []
    for public, value in vars(sys.modules.get(module, object)).items():
        if inspect.isfunction(value) and not public.startswith("_"):
            functions.append(public)
    if isinstance(error, AttributeError) and functions:
        return f"write one of its functions: {listed(sorted(functions))}"
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        if f"{module}.".startswith(f"{error.name}."):
            return "install it, or add the module's folder to pytest's ini key pythonpath"
        return f"install {error.name}, which {module} imports"
    if isinstance(error, AttributeError):
        near = nearest(name, vars(sys.modules.get(module, object)))
        return f"did you mean {module}:{near}?" if near else None
    return None


def build_callable(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return the model of an object that a marker or a fixture gives.

    Raise :class:`ConfigError`.
    """
    return adopt(spec.options["function"], spec, surroundings)


def adopt(value: Any, spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return a callable as a model, and a model with what the gate says of it.

    Raise :class:`ConfigError` for other values.
    """
    is_model = hasattr(value, "complete") and hasattr(value, "key") and not inspect.isclass(value)
    if is_model:
        return _adopted_model(value, spec)
    if not (callable(value) or predicts(value)):
        message = f"a value of type {type(value).__name__} is not a model"
        cure = (
            "pass a callable (str -> str, sync or async), an object with predict(), or one with "
            "complete() and key()"
        )
        raise errors.ConfigError(message, where=spec.source.where(), cure=cure)

    target = spec.spelling
    if "revision" in spec.options:
        # All keys that can change an answer identify the model with it.
        options = {}
        for key, option in spec.options.items():
            if key not in _CHANGE_NO_ANSWER:
                options[key] = option
        message = f"writing the keys of {spec.spelling} beside its revision"
        target = guarded(message, canonical_json, [spec.provider, options])
    return _function_model(value, spec, target, surroundings)


def _adopted_model(value: Any, spec: ModelSpec) -> Model:
    """Return a model object with what the gate says of it."""
    lacking = [name for name in _NEEDED if not hasattr(value, name)]
    if lacking:
        message = f"the model of type {type(value).__name__} lacks {listed(lacking)}"
        cure = "see pytest_ftgate.models.Model for what a model has"
        raise errors.ConfigError(message, where=spec.source.where(), cure=cure)

    model = cast("Model", value if Model in type(value).__mro__ else Delegate(value))
    price.price_of(model)

    changed: dict[str, Any] = {key: spec.options[key] for key in _ANY_MODELS if key in spec.options}
    if "price" in changed:
        changed["price"] = price.written_price(changed["price"], str(spec.source))
    state = spec.source.state
    if state:

        def key(example: Example, repeat: int = 0) -> str:
            """Return the model's own key with the parameters of the fixture that gave it."""
            own_key = key_of(model, example, repeat)
            return hashlib.sha256(f"{state}\n{own_key}".encode()).hexdigest()

        changed["key"] = key
    return cast("Model", Delegate(model, **changed)) if changed else model


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call gives a coroutine: also of bound methods and ``async __call__``."""
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def predicts(value: object) -> bool:
    """Return whether an object is called by its ``predict``, as a scikit-learn pipeline is.

    A callable is called.
    """
    return not callable(value) and callable(getattr(value, "predict", None))


def question(example: Example) -> Any:
    """Return the input; of a conversation that is one question, its text."""
    turns = without_instructions(example.input)
    return turns if isinstance(turns, str) or len(turns) > 1 else turns[0]["content"]


def _function_model(
    value: Any, spec: ModelSpec, target: str, surroundings: Surroundings
) -> FunctionModel:
    """Return a callable as a model.

    Its answers are kept under its revision. Without one they are kept under this very function and
    the parameters of the fixture that returned it. A callable that holds an object (a bound method,
    a closure, a partial, an object with ``__call__``) gets a new identity each time, because the
    object, such as a model with another adapter, may have changed.
    """
    _check_call(value, spec)
    options = spec.options
    by_list = predicts(value)
    function: Callable[[Any], Any] = partial(workers.predicted, value) if by_list else value
    waits = is_async(function)
    owners = _owners(function)

    revision = options.get("revision")
    state = spec.source.state
    if revision is not None:
        identity = canonical_json([target, revision, *([state] if state else [])])
    elif owners:
        identity = secrets.token_hex(16)
    else:
        identity = f"{keys.token(function)} {state}".rstrip()

    concurrency = options.get("concurrency")
    batch_size = options.get("batch_size") or (PREDICTED_AT_ONCE if by_list else 1)
    return FunctionModel(
        **parts_of(spec),
        function=function,
        identity=identity,
        persistent=revision is not None,
        concurrency=concurrency or (CONCURRENCY_ASYNC if waits else CONCURRENCY_SYNC),
        exclusive=frozenset() if waits or "concurrency" in options else owners,
        batch_size=batch_size,
        batched=by_list or batch_size > 1,
        argument=question if by_list else attrgetter("input"),
        price=price.written_price(options.get("price"), str(spec.source)),
        numbers=may_be_numbers(surroundings),
    )


def label_number(text: str) -> bool:
    """Return whether an answer is the number of a label, as Transformers writes it: LABEL_3."""
    return _LABEL_NUMBER.fullmatch(text) is not None


def may_be_numbers(surroundings: Surroundings) -> bool:
    """Return whether an expected output has a number, or none is known."""
    if surroundings.asked is None:
        return True
    outputs = [expected_text(value) for value in surroundings.asked.expected if value is not None]
    return not outputs or any(re.search(r"(?<!\w)\d|LABEL_\d", output) for output in outputs)


def _check_call(value: Any, spec: ModelSpec) -> None:
    """Raise :class:`ConfigError` for a callable that needs other arguments than the input.

    A class does, too: a model is an object of it.
    """
    where = spec.source.where()
    if inspect.isclass(value) and (hasattr(value, "predict") or "__call__" in vars(value)):
        name = value.__name__
        message = f"{name} is a class, and a model is an object of it"
        cure = f"give {name}() in place of {name}; in a file, the name of such an object"
        raise errors.ConfigError(message, where=where, cure=cure)

    # A call would say the same of every example.
    called = value.predict if predicts(value) else value
    try:
        # What a decorator wraps may take other arguments than the decorated function.
        signature = inspect.signature(called, follow_wrapped=False)
    except (TypeError, ValueError):  # of C code
        return
    try:
        signature.bind("")
    except TypeError as error:
        name = getattr(called, "__name__", type(called).__name__)
        message = f"{name}{excerpt(str(signature))} cannot be called with the input alone"
        cure = "give a function of one argument, the input, or an object in place of its class"
        raise errors.ConfigError(message, where=where, cure=cure) from error


def _owners(function: Any) -> frozenset[int]:
    """Return the ids of objects that a callable holds, whose state may decide its answers."""
    if isinstance(function, partial):
        values = [function.func, *function.args, *function.keywords.values()]
    elif getattr(function, "__self__", None) is not None:  # a bound method, or its like of C code
        values = [function.__self__, getattr(function, "__func__", None)]
    elif inspect.isfunction(function):
        contents = [cell.cell_contents for cell in function.__closure__ or ()]
        values = [value for value in contents if value is not function]
    elif _is_stateless(function):
        return frozenset()
    else:
        return frozenset([id(function)])
    return frozenset().union(*map(_owners, values))


def _is_stateless(value: Any) -> bool:
    if isinstance(value, _CONSTANTS) or inspect.ismodule(value):
        return True
    return inspect.isclass(value) or inspect.isroutine(value)
