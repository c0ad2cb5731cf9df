"""Make the calls of one run, with the workers of all models in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import Example
from pytest_ftgate.errors import Interrupted, ModelError
from pytest_ftgate.models import Question
from pytest_ftgate.models.event_loop import run_in_own_loop
from pytest_ftgate.models.protocol import RetryPolicy, output_limit
from pytest_ftgate.models.reasoning import answer_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.runs.asking import Asker
from pytest_ftgate.runs.model_queue import ModelQueue, StoreWriter
from pytest_ftgate.runs.throttle import Throttle

if TYPE_CHECKING:
    from pytest_ftgate.data import Input
    from pytest_ftgate.models import Completion, Model
    from pytest_ftgate.runs.budget import Budget
    from pytest_ftgate.runs.run_state import Keys, RunState
    from pytest_ftgate.runs.runner import Job, Stores, TimeLimit

_CANCEL_S = 0.5
_CLOSE_S = 5.0


def call_models(
    jobs: Sequence[tuple[Job, Keys]],
    state: RunState,
    stores: Stores,
    tell: Callable[[], None],
    *,
    stopped: bool,
    offline: bool,
    retry: RetryPolicy,
    limit: TimeLimit | None,
    budget: Budget | None,
) -> dict[int, ModelError]:
    """Get the answers that are not recorded from the store, or else by calls: see :func:`run_models`.

    Args:
        tell: called in this thread about ten times a second.
        stopped: a model has failed for good already, so that no model is called.

    Returns:
        The failures that ended the run, by the id of the model.

    Raises:
        Interrupted: Ctrl-C.
    """
    models = list({id(job.model): job.model for job, _ in jobs}.values())
    writers = {id(store): StoreWriter(store, stores.started) for store in map(stores.of, models)}
    turns = _turns(models)
    queues = [
        ModelQueue(
            [(job, rows) for job, rows in jobs if job.model is model],  # its limit on concurrency holds over all
            writer=writers[id(stores.of(model))],
            since=stores.since(model),
            state=state,
            retry=retry,
            budget=budget,
            limit=limit,
            turn=turns.get(id(model)),
        )
        for model in models
    ]
    for queue in queues:
        queue.look_up(offline=offline)
    ready = [queue.ready() for queue in queues]  # no short circuit: each model reports its own failure
    if all(ready) and not stopped and any(queue.workers for queue in queues):
        longest_s = max((job.model.timeout_s for job, _ in jobs if job.model.timeout_s is not None), default=None)
        try:
            run_in_own_loop(_ask_all(queues, limit), tell, patience_s=longest_s)
        except KeyboardInterrupt:
            kept, total = map(sum, zip(*(queue.kept for queue in queues), strict=True))
            abandoned = tuple(queue.model.name for queue in queues if queue.abandoned)
            raise Interrupted(abandoned, kept=(kept, total)) from None
        finally:
            for queue in queues:
                queue.close()
    return {id(queue.model): queue.fatal for queue in queues if queue.fatal is not None}


def ask(model: Model, given: Input, recorded_for: Callable[[], Iterable[Example]] = tuple) -> Completion:
    """Return one answer without reasoning, outside of a run: it is neither looked up nor stored; failures are retried.

    ``recorded_for`` returns the examples to whose ids a recorded model has answers.

    Raises:
        ModelError: there is no answer.
    """

    async def once() -> Completion:
        try:
            completion = (await Asker(model, RetryPolicy()).ask(Question("", Example("call", given, ""), 0))).completion
        finally:
            await _close(model)
        assert completion is not None
        return completion

    if isinstance(model, RecordedModel):
        completion = model.answer_to(given, recorded_for())
    else:
        completion = run_in_own_loop(once(), lambda: None, patience_s=model.timeout_s)
    return answer_of(completion, output_limit(model), model.strip_reasoning)


def _turns(models: Sequence[Model]) -> dict[int, Throttle]:
    """Return the throttle that models with a common object share, by the id of each model."""
    groups: list[tuple[set[Any], list[Model]]] = []
    for model in models:
        if not model.exclusive:
            continue
        used, members = set(model.exclusive), [model]
        for group in [group for group in groups if group[0] & used]:
            groups.remove(group)
            used |= group[0]
            members += group[1]
        groups.append((used, members))
    shared = [(members, Throttle(1)) for _, members in groups if len(members) > 1]
    return {id(model): turn for members, turn in shared for model in members}


async def _ask_all(queues: Sequence[ModelQueue], limit: TimeLimit | None) -> None:
    """Run all workers until every question is asked, one fails for good, time is up, or we are cancelled."""
    workers = [asyncio.create_task(queue.work()) for queue in queues for _ in range(queue.workers)]
    try:
        left_s = limit.left_s() if limit is not None else None
        _, working = await asyncio.wait(workers, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
        if working and limit is not None and limit.left_s() <= 0:
            for queue in queues:
                queue.fatal = queue.fatal or limit.error()
    finally:
        for queue in queues:
            queue.stopping = True
        for task in workers:
            task.cancel()
        await asyncio.wait(workers, timeout=_CANCEL_S)
        await asyncio.gather(*(_close(queue.model) for queue in queues))
    ended = [worker.exception() for worker in workers if worker.done() and not worker.cancelled()]
    for error in ended:
        if error is not None and not isinstance(error, ModelError):  # those of models are in queue.fatal
            raise error


async def _close(model: Model) -> None:
    # All answers have arrived: a failure to close must not lose them.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(model.aclose(), _CLOSE_S)
