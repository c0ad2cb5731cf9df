"""Call blocking functions in processes, or in daemon threads, which may never return.

What classifiers of common libraries return is read: a label, or what holds one; else it is said how
to unpack it.
"""

import asyncio
import contextlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from enum import Enum
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from pytest_ftgate import clock, errors, text
from pytest_ftgate.data import canonical_json
from pytest_ftgate.data.strict_json import items_of
from pytest_ftgate.guarded import RAISED_CURE, may_pass, told
from pytest_ftgate.models.protocol import Completion

_CURE = "return text (str), a label (int, float, bool) or a Completion for every input"


def predicted(model: Any, inputs: list[Any]) -> object:
    """Return the predictions of an object with ``predict``, as scikit-learn has it, as a list."""
    predictions = model.predict(inputs)
    # fastText: the labels of each input, and their probabilities
    if isinstance(predictions, tuple) and len(predictions) == 2:
        return [labels[0] if len(labels) else None for labels in predictions[0]]
    return predictions.tolist() if hasattr(predictions, "tolist") else predictions


def one_each(name: str, answers: object, n: int, hint: str | None = None) -> Sequence[Any]:
    """Return the answers of a function to ``n`` inputs.

    Raise :class:`ModelError` unless it is a list of as many; ``hint`` is its cure.
    """
    message = f"{name} returned {_kind(answers)}"
    if isinstance(answers, Sequence) and not isinstance(answers, str):
        if len(answers) == n:
            return answers
        message = f"{name} returned {len(answers):,} answers for {n:,} inputs"
    advice = "with batch_size, return a list with one answer for each input of the list"
    raise errors.ModelError(message, cure=hint or advice)


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
        if isinstance(answer, Enum):
            answer = answer.value
        return str(answer).removeprefix("__label__")
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
    """Return the error that an answer holds no label, however deeply it is nested."""
    try:
        return _unreadable(name, answer)
    except RecursionError:
        message = f"{name} returned {_kind(answer)} that is nested too deeply"
        return errors.ModelError(message, cure=_CURE)


def _unreadable(name: str, answer: object) -> errors.ModelError:
    """Return the error that an answer holds no label, with the value, and how to unpack it."""
    if answer is None:
        advice = (
            "return the answer as text (str); a function without a return statement returns None"
        )
        return errors.ModelError(f"{name} returned None", cure=advice)
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that it was never awaited

    # A classifier that returns its probabilities is the most frequent case.
    numbers: Any = getattr(answer, "tolist", lambda: answer)()
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], list):
        numbers = numbers[0]  # a batch of one
    if _are_scores(numbers):
        message = f"{name} returned {len(numbers):,} numbers for an input, such as probabilities"
        advice = "return the label of the largest: lambda text: LABELS[int(scores(text).argmax())]"
    else:
        message = f"{name} returned {_kind(answer)}"
        advice = _unpacking(answer, numbers)
    return errors.ModelError(message, evidence=text.shortened(repr(answer), 80), cure=advice)


def _unpacking(answer: object, numbers: Any) -> str:
    """Return how to get a label out of an answer that is no list of probabilities."""
    if inspect.isgenerator(answer) or inspect.isasyncgen(answer):
        return "return the answer as text: return, not yield"
    if hasattr(answer, "cats"):
        return "doc.cats is empty: give a spaCy pipeline with a trained textcat"
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], float):
        return "return the label of its one score: LABELS[int(score > 0.5)]"

    paths = list(islice(_paths(answer, "answer"), 2))
    return f"return its text: {paths[0]}" if len(paths) == 1 else _CURE


def _are_scores(numbers: Any) -> bool:
    if not isinstance(numbers, list | tuple) or len(numbers) < 2:
        return False
    return all(isinstance(number, int | float) for number in numbers)


def _paths(value: Any, path: str) -> Iterator[str]:
    """Yield how Python reads each text within a value."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, str):
        yield path
    elif isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        yield from _paths(item, f"{path}[{key!r}]")


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


_KILLED = errors.ModelError(
    "the process that called the function ended before it answered",
    retryable=True,
    cure="lower workers if the machine has too little memory, or find out what ends the process",
)


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
        as_they_come = getattr(backend, "supports_return_generator", False)
        self._return_as = "generator_unordered" if as_they_come else "list"

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        # A function of lists is called once in each process.
        size = -(-len(inputs) // self._workers) if self._batched else 1
        starts = range(0, len(inputs), size)
        batches = [list(inputs[start : start + size]) for start in starts]
        answers = self._answers(dict(enumerate(batches)))

        # A process that is killed takes what all others are doing with it. The other batches are
        # called one by one, so that only the call that gets its process killed has no answer.
        for number, batch in enumerate(batches):
            if number not in answers:
                answers |= self._answers({number: batch})

        outcomes: list[Any] = []
        for number, batch in enumerate(batches):
            outcomes += answers.get(number, [_KILLED] * len(batch))
        return outcomes

    def _answers(self, batches: Mapping[int, list[Any]]) -> dict[int, list[Any]]:
        """Return the outcomes of batches by number, but of those that died with a process."""
        from concurrent.futures.process import BrokenProcessPool

        from joblib import Parallel, delayed, parallel_config

        call = delayed(_called)
        calls = []
        for number, batch in batches.items():
            calls.append(call(self.__wrapped__, number, batch, self._batched))
        answers: dict[int, list[Any]] = {}
        with parallel_config(**self._backend), contextlib.suppress(BrokenProcessPool):
            pool = Parallel(n_jobs=self._workers, return_as=self._return_as)
            for number, outcomes in pool(calls):
                answers[number] = outcomes
        return answers


def _called(
    function: Callable[[Any], Any],
    number: int,
    inputs: list[Any],
    batched: bool,
) -> tuple[int, list[Any]]:
    """Call the function in the other process; return the batch's number, and its outcomes.

    An outcome is an answer with its latency, or an error.
    """
    start = clock.perf_counter()
    try:
        returned = function(inputs) if batched else [function(inputs[0])]
        answers = one_each("the function", returned, len(inputs))
    except errors.ModelError as error:
        return number, [error] * len(inputs)
    except BaseException as error:  # also sys.exit() and pytest.skip()
        # The exception itself may not survive pickling.
        return number, [failed_call("the function", error)] * len(inputs)

    latency_s = clock.perf_counter() - start
    return number, [_outcome(answer, latency_s) for answer in answers]


def _outcome(answer: Any, latency_s: float) -> Any:
    """Return an answer as it travels between processes.

    What holds none may not survive pickling.
    """
    if isinstance(answer, str):
        return Completion(answer, latency_s=latency_s)
    if isinstance(answer, Completion) or label_of(answer) is not None:
        return answer
    return unreadable("the function", answer)


def failed_call(name: str, raised: BaseException, hint: str | None = None) -> errors.ModelError:
    """Return what a function raised as the error of its call.

    ``hint`` is what may be wrong with the call.
    """
    advice = RAISED_CURE
    if type(raised).__name__ == "NotFittedError":  # of scikit-learn, a ValueError
        advice = "fit the model before it is given to the gate: call its method fit"
    elif hint is not None and isinstance(
        raised, TypeError | AttributeError | LookupError | ValueError
    ):
        advice = f"{hint}; otherwise {advice}"
    message = f"{name} raised {told(raised)}"
    return errors.ModelError(message, retryable=may_pass(raised), cure=advice)
