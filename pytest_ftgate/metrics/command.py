"""A metric from any command: it reads an answer, and its exit code or a number that it prints is the score."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.command_run import MOST_OUTPUT, NOT_RUN, Ended, Runner, environment
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Kind, Metric, Scored, by_example, check_shape, given
from pytest_ftgate.text import FARTHEST, excerpt, kind_of

NAME = "command"
NAMES = (NAME,)
TIMEOUT_S = 10.0
EXIT_CODE = "exit_code"

_LONGEST_S = 86_400.0
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_RANGE = ("low", "high", "greater_is_better")
_EVIDENCE = 300
_ARGV = "Write argv: [ruff, check, '-']."
_ARGV_LIST = "a list of texts, as [ruff, check, '-']: no shell takes it apart"
_RANGE_CURE = "Write the range of the number."


@dataclass(frozen=True)
class Command(Metric):
    """Runs a command once for each different answer, which it finds on its standard input, as it came.

    Without a pattern, whose one group finds the score in the output, the exit code 0 is right, any other is wrong. A
    command that takes too long, is ended by a signal, exits with 126 or 127, or does not say the number that it should
    is an error of the gate, never a wrong answer. No answer has the worst score, and nothing is run.
    """

    runner: Runner = field(repr=False)
    shown: str
    pattern: re.Pattern[str] | None = None
    kind: Kind = "right_wrong"
    low: float = 0.0
    high: float = 1.0
    greater_is_better: bool = True
    known: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    name = NAME
    compares = False

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        places: dict[str, int] = {}
        for row in answers:
            for index, answer in enumerate(row):
                if answer is not None and given(answer) and answer not in self.known:
                    places.setdefault(answer, index)
        found = self.runner.run(list(places)) if places else []
        for (answer, index), ended in zip(places.items(), found, strict=True):
            if ended is not None:  # one that failed stands for those that it stopped
                self.known[answer] = self._value(ended, index)
        worst = self.low if self.greater_is_better else self.high
        return by_example(
            self, expected, answers, lambda _, answer: self.known[text] if (text := given(answer)) else worst
        )

    def _value(self, ended: Ended | str, index: int) -> float:
        if isinstance(ended, str):
            raise self._failed(index, f"could not be started: {ended}", None, "Run it by hand in that folder.")
        if ended.timed_out:
            what = f"did not end within {self.runner.timeout_s:g} s"
            raise self._failed(index, what, ended, "Give it more time with timeout_s, or mend it.")
        if ended.code < 0:
            what = f"was ended by signal {-ended.code}"
            raise self._failed(index, what, ended, "A crash is no wrong answer: mend it.")
        if ended.code in NOT_RUN:
            what = f"exited with {ended.code}, which says of the program it calls: {NOT_RUN[ended.code]}"
            raise self._failed(index, what, ended, "Install the program, or give its path.")
        return float(ended.code == 0) if self.pattern is None else self._number(self.pattern, ended, index)

    def _number(self, pattern: re.Pattern[str], ended: Ended, index: int) -> float:
        if ended.cut:
            what = f"wrote more than {MOST_OUTPUT:,} bytes, in which a number would be looked for"
            raise self._failed(index, what, ended, "Let it write less.")
        texts = [match[1].strip() for match in pattern.finditer(ended.output) if match[1] is not None]
        found = {float(text) if _NUMBER.fullmatch(text) else None for text in texts}
        if len(found) > 1:
            what = f"wrote {len(found)} different things that score finds"
            raise self._failed(index, what, ended, "Let score find one number: an answer may be quoted in the output.")
        number = found.pop() if found else None
        if number is None:
            what = "wrote no number that score finds"
            raise self._failed(index, what, ended, f"It exited with {ended.code}. Mend it, or score.")
        if not self.low <= number <= self.high:
            what = f"wrote {number!r}, which is not between {self.low:g} and {self.high:g}"
            raise self._failed(index, what, None, "State the range as it is, with low and high.")
        return number

    def _failed(self, index: int, what: str, ended: Ended | None, cure: str) -> MetricError:
        text = ended.output.strip() if ended is not None else ""
        evidence = f"Its output: {excerpt(text, width=_EVIDENCE)}" if text else None
        what = f"the command {self.shown} {what}, for test_set[{index}]"
        return MetricError(what, example=index, evidence=evidence, cure=cure)


def build(options: Options) -> Command:
    """Build ``command``."""
    options.allow("argv", "timeout_s", "score", "concurrency", *_RANGE)
    argv = _argv(options)
    folder = Path(os.path.abspath(options.spec.source.base_dir))
    concurrency = _number(options, "concurrency", float(os.cpu_count() or 1))
    if concurrency < 1 or concurrency != int(concurrency):
        raise options.error("concurrency is no whole number above 0", key="concurrency", cure="Write 4, for example.")
    timeout_s = _number(options, "timeout_s", TIMEOUT_S)
    if not 0 < timeout_s <= _LONGEST_S:
        what = "is not above 0" if timeout_s <= 0 else "is more than a day"
        cure = "Write the seconds that one run may take."
        raise options.error(f"timeout_s {what}", key="timeout_s", cure=cure)
    runner = Runner((_program(options, argv[0], folder), *argv[1:]), folder, timeout_s, int(concurrency))
    return Command(runner, excerpt(argv[0]), *_score(options))


def _argv(options: Options) -> list[str]:
    value = options.spec.options.get("argv")
    if value is None:
        raise options.error("command needs argv, the program and its arguments", key="argv", cure=_ARGV)
    if not isinstance(value, list | tuple) or not value:
        raise options.wrong_type("argv", value, _ARGV_LIST)
    if not all(isinstance(part, str) for part in value):
        raise options.error("argv is a list with something that is no text", key="argv", cure=f"Write {_ARGV_LIST}.")
    if not value[0].strip() or any("\0" in part for part in value):
        raise options.error("argv names no program", key="argv", cure=_ARGV)
    return list(value)


def _program(options: Options, name: str, folder: Path) -> str:
    """Return the program's path. With a slash it is relative to the folder of the file it is written in."""
    is_path = os.path.dirname(name) != ""
    found = shutil.which(str(folder / name) if is_path else name, path=environment(os.environ).get("PATH"))
    if found is None:
        raise options.error(
            f"there is no program {excerpt(name)!r} that could be executed",
            key="argv",
            evidence=f"looked for in {folder}" if is_path else "looked for in the folders of PATH",
            cure="Install it, or correct its name; a script needs the right to be executed (chmod +x).",
        )
    return os.path.abspath(found)


def _score(options: Options) -> tuple[()] | tuple[re.Pattern[str], Kind, float, float, bool]:
    """Return the pattern of a score with its kind, range and direction; nothing where the exit code is the score."""
    score = options.spec.options.get("score", EXIT_CODE)
    given = [key for key in _RANGE if key in options.spec.options]
    if not isinstance(score, str) or not score:
        raise options.wrong_type("score", score, f"{EXIT_CODE}, or a pattern with one group that finds a number")
    if score == EXIT_CODE:
        for key in given:
            what = f"{key} has no meaning with score: {EXIT_CODE}, which makes an answer right or wrong"
            raise options.error(what, key=key, cure="Remove it, or give a pattern as score.")
        return ()
    pattern = _pattern(options, score)
    if len(given) < len(_RANGE):
        absent = ", ".join(key for key in _RANGE if key not in given)
        what = f"command needs {absent}: the range of the number and its direction"
        cure = "Write low: 0, high: 10, greater_is_better: true, for example."
        raise options.error(what, key="score", cure=cure)
    low, high = (_number(options, key, math.nan) for key in ("low", "high"))
    for key, value in (("low", low), ("high", high)):
        if abs(value) > FARTHEST:
            raise options.error(f"{key} is farther than {FARTHEST:g} from 0", key=key, cure=_RANGE_CURE)
    if not low < high:
        raise options.error(f"low {low:g} is not below high {high:g}", key="low", cure=_RANGE_CURE)
    return pattern, "graded", low, high, options.flag("greater_is_better")


def _pattern(options: Options, score: str) -> re.Pattern[str]:
    cause = None
    try:
        pattern = re.compile(score)
        if pattern.groups == 1:
            return pattern
        what = f"score has {pattern.groups} groups, and needs one, around the number"
    except (re.error, OverflowError, RecursionError) as error:
        what, cause = f"score is no regular expression: {error}", error
    near = score.replace("-", "_").strip().lower() in (EXIT_CODE, "exitcode", "exit", "returncode")
    cure = f"Did you mean {EXIT_CODE}?" if near else r"Write it as 'rated at (-?[\d.]+)/10', for example."
    raise options.error(what, key="score", evidence=score, cure=cure) from cause


def _number(options: Options, key: str, default: float) -> float:
    value = options.spec.options.get(key, default)
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or (key in options.spec.options and not abs(value) <= sys.float_info.max):
        found = repr(value) if real else kind_of(value)
        raise options.error(f"{key} is {found}", key=key, cure="Write a number.")
    return float(value)
