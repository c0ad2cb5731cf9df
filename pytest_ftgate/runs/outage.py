"""End the run of a model that answers no call."""

from __future__ import annotations

import asyncio
from collections import Counter

from pytest_ftgate.errors import ModelError
from pytest_ftgate.runs.run_state import ENOUGH

_PATIENCE_S = 15.0  # what the retries of one question take, unless the endpoint asks for longer waits


class Outage:
    """Decide from failed calls, until one is answered, that the model will not answer at all.

    A question is given up after its retries, or after its second timeout, since waiting once more takes as long again.
    The run ends after at least 5 failed calls, once as many questions were given up as calls are made at the same time,
    at most 5. If the endpoint responds at all, one question more has to fail, since a single one may be at fault; if it
    can be reached, at least a tenth as many as there are stored answers. It also ends when the endpoint still asks to
    wait after the time that the retries of one question take: the throttle makes all questions wait in turn.

    Failures of a Python function that may not pass are not counted: the code may reject single questions.

    Args:
        at_once: how many calls are made at the same time.
        stored: how many answers were stored before the run. They show that the endpoint accepts such requests, but not
            that it can be reached now; what is still missing may be the few questions that it cannot answer.
    """

    def __init__(self, at_once: int, *, stored: int = 0) -> None:
        self._at_once = at_once
        self._stored = stored
        self._answered = False
        self._since: float | None = None
        self._calls: Counter[str] = Counter()
        self._given_up: set[str] = set()

    def over(self) -> None:
        """Record that a call was answered: later failures never end the run."""
        self._answered = True

    def failed(self, key: str, error: ModelError, *, last: bool) -> ModelError:
        """Record a failed call for a question, the last one or not. Return the error, fatal if it ends the run."""
        rejected = error.kind in ("refused", "unreadable")
        if self._answered or error.fatal or not (error.retryable or rejected) or (rejected and self._stored):
            return error
        self._calls[key] += 1
        if last or (error.kind == "timeout" and self._calls[key] > 1):
            self._given_up.add(key)
        if not self._has_waited(error) and not self._has_given_up(error):
            return error
        evidence = "; ".join(filter(None, (error.evidence, "no call of this run was answered")))
        return ModelError(error.what, **error.parts(fatal=True, evidence=evidence))

    def _has_waited(self, error: ModelError) -> bool:
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        asked_s = error.retry_after_s
        return asked_s is not None and now - self._since >= max(_PATIENCE_S, ENOUGH * asked_s)

    def _has_given_up(self, error: ModelError) -> bool:
        no_answer = error.kind in ("timeout", "unreachable")
        enough = min(ENOUGH, self._at_once if no_answer else self._at_once + 1)
        if error.kind != "unreachable":
            enough = max(enough, self._stored // 10)
        return len(self._given_up) >= enough and sum(self._calls[key] for key in self._given_up) >= ENOUGH
