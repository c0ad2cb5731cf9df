"""Ask a model in batches: half the price, no rate limits, answers within a day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from pytest_ftgate import clock
from pytest_ftgate.errors import ModelError, StoreError
from pytest_ftgate.models.openai_api.batch_api import Batch, BatchApi, Harvest, Pace
from pytest_ftgate.models.openai_api.batch_lines import Limits, Part, question_line, write_parts
from pytest_ftgate.models.openai_api.client import AbsentError
from pytest_ftgate.models.openai_api.endpoint import fields
from pytest_ftgate.models.protocol import Completion, Delegate, Question
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.models.openai_api.model import OpenAIModel
    from pytest_ftgate.models.protocol import Notes

_Outcomes = dict[str, Completion | ModelError]

CONCURRENCY = 1  # accounts limit the enqueued tokens, and a batch above the limit fails as a whole
# How long a batch without a note is picked up. Its answers count as new.
_FOUND_S = 7 * 24 * 3600.0
_PREFIX = "batch "
_KEPT_S = 30 * 24 * 3600.0  # how long endpoints keep the files at most
_FOR_NOW = frozenset({"token_limit_exceeded", "rate_limit_exceeded"})


class BatchedModel(Delegate):
    """Ask the live model's questions in batches, with the same keys and answers. A single answer is asked live."""

    mode = "batch"
    timeout_s: float | None = None  # a batch may take a day
    requests_per_minute = tokens_per_minute = None

    def __init__(
        self,
        live: OpenAIModel,
        notes: Notes | None,
        *,
        newer_than: float | None = None,
        concurrency: int | None = None,
        limits: Limits | None = None,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(live)
        self.concurrency = concurrency or CONCURRENCY
        self._limits = limits or Limits()
        self.batch_size = self._limits.questions
        self._pace = pace or Pace()
        self._live = live
        self._notes = BatchNotes(notes, live.home.base_url)
        self._newer_than = newer_than
        self._counts: dict[str, tuple[int, int]] = {}
        self._found: set[str] = set()  # batches already matched to a part
        self._gone: set[str] = set()  # batches with a note that the endpoint no longer has
        self._unstored: dict[str, set[str]] = {}
        self._open: dict[asyncio.AbstractEventLoop, BatchApi] = {}

    @property
    def in_batch(self) -> tuple[int, int] | None:
        """Return how many questions the running batches have answered, and how many they hold; ``None`` without any."""
        counts = list(self._counts.values())
        return (sum(done for done, _ in counts), sum(total for _, total in counts)) if counts else None

    @property
    def unfinished(self) -> str | None:
        """Return a line on batches that go on at the endpoint after the run was stopped."""
        if not self._counts:
            return None
        address = self._live.address()
        names = ", ".join(address.quoted(name, 60) for name in sorted(self._counts))
        return f"{self._live.name}: the batch {names} goes on at {address.where}; the next run picks it up"

    async def complete_many(self, questions: Sequence[Question]) -> list[Completion | ModelError]:
        """Answer questions from batches sent earlier, by any run, and then from new ones."""
        api = self._opened()
        try:
            outcomes = await self._from_noted(api, questions)
            outcomes |= await self._send(api, [q for q in questions if q.key not in outcomes])
        except StoreError as error:  # without notes a paid batch may be lost
            raise ModelError(error.what, **error.parts(fatal=True)) from error
        return [outcomes[question.key] for question in questions]

    def stored(self, keys: Sequence[str]) -> None:
        """Forget batches whose answers are all on disk now. Raises :class:`StoreError`."""
        for batch_id, unstored in list(self._unstored.items()):
            unstored.difference_update(keys)
            if not unstored:
                del self._unstored[batch_id]
                self._notes.forget(batch_id)

    async def aclose(self) -> None:
        """Close the connections that were opened in this event loop. Batches go on."""
        opened = self._open.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.aclose()
        await self._live.aclose()

    def _opened(self) -> BatchApi:
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            self._live.ready()
            self._open[loop] = BatchApi(self._live.address(), self._pace, self._counts, self.concurrency)
        return self._open[loop]

    async def _from_noted(self, api: BatchApi, questions: Sequence[Question]) -> _Outcomes:
        """Return the answers of batches sent earlier; if one cannot be read now, its questions get its error."""
        wanted = {question.key for question in questions}
        tasks = [
            asyncio.create_task(self._sent_before(api, sent, sent.id, wanted))
            for sent in self._notes.holding(wanted)
            if self._is_wanted(sent.created_at) and sent.id not in self._gone
        ]
        outcomes: _Outcomes = {}
        for found in await _all(tasks):
            for key, outcome in found.items():
                if not isinstance(outcomes.get(key), Completion):  # an answer counts more than another batch's error
                    outcomes[key] = outcome
        return outcomes

    async def _send(self, api: BatchApi, questions: Sequence[Question]) -> _Outcomes:
        """Send questions in new batches, except those in batches found at the endpoint without a note."""
        if not questions:
            return {}
        outcomes: _Outcomes = {}
        tasks: list[asyncio.Task[_Outcomes]] = []
        failed: ModelError | None = None
        try:
            recent = [batch for batch in await api.recent() if self._can_be_picked_up(batch)]
            async with aclosing(write_parts(self._lines(questions, outcomes), self._limits)) as parts:
                async for part in parts:
                    tasks.append(self._pick_up(api, part, recent) or await self._begin(api, part, tasks))
        except BaseException as error:
            if not isinstance(error, ModelError) or error.fatal:
                _cancel(tasks)
                raise
            failed = error
        for found in await _all(tasks):
            outcomes |= found
        if failed is not None:
            return dict.fromkeys((question.key for question in questions), failed) | outcomes
        # Send what a found batch left unanswered. No batch is found twice, so the recursion ends.
        return outcomes | await self._send(api, [q for q in questions if q.key not in outcomes])

    def _lines(self, questions: Sequence[Question], outcomes: _Outcomes) -> Iterator[tuple[str, bytes]]:
        """Yield the questions' lines sorted by key, so that the same questions always make the same parts."""
        for key, example, _ in sorted(questions, key=lambda question: question.key):
            line = question_line(key, self._live.body(example))
            if len(line) <= self._limits.size:
                yield key, line
            else:
                outcomes[key] = self._live.address().error(
                    f"the question is larger than a batch may be: {len(line):,} bytes (limit {self._limits.size:,})",
                    cure="shorten it, or use mode: live",
                )

    def _pick_up(self, api: BatchApi, part: Part, recent: Sequence[Batch]) -> asyncio.Task[_Outcomes] | None:
        """Follow a batch at the endpoint that holds exactly this part, if there is one without a note."""
        label = part.label
        for batch in recent:
            if batch.label == label and batch.id not in self._found:
                self._found.add(batch.id)
                sent = Sent(batch.id, batch.created_at or clock.wall(), part.keys)
                self._notes.remember(sent)
                return asyncio.create_task(self._sent_before(api, sent, batch, set(part.keys)))
        return None

    async def _begin(
        self, api: BatchApi, part: Part, earlier: Sequence[asyncio.Task[_Outcomes]]
    ) -> asyncio.Task[_Outcomes]:
        """Send a part as soon as a batch may be opened, unless an earlier one has failed for good."""
        await api.slots.acquire()
        try:
            for task in earlier:
                if task.done():
                    task.result()
            file_id = await api.upload(part.path)
            batch = await api.create(file_id, part.label)
            # Nothing may come between creation and note. After a crash here the batch is found by its label.
            sent = Sent(batch.id, clock.wall(), part.keys)
            self._notes.remember(sent)
        except BaseException:
            api.slots.release()
            raise
        task = asyncio.create_task(self._sent_now(api, sent, batch))
        task.add_done_callback(lambda _: api.slots.release())
        return task

    async def _sent_now(self, api: BatchApi, sent: Sent, batch: Batch) -> _Outcomes:
        """Return the outcome of each question of a batch that this call has sent."""
        try:
            harvest = await api.harvest(batch, set(sent.keys))
            self._note(sent, harvest)
            if harvest.batch.status == "failed":
                raise self._refused(harvest.batch, len(sent.keys))
        except ModelError as error:
            if error.fatal:
                raise
            return dict.fromkeys(sent.keys, error)
        address = self._live.address()
        unanswered = address.error(
            "the batch ended without a readable answer to this question",
            retryable=True,
            evidence=f"the batch {address.quoted(sent.id, 60)} is {harvest.batch.status}",
        )
        return {key: harvest.outcomes.get(key, unanswered) for key in sent.keys}

    async def _sent_before(self, api: BatchApi, sent: Sent, batch: Batch | str, wanted: Collection[str]) -> _Outcomes:
        """Return the answers of a batch sent by an earlier call; its unanswered questions are sent again."""
        try:
            harvest = await api.harvest(batch, wanted)
        except AbsentError:
            # Another key of the same endpoint may still see it: keep the note, but ignore it in this session.
            self._counts.pop(sent.id, None)
            self._gone.add(sent.id)
            return {}
        except ModelError as error:
            if error.fatal:
                raise
            return {key: error for key in sent.keys if key in wanted}
        self._note(sent, harvest)
        return {key: outcome for key, outcome in harvest.outcomes.items() if isinstance(outcome, Completion)}

    def _note(self, sent: Sent, harvest: Harvest) -> None:
        """Remember which questions were answered, until their answers are on disk; the others are sent again."""
        self._found.add(sent.id)
        self._notes.keep_only(sent, harvest.answered)
        if answered := harvest.answered.intersection(sent.keys):
            self._unstored[sent.id] = answered

    def _can_be_picked_up(self, batch: Batch) -> bool:
        """Return whether a batch at the endpoint without a note can still bring answers that are needed."""
        if batch.created_at is None or batch.created_at < clock.wall() - _FOUND_S:
            return False
        brings_any = bool(batch.files) or batch.status not in ("expired", "cancelled")
        return brings_any and batch.status != "failed" and self._is_wanted(batch.created_at)

    def _is_wanted(self, created_at: float) -> bool:
        weights = self._live.weights
        return created_at >= max(self._newer_than or 0.0, weights.standing.since if weights is not None else 0.0)

    def _refused(self, batch: Batch, n: int) -> ModelError:
        for_now = bool(batch.codes & _FOR_NOW)
        return self._live.address().error(
            f"the endpoint refused a batch of {plural(n, 'question')}",
            retryable=for_now,
            kind="busy" if for_now else "other",
            fatal=not for_now,
            unpaid=True,
            evidence=batch.errors or None,
            cure="wait until other batches are done, or lower concurrency"
            if for_now
            else "check params: they are sent as they are written",
        )


async def _all(tasks: Sequence[asyncio.Task[_Outcomes]]) -> list[_Outcomes]:
    """Return the results of all tasks; if one fails, or we are cancelled, cancel the others."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        _cancel(tasks)


def _cancel(tasks: Sequence[asyncio.Task[_Outcomes]]) -> None:
    for task in tasks:
        task.cancel()


# --- notes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """Describe a batch that was sent, with the keys of its questions that can still be answered."""

    id: str
    created_at: float  # seconds since the epoch, by this computer's clock
    keys: tuple[str, ...]


class BatchNotes:
    """Keep the notes on one endpoint's batches. Every method raises :class:`StoreError` if they cannot be kept or read.

    A note is written as soon as the endpoint has created the batch. It is deleted only when all of its answers are
    stored, or the endpoint has certainly deleted the batch. After a crash between download and storing, the same
    batch is read again.
    """

    def __init__(self, notes: Notes | None, base_url: str) -> None:
        self._notes = notes
        self._base_url = base_url

    def holding(self, keys: Collection[str]) -> list[Sent]:
        """Return the batches that hold any of these questions, newest first."""
        if self._notes is None:
            return []
        wanted, found = set(keys), []
        for name, text in self._notes.named(_PREFIX).items():
            sent = self._read(name, text)
            if sent is None:
                continue
            if sent.created_at < clock.wall() - _KEPT_S:
                self.forget(sent.id)
            elif not wanted.isdisjoint(sent.keys):
                found.append(sent)
        return sorted(found, key=lambda sent: sent.created_at, reverse=True)

    def remember(self, sent: Sent) -> None:
        """Write the note on a batch, replacing an older one."""
        if self._notes is not None:
            facts = {"endpoint": self._base_url} | asdict(sent)
            self._notes.put(_PREFIX + facts.pop("id"), json.dumps(facts))

    def keep_only(self, sent: Sent, keys: Collection[str]) -> None:
        """Reduce the note on a batch to these answered questions: the others are sent again."""
        left = tuple(key for key in sent.keys if key in keys)
        if not left:
            self.forget(sent.id)
        elif left != sent.keys:
            self.remember(replace(sent, keys=left))

    def forget(self, batch_id: str) -> None:
        if self._notes is not None:
            self._notes.drop(_PREFIX + batch_id)

    def _read(self, name: str, text: str) -> Sent | None:
        """Read a note; ``None`` if it is about another endpoint, or has another form."""
        try:
            facts = fields(json.loads(text))
        except ValueError:
            return None
        created_at, keys = facts.get("created_at"), facts.get("keys")
        if facts.get("endpoint") != self._base_url:
            return None
        if not isinstance(created_at, int | float) or not isinstance(keys, list):
            return None
        return Sent(name.removeprefix(_PREFIX), float(created_at), tuple(map(str, keys)))
