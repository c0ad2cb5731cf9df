"""The rule for several attempts on one test set: each is judged at half the level of the one before.

Another candidate is another attempt, and so are other answers of one candidate.

``benchmarks/attempts.py`` measures what this prevents. Of the examples, a tenth chosen by hash may be shown; it does
not count in the verdict from the second attempt on, because what is shown can be mended without any gain elsewhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.context import Context, RunName
from pytest_ftgate.checks.ledger import Attempt, Entry, answers_of, append, fingerprint, hash_of, joined, read_ledger
from pytest_ftgate.checks.weaker.base import find_base
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, normalized_input
from pytest_ftgate.errors import DataError, FtgateError, HistoryError, StoreError, Where, shown_path
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.result import Check, Threshold, error_check
from pytest_ftgate.runs.jobs import Job, Run, Stores
from pytest_ftgate.runs.measure import Measured, measure_run, score_run
from pytest_ftgate.runs.runner import stored_runs
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import ordinal, plural, timestamp

_NOTE = "attempt: "
_PROBES = 3


def find_attempt(
    config: GateKeys, candidate: Model, metric: Metric, test: DataSet, stores: Stores, answers: frozenset[str] | None
) -> Attempt:
    """Return which attempt the candidate is.

    Args:
        config: the keys of the gate as written.
        metric: the deciding metric.
        test: the whole test set.
        answers: the hashes of the candidate's; None: they are those that are recorded or stored, if all are.

    Raises:
        FtgateError: with ``max_attempts``, the ledger is damaged.
    """
    if answers is None and config.max_attempts is not None:
        with suppress(FtgateError):  # what is wrong is reported where the candidate is asked
            (run,) = stored_runs([Job(candidate, test, config.repeats, of_candidate=True)], stores)
            answers = None if run.unanswered else answers_of(run)
    attempt = Attempt(config, test, metric, _identity(candidate, config, test), fingerprint(test), answers=answers)
    return attempt.among(_earlier(config, stores.notes))


def _ledger_of(config: GateKeys) -> Path:
    """Return the path of the ledger: beside the gate file; for a gate without one, beside its marker."""
    sources = config.sources
    of_file = (one for one in sources.values() if one.kind in ("file", "defaults"))
    return next(of_file, sources["max_attempts"]).absolute("ftgate-attempts.jsonl")


def _earlier(config: GateKeys, notes: Store) -> list[Entry]:
    """Return the attempts in the ledger; without ``max_attempts`` those of the gate that this machine has noted."""
    if config.max_attempts is not None:
        return read_ledger(_ledger_of(config))
    found: list[Entry] = []
    with suppress(StoreError):
        for text in notes.notes(_NOTE).values():
            with suppress(ValueError):
                found.append(Entry.from_line(text))
    return [entry for entry in found if entry.gate == (config.gate or config.name)]


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
            f"{used} been judged on this test set ({shown_path(_ledger_of(attempt.asked))}); this would be attempt "
            f"{attempt.number:,} of {attempt.most:,}",
            **facts,
            advice="Label a fresh test set, of which less than half is known, or take another approach than one more "
            "variant. More attempts on this test set would pass a useless candidate by luck.",
            action="stop",
        )
        return
    spared = len(attempt.whole) - len(attempt.counted)
    left_out = f"; {plural(spared, 'example')} that may be shown {'does' if spared == 1 else 'do'} not count"
    yield Check("attempts", "note", f"{attempt.facts}{left_out if spared else ''}", **facts)
    if attempt.asked.evidence == "observed":
        yield Check(
            "attempts",
            "warning",
            "evidence: observed has no level, so that max_attempts only limits the number of attempts",
            source=gate.source("evidence"),
            advice="Set evidence: significant.",
        )


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
    if config.max_attempts is None:
        return
    ledger = _ledger_of(config)
    try:
        base = find_base(ledger.parent, ref)
        then = base.content(ledger) if base is not None else None
        now = ledger.read_bytes() if ledger.exists() else b""
    except (HistoryError, OSError) as error:
        message = f"the ledger of attempts could not be compared with its earlier version: {error}"
        yield Check("attempts", "note", message)
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
    attempt = replace(attempt, answers=answers_of(whole["candidate"]), runs=whole)
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
    return attempt.among(read_ledger(_ledger_of(attempt.asked))).number != attempt.number


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
    config = attempt.asked
    candidate = f"{config.candidate.spelling} {','.join(attempt.identity)}"
    level, name, own = round(1 - gate.config.confidence, 12), config.gate or config.name, joined(attempt.answers)
    entry = Entry(name, candidate, own, attempt.seen, gain, gate.verdict, level, timestamp(gate.now))

    def decide(entries: list[Entry]) -> Entry | None:
        now = attempt.among(entries)
        return entry if not now.is_known and now.number == attempt.number else None

    if attempt.most is None:
        with suppress(StoreError):
            if not attempt.among(attempt.before).is_known:
                notes.keep_note(f"{_NOTE}{hash_of(f'{name} {candidate} {own}', 16)}", entry.to_line())
        return gate, None
    ledger, problem = _ledger_of(config), ""
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


# --- what may be shown ---------------------------------------------------------------------------------------


def part_of(run: Run, examples: DataSet) -> Run:
    """Return a run over some examples of its test set, in their order there."""
    wanted = {example.id for example in examples}
    kept = [index for index, example in enumerate(run.test_set) if example.id in wanted]
    return replace(run, test_set=examples, predictions=tuple(tuple(row[at] for at in kept) for row in run.predictions))


def shown_answers(gate: Context) -> Mapping[str, Measured]:
    """Return the best baseline and the candidate on the examples that may be shown, by role.

    Empty where these are only some examples, and cannot be scored by themselves, as by a judge.
    """
    if gate.may_show is None:
        return gate.scored
    attempt = gate.attempt
    if attempt is None or not len(gate.may_show) or attempt.metric.judged or attempt.metric.pairwise:
        return {}
    metric, found = attempt.metric, {}
    for role in (gate.best, "candidate"):
        run = part_of(attempt.runs[role], gate.may_show)
        if run.unanswered:
            return {}
        try:
            measured = measure_run(gate.config.asked[role].name, run)
            found[role] = score_run(measured, {metric.name: metric}, metric.name, gate.may_show.expected)
        except FtgateError:
            return {}
    return found
