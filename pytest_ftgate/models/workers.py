"""Call blocking functions in processes, or in daemon threads, which may never return.

What classifiers of common libraries return is read: a label, or what holds one; else it is said how
to unpack it.
"""

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from pytest_ftgate import clock, errors, text
from pytest_ftgate.data import canonical_json
from pytest_ftgate.data.strict_json import items_of
from pytest_ftgate.guarded import RAISED_CURE, may_pass, told
from pytest_ftgate.models.protocol import Completion


def predicted(model: Any, inputs: list[Any]) -> object:
    """Return the predictions of an object with ``predict``, as scikit-learn has it, as a list."""
    predictions = model.predict(inputs)
    # fastText: the labels of each input, and their probabilities
    if isinstance(predictions, tuple) and len(predictions) == 2:
        return [labels[0] if len(labels) else None for labels in predictions[0]]
    return predictions.tolist() if hasattr(predictions, "tolist") else predictions


def one_each(name: str, answers: object, n: int) -> Sequence[Any]:
    """Return the answers of a function to ``n`` inputs.

    Raise :class:`ModelError` unless it is a list of as many.
    """
    message = f"{name} returned {_kind(answers)}"
    if isinstance(answers, Sequence) and not isinstance(answers, str):
        if len(answers) == n:
            return answers
        message = (
            f"{name} returned {text.plural(len(answers), 'answer')} for {text.plural(n, 'input')}"
        )
    cure = "return a list with one answer for each input of the list"
    raise errors.ModelError(message, cure=cure)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def label_of(answer: Any) -> str | None:
    """Return the text of an answer; None if it holds no label.

    Text counts as it is, and a number or truth value as JSON writes it. Of labels with scores the
    best one counts: ``{"label": ..., "score": ...}``, or a list of them, as
    ``pipeline("text-classification")`` returns them, and the ``cats`` of a spaCy document.
    """
    # A scalar of NumPy and its like counts as what it holds.
    if hasattr(answer, "dtype") and hasattr(answer, "item"):
        try:
            answer = answer.item()
        except (ValueError, RuntimeError):  # several values
            return None
    # fastText, of one input: its labels, and their probabilities.
    if isinstance(answer, tuple) and len(answer) == 2:
        labels, _ = answer
        if isinstance(labels, tuple) and labels:
            answer = labels[0]

    if isinstance(answer, str):
        # str() of a member of an Enum is its name.
        return str.__str__(answer).removeprefix("__label__")
    if isinstance(answer, int | float) and abs(answer) < math.inf:
        return canonical_json(answer)
    scores = _scores(answer)
    return max(scores, key=scores.__getitem__) if scores else None


def _scores(answer: Any) -> Mapping[str, Any]:
    """Return the score of each label in an answer; none if it has none."""
    rows = items_of(answer)
    if len(rows) == 1 and isinstance(rows[0], list):  # with top_k, of one input
        rows = rows[0]
    scores = {}
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("label"), str):
            break
        if "score" not in row:
            break
        scores[row["label"]] = row["score"]
    else:
        return scores
    # A document of spaCy.
    cats: Mapping[str, Any] = getattr(answer, "cats", {})
    return cats


def unreadable(name: str, answer: object) -> errors.ModelError:
    """Return the error that an answer holds no label, with the value, and how to unpack it."""
    message = f"{name} returned {_kind(answer)}"
    cure = "return text (str), a label (int, float, bool) or a Completion for every input"

    # A classifier that returns its probabilities is the most frequent case.
    numbers: Any = getattr(answer, "tolist", lambda: answer)()
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], list):
        numbers = numbers[0]  # a batch of one
    is_list = isinstance(numbers, list | tuple) and len(numbers) > 0
    if is_list and all(isinstance(number, int | float) for number in numbers):
        count = text.plural(len(numbers), "number")
        message = f"{name} returned {count} for an input, such as probabilities"
        cure = (
            "return the label of the largest: LABELS[int(scores.argmax())], or that of its one "
            "score: LABELS[int(score > 0.5)]"
        )
    path, inner = _unpacked(answer)
    if is_list and all(isinstance(item, str) for item in numbers) and len(numbers) > 1:
        cure = (
            "return one text; for a method predict, which takes a list of inputs, give its object, "
            "and for such a function batch_size"
        )
    if isinstance(inner, str):
        cure = f"return its text: {path}"
    evidence = None if answer is None else text.shortened(repr(answer), 80)
    return errors.ModelError(message, evidence=evidence, cure=cure)


def _unpacked(answer: Any) -> tuple[str, Any]:
    """Return how Python reads what lists and mappings of one item hold, and what that is."""
    path = "answer"
    while isinstance(answer, Mapping | list) and len(answer) == 1 and len(path) < text.EXCERPT:
        key = next(iter(answer)) if isinstance(answer, Mapping) else 0
        path += f"[{key!r}]"
        answer = answer[key]
    return path, answer


# calls, or batches, that are made in one go: this spreads the overhead over them
CALLS_AT_ONCE = 16

Outcome: TypeAlias = tuple[Any, BaseException | None]
"""What a call returned, and what it raised: a future rejects ``StopIteration``."""
_Job: TypeAlias = tuple[Callable[[], Any], Future[Outcome]]


class CallThread(Thread):
    """A thread that calls models; a call that does not end holds it for ever."""


class Workers:
    """Keep as many threads as calls were ever in flight; each makes one call after the other.

    A thread keeps thread-local state (clients, thread pools of numerical libraries) from call to
    call. A call that is cancelled goes on in its thread, which takes no further call and then ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[SimpleQueue[_Job | None]] = []  # a queue a thread; None ends it

    async def run(self, call: Callable[[], Any]) -> Outcome:
        """Make a call in a thread, and wait for it."""
        if self._idle:
            jobs = self._idle.pop()
        else:
            jobs = SimpleQueue()
            CallThread(target=_work, args=(jobs,), name=self._name, daemon=True).start()

        future: Future[Outcome] = Future()
        jobs.put((call, future))
        try:
            outcome = await asyncio.wrap_future(future)
        except BaseException:
            jobs.put(None)
            raise
        self._idle.append(jobs)
        return outcome

    def stop(self) -> None:
        """Let the idle threads end."""
        while self._idle:
            self._idle.pop().put(None)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        call, future = job
        value = None
        raised = None
        try:
            value = call()
        except BaseException as error:
            raised = error
        if future.set_running_or_notify_cancel():
            future.set_result((value, raised))
        elif inspect.iscoroutine(value):
            value.close()  # or Python warns that it was never awaited
        del job, call, future, value, raised  # an idle thread must not keep data alive


class InProcesses:
    """Call a function in processes: takes a list of inputs, returns a list of answers and errors.

    If the user has set a joblib backend (``joblib.parallel_config``) when this is made, the calls
    run on it; otherwise on joblib's own processes, which are reused from call to call, and find the
    function by its name. ``batched``: it takes a list of inputs itself, and is called once in each
    process.
    """

    def __init__(self, function: Callable[[Any], Any], workers: int, *, batched: bool) -> None:
        from joblib.parallel import get_active_backend

        self.__wrapped__ = function
        self._workers = workers
        self._batched = batched
        # The user's joblib backend, which joblib keeps for the current thread only: models run in
        # another.
        backend, _ = get_active_backend()
        self._backend = {} if type(backend).__name__ == "LokyBackend" else {"backend": backend}

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        from concurrent.futures.process import BrokenProcessPool

        from joblib import Parallel, delayed, parallel_config

        # A function of lists is called once in each process.
        size = -(-len(inputs) // self._workers) if self._batched else 1
        call = delayed(_called)
        calls = []
        for start in range(0, len(inputs), size):
            batch = list(inputs[start : start + size])
            calls.append(call(self.__wrapped__, batch, self._batched))

        try:
            with parallel_config(**self._backend):
                batches = Parallel(n_jobs=self._workers)(calls)
        except BrokenProcessPool as error:
            message = "a process that called the function ended before it answered"
            cure = (
                "lower workers if the machine has too little memory, or find out what ends the "
                "process"
            )
            raise errors.ModelError(message, retryable=True, cure=cure) from error

        outcomes: list[Any] = []
        for batch in batches:
            outcomes += batch
        return outcomes


def _called(function: Callable[[Any], Any], inputs: list[Any], batched: bool) -> list[Any]:
    """Call the function in the other process.

    Return an answer with its latency, or an error, for each input.
    """
    start = clock.perf_counter()
    try:
        returned = function(inputs) if batched else [function(inputs[0])]
        answers = one_each("the function", returned, len(inputs))
    except errors.ModelError as error:
        return [error] * len(inputs)
    except BaseException as error:  # also sys.exit() and pytest.skip()
        # The exception itself may not survive pickling.
        argument = inputs if batched else inputs[0]
        return [failed_call("the function", error, argument)] * len(inputs)

    latency_s = clock.perf_counter() - start
    outcomes: list[Any] = []
    for answer in answers:
        if isinstance(answer, str):
            answer = Completion(answer, latency_s=latency_s)
        outcomes.append(answer)
    return outcomes


def failed_call(name: str, raised: BaseException, argument: Any) -> errors.ModelError:
    """Return what a function raised as the error of its call."""
    message = f"{name} raised {told(raised)}"
    cure = RAISED_CURE
    # It may take another kind of argument than the one that it is given.
    if isinstance(raised, TypeError | AttributeError | LookupError):
        given = "the input alone"
        if isinstance(argument, list):
            given = "a list of inputs, and returns a list of answers"
        cure += f"; it is called with {given}"
    return errors.ModelError(message, retryable=may_pass(raised), cure=cure)
