"""The rule for several attempts on one test set: each is judged at half the level of the one before.

Another candidate is another attempt, and so are other answers of one candidate.

``benchmarks/attempts.py`` measures what this prevents. Of the examples, a tenth chosen by hash may be shown; it does
not count in the verdict from the second attempt on, because what is shown can be mended without any gain elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.context import Context, RunName
from pytest_ftgate.checks.ledger import Answers, Entry, append, fingerprint, hash_of, read_ledger, same_test_set
from pytest_ftgate.checks.shown import may_be_shown, part_of
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, normalized_input
from pytest_ftgate.errors import DataError, FtgateError, HistoryError, StoreError, Where, shown_path
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.result import AttemptResult, Check, Threshold, error_check
from pytest_ftgate.runs.jobs import Job, Run, Stores
from pytest_ftgate.runs.runner import stored_runs
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import ordinal, plural, timestamp

_NOTE = "attempt: "
_PROBES = 3


@dataclass(frozen=True)
class Attempt:
    """Hold which attempt on its test set a candidate is.

    Attributes:
        asked: the keys of the gate, before the level of the attempt.
        whole: the test set with the examples that do not count.
        metric: the deciding metric, for any part of the test set.
        identity: hashes that identify the candidate: two with a common one are the same.
        seen: the fingerprint of the test set.
        number: which attempt on the test set this was expected to be, from 1.
        before: the distinct attempts on the same test set, in their order: those of the ledger, and without
            ``max_attempts`` what this machine has noted.
        answers: of the candidate; None: unknown.
        runs: those over the whole test set, by role.
    """

    asked: GateKeys
    whole: DataSet
    metric: Metric
    identity: tuple[str, ...]
    seen: str
    number: int = 1
    before: tuple[Entry, ...] = ()
    answers: Answers | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)

    def among(self, entries: Iterable[Entry]) -> "Attempt":
        """Return this attempt after others: those of one candidate with the same answers are one."""
        found: list[Entry] = []
        for entry in entries:
            known = any(one.answers == entry.answers and one.identity & entry.identity for one in found)
            if not known and same_test_set(self.seen, entry.test_set):
                found.append(entry)
        following = len(found) + 1
        if self.answers is None:  # a known candidate may be asked, since it may give the answers that were judged
            number = min(following, self.most or following) if any(map(self.is_of, found)) else following
        else:
            own = [(place, one) for place, one in enumerate(found, 1) if self.is_of(one)]
            same = (place for place, one in own if self.answers.hash_for(one.test_set) == one.answers)
            number = next(same, following)
        return replace(self, before=tuple(found), number=number)

    def is_of(self, entry: Entry) -> bool:
        """Return whether an attempt is of the same candidate."""
        return not entry.identity.isdisjoint(self.identity)

    @property
    def most(self) -> int | None:
        """Return ``max_attempts``; None where it is not set."""
        return self.asked.max_attempts

    @property
    def spares(self) -> bool:
        """Return whether the examples that may be shown do not count."""
        return self.most is not None and self.number > 1

    @property
    def may_be_seen(self) -> bool:
        """Return whether the gain may be seen without a verdict: not of one more attempt of a limited number."""
        return self.most is None or (self.answers is not None and self.number <= len(self.before))

    @property
    def facts(self) -> AttemptResult | None:
        """Return the facts for the result; None without ``max_attempts``."""
        if self.most is None:
            return None
        before, confidence = (_confidence(self.asked.confidence, k) for k in (self.number - 1, self.number))
        return AttemptResult(self.number, self.most, before, confidence)

    @property
    def config(self) -> GateKeys:
        """Return the keys that this attempt is judged by. They have no ``max_attempts``, so that it counts once."""
        if self.most is None:
            return self.asked
        confidence = _confidence(self.asked.confidence, self.number)
        return self.asked.model_copy(update={"confidence": confidence, "max_attempts": None})

    @property
    def counted(self) -> DataSet:
        """Return the examples that count in the verdict."""
        if not self.spares:
            return self.whole
        examples = tuple(example for example in self.whole if not may_be_shown(example))
        if not examples:
            raise DataError(
                "no test example counts: all of them may be shown, and these do not count after the first attempt",
                where=self.asked.sources["test_set"].where(),
                cure="Add examples, or groups of examples, to the test set.",
            )
        return replace(self.whole, examples=examples)

    @property
    def shown(self) -> DataSet:
        """Return the examples that may be shown; perhaps none."""
        return replace(self.whole, examples=tuple(filter(may_be_shown, self.whole)))


def _confidence(asked: float, attempt: int) -> float:
    """Return the confidence of attempt k: the level is that of the gate, times 2^-k, so that all sum up to less."""
    return 1 - (1 - asked) * 2.0**-attempt


def find_attempt(
    config: GateKeys, candidate: Model, metric: Metric, test: DataSet, stores: Stores, answers: Answers | None
) -> Attempt | None:
    """Return which attempt the candidate is; None where the candidate cannot be told from others.

    Args:
        config: the keys of the gate as written.
        metric: the deciding metric.
        test: the whole test set.
        answers: of the candidate; None: they are those that are recorded or stored, if all are.

    Raises:
        FtgateError: with ``max_attempts``, the ledger is damaged.
    """
    attempt = Attempt(config, test, metric, _identity(candidate, config, test), fingerprint(test), answers=answers)
    if attempt.most is None:
        return attempt.among(_noted(stores.notes, config))
    if answers is None:
        with suppress(FtgateError):  # what is wrong is reported where the candidate is asked
            (run,) = stored_runs([Job(candidate, test, config.repeats)], stores)
            attempt = replace(attempt, answers=None if run.unanswered else Answers.of(run))
    return attempt.among(read_ledger(ledger_of(config)))


def ledger_of(config: GateKeys) -> Path:
    """Return the path of the ledger: beside the gate file; for a gate without one, beside its marker."""
    sources = config.sources
    of_file = (one for one in sources.values() if one.kind in ("file", "defaults"))
    return next(of_file, sources["max_attempts"]).absolute("ftgate-attempts.jsonl")


def _noted(notes: Store, config: GateKeys) -> Iterator[Entry]:
    """Yield the attempts of the same gate that this machine has noted, in their order."""
    with suppress(StoreError):
        for text in notes.notes(_NOTE).values():
            with suppress(ValueError):
                entry = Entry.from_line(text)
                if entry.gate == _gate_name(config):
                    yield entry


def _gate_name(config: GateKeys) -> str:
    return config.gate or config.name


def _identity(model: Model, config: GateKeys, test: DataSet) -> tuple[str, ...]:
    """Return hashes of what distinguishes the candidate, of which any one is enough.

    These are the keys of its answers to a few examples, which recordings have too; of the examples with the smallest
    hashes, most of which are the same ones after the test set has grown. A recording without keys is its content, and
    a callable whose keys hold for one session is its spelling.
    """
    few = sorted(test.examples, key=lambda example: hash_of(normalized_input(example.input)))[:_PROBES]
    if isinstance(model, RecordedModel):
        keys = [row.prediction.key for example in few if (row := model.rows.get((example.id, 0))) is not None]
        if not (model.verified and keys and all(keys)):
            return (hash_of(model.sha256, 16),)
    elif not model.persistent and model.function is not None:
        return (hash_of(config.candidate.spelling, 16),)
    else:
        keys = [key_of(model, example) for example in few]
    return tuple(sorted(hash_of(key, 16) for key in keys))


# --- checks --------------------------------------------------------------------------------------------------


def check(gate: Context) -> Iterator[Check]:
    """Fail an attempt beyond ``max_attempts``."""
    attempt = gate.attempt
    if attempt is None or attempt.most is None:
        return
    facts: dict[str, Any] = {
        "observed": attempt.number,
        "required": attempt.most,
        "source": gate.source("max_attempts"),
        "threshold": Threshold("max_attempts", attempt.most),
    }
    if attempt.number > attempt.most:
        used = plural(attempt.most, "attempt has", "attempts have")
        yield Check(
            "max_attempts",
            "fail",
            f"{used} been judged on this test set ({shown_path(ledger_of(attempt.asked))}); this would be attempt "
            f"{attempt.number:,} of {attempt.most:,}",
            **facts,
            advice="Label a fresh test set, of which less than half is known, or take another approach than one more "
            "variant. More attempts on this test set would pass a useless candidate by luck.",
            action="stop",
        )
        return
    yield Check("attempts", "note", f"{attempt.facts}{_spared(attempt)}", **facts)
    if attempt.asked.evidence == "observed":
        yield Check(
            "attempts",
            "warning",
            "evidence: observed has no level, so that max_attempts only limits the number of attempts",
            source=gate.source("evidence"),
            advice="Set evidence: significant.",
        )


def _spared(attempt: Attempt) -> str:
    if not attempt.spares:
        return ""
    spared = len(attempt.whole) - len(attempt.counted)
    return f"; {plural(spared, 'example')} that may be shown {'does' if spared == 1 else 'do'} not count"


def check_again(gate: Context) -> Iterator[Check]:
    """Without ``max_attempts``, warn of other answers than a candidate was judged by before, and note a later one."""
    attempt = gate.attempt
    if attempt is None or attempt.most is not None or attempt.answers is None:
        return
    attempt = attempt.among(attempt.before)
    before = attempt.before[: attempt.number - 1]
    facts: dict[str, Any] = {
        "required": 1,
        "source": gate.source("max_attempts"),
        "advice": "Set max_attempts, which judges each attempt at a stricter level, or label a fresh test set.",
    }
    if again := sum(map(attempt.is_of, before)):
        message = f"judged again with other answers: {ordinal(again + 1)} time"
        yield Check("attempts", "warning", message, observed=again + 1, **facts)
    elif before:
        message = f"this is attempt {attempt.number:,} on this test set: each one makes a lucky pass more likely"
        yield Check("attempts", "note", message, observed=attempt.number, **facts)


def check_history(config: GateKeys, ref: str | None) -> Iterator[Check]:
    """Check that the ledger begins with its lines at the merge base with ``ref``; nothing without git."""
    from pytest_ftgate.checks.weaker.base import find_base

    if config.max_attempts is None:
        return
    ledger = ledger_of(config)
    try:
        base = find_base(ledger.parent, ref)
        then = base.content(ledger) if base is not None else None
        now = ledger.read_bytes() if ledger.exists() else b""
    except (HistoryError, OSError) as error:
        yield Check(
            "attempts", "note", f"the ledger of attempts could not be compared with its earlier version: {error}"
        )
        return
    old, new = ([line.rstrip() for line in one.split(b"\n") if line.strip()] for one in (then or b"", now))
    if new[: len(old)] != old:
        yield error_check(
            DataError(
                f"the ledger of attempts does not begin with its {plural(len(old), 'line')} at the merge base: "
                "it was edited, shortened or reordered",
                where=Where(shown_path(ledger)),
                evidence=f"now: {plural(len(new), 'line')}",
                cure="Restore these lines from git, and add new ones after them.",
            ),
            "attempts",
        )


# --- after the verdict ---------------------------------------------------------------------------------------


def answered(gate: Context) -> Context:
    """Return the gate with the candidate's answers known to its attempt, and its runs over the examples that count."""
    attempt, whole = gate.attempt, gate.runs_of("test")
    if attempt is None or "candidate" not in whole:
        return gate
    attempt = replace(attempt, answers=Answers.of(whole["candidate"]), runs=whole)
    counted = {RunName("test", role): part_of(run, gate.test) for role, run in whole.items()}
    return replace(gate, runs={**gate.runs, **counted}, attempt=attempt)


def has_moved(gate: Context) -> bool:
    """Return whether this is another attempt than expected: by its answers, or since another process took that one.

    With known answers its number only grows, up to the first one that is too many.

    Raises:
        DataError: the ledger is damaged.
    """
    attempt = gate.attempt
    if attempt is None or attempt.most is None:
        return False
    return attempt.among(read_ledger(ledger_of(attempt.asked))).number != attempt.number


def keep(gate: Context, notes: Store, *, in_ci: bool) -> tuple[Context, str | None]:
    """Add a complete judgement to the ledger; return the gate, and the line that is yet to be committed.

    Without ``max_attempts`` it is only noted on this machine. Where another candidate has taken the attempt meanwhile,
    nothing is written: see :func:`has_moved`.

    Raises:
        DataError: the ledger is damaged.
    """
    attempt, gain = gate.attempt, gate.facts.get("gain")
    if attempt is None or attempt.answers is None or gate.verdict == "error" or gain is None:
        return gate, None
    level, of = round((1 - gate.config.confidence), 12), _gate_name(attempt.asked)
    candidate = f"{attempt.asked.candidate.spelling} {','.join(attempt.identity)}"
    answers = attempt.answers.hash_for(attempt.seen)
    entry = Entry(of, candidate, answers, attempt.seen, gain, gate.verdict, level, timestamp(gate.now))
    if attempt.most is None:
        with suppress(StoreError):
            if attempt.among(attempt.before).number > len(attempt.before):
                notes.keep_note(f"{_NOTE}{hash_of(f'{of} {candidate} {answers}', 16)}", entry.to_line())
        return gate, None

    def decide(entries: list[Entry]) -> Entry | None:
        now = attempt.among(entries)
        return entry if len(now.before) < now.number == attempt.number else None

    ledger, problem = ledger_of(attempt.asked), ""
    shown = shown_path(ledger)
    try:
        written = decide(read_ledger(ledger)) if in_ci else append(ledger, decide)
    except OSError as error:
        written, problem = entry, f"the attempt could not be written to {shown}: {error.strerror}"
    if written is None:
        return gate, None
    lasting = not (in_ci or problem)
    missing = f"this verdict is not in the committed {shown}, so that later attempts would not count it"
    place = "the line that is printed at the end of the session to "
    check = Check(
        "attempts",
        "error" if in_ci else "note" if lasting else "warning",
        problem or (missing if in_ci else f"the attempt was added to {shown}"),
        advice=f"Commit {'' if lasting else place}{shown}.",
    )
    return gate.with_checks([check]), None if lasting else f"commit this line to {shown}:\n{written.to_line()}"
