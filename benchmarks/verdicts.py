"""Judge gates that are drawn at random, honest and unfair ones, and count the wrong verdicts.

    nice python benchmarks/verdicts.py              300 verdicts (about three minutes)
    nice python benchmarks/verdicts.py --quick      one or two of each class
    python benchmarks/verdicts.py --only 17         one verdict, with its checks

Each verdict draws a task (labels, JSON, numbers, text, tool calls), a metric for it, sizes, repeats
and the skill of both models; its number is the seed. Of an honest class, where the candidate knows
much more, or as much where that is asked for, a fail or an error is a false red. Of an unfair
class, where it knows no more or the comparison is void, a pass is a false green, and so is a
verdict that does not name the cause where the class has one. "by chance" compares equal models, of
which one in twenty may pass.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.judging import judge

VERDICTS = 300
SYLLABLES = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu", "pan", "der", "fil", "gor"]
NAMES = ["refund", "invoice", "shipping", "cancel", "login", "address", "warranty", "discount"]
TOOL = {
    "type": "function",
    "function": {
        "name": "find_order",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ENDPOINT = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "system": "Answer."}


# --- tasks ----------------------------------------------------------------------------------------


def word(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))


def sentence(chance: random.Random, fewest: int = 8) -> str:
    return " ".join(word(chance) for _ in range(chance.randint(fewest, fewest + 8)))


def table_row(chance: random.Random) -> str:
    age = chance.randint(18, 90)
    hours = chance.randint(5, 60)
    return f"age: {age}, hours: {hours}, size: {chance.random():.3f}"


@dataclass(frozen=True)
class Task:
    """Hold a kind of task: its metrics, and how an output and a wrong answer are drawn."""

    metrics: list[Any]
    output: Callable[[random.Random], Any]
    wrong: Callable[[random.Random, Any], Any]


def labels(chance: random.Random) -> Task:
    names = NAMES[: chance.choice([2, 3, 4, 8])]
    weights = [chance.random() + 0.3 for _ in names]
    return Task(
        ["accuracy", "f1_macro", "balanced_accuracy", "exact_match"],
        lambda draw: draw.choices(names, weights)[0],
        lambda draw, right: draw.choice([name for name in names if name != right]),
    )


def records(chance: random.Random) -> Task:
    cities = [word(chance) for _ in range(20)]

    def output(draw: random.Random) -> Any:
        return {
            "city": draw.choice(cities),
            "size": draw.randint(1, 9),
            "open": draw.random() < 0.5,
        }

    def wrong(draw: random.Random, right: Any) -> Any:
        other = draw.choice([city for city in cities if city != right["city"]])
        return {**right, "city": other, "size": right["size"] % 9 + 1}

    return Task(["field_f1", "exact_match"], output, wrong)


def amounts(_: random.Random) -> Task:
    return Task(
        [{"name": "within", "tolerance": 0.5}, "exact_match"],
        lambda draw: f"{draw.uniform(10, 900):.2f}",
        lambda draw, right: f"{float(right) + draw.choice([-1, 1]) * draw.uniform(5, 90):.2f}",
    )


def texts(_: random.Random) -> Task:
    def wrong(draw: random.Random, right: Any) -> Any:
        words = right.split()
        return " ".join([*words[: len(words) // 3], *sentence(draw, 4).split()])

    return Task(["rouge_l", "token_f1", "edit_similarity"], sentence, wrong)


def calls(chance: random.Random) -> Task:
    cities = [word(chance) for _ in range(20)]

    def call(city: str) -> Any:
        return [{"name": "find_order", "arguments": {"city": city}}]

    return Task(
        ["tool_call_exact", "tool_call_f1"],
        lambda draw: call(draw.choice(cities)),
        lambda draw, right: call(f"{right[0]['arguments']['city']}{word(draw)}"),
    )


KINDS: dict[str, Callable[[random.Random], Task]] = {
    "labels": labels,
    "JSON": records,
    "numbers": amounts,
    "text": texts,
    "tools": calls,
}


def written(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output)


# --- one setting ----------------------------------------------------------------------------------


@dataclass
class Setting:
    """Hold one gate before its verdict; a class changes what it is about.

    Attributes:
        test, training: rows as they are written to files.
        right: the rows that each model knows, by role.
        answers: what each model says, ``[repeat][row]``, by role.
        keys: those of the gate.
        more: rows of further files, by name.
    """

    chance: random.Random
    kind: str
    task: Task
    test: list[dict[str, Any]]
    training: list[dict[str, Any]]
    right: dict[str, list[bool]] = field(default_factory=dict)
    answers: dict[str, list[list[str | None]]] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    more: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    repeats: int = 1
    seconds: dict[str, float] = field(default_factory=lambda: {"baseline": 1.0, "candidate": 0.4})

    @property
    def n(self) -> int:
        return len(self.test)

    def say(self, role: str, right: list[bool]) -> None:
        """Let a model be right at these rows; a repeat differs now and then."""
        self.right[role] = right
        self.answers[role] = []
        for _ in range(self.repeats):
            said: list[str | None] = []
            for row, known in zip(self.test, right, strict=True):
                slips = self.repeats > 1 and self.chance.random() < 0.03
                output = row["expected"]
                if known == slips:
                    output = self.task.wrong(self.chance, output)
                said.append(written(output))
            self.answers[role].append(said)

    def draw_right(self, share: float) -> list[bool]:
        return [self.chance.random() < share for _ in self.test]

    def improve(self, gain: float) -> None:
        """Let the candidate know what the baseline knows, but for 2 %, and more."""
        known = self.right["baseline"]
        share = sum(known) / self.n
        fixes = min(1.0, (gain + 0.02 * share) / max(1 - share, 0.01))
        right = []
        for is_known in known:
            right.append(self.chance.random() < (0.98 if is_known else fixes))
        self.say("candidate", right)

    def change(self, role: str, share: float, answer: Callable[[str | None], str | None]) -> None:
        """Change a share of the answers of a model."""
        for said in self.answers[role]:
            for row in range(len(said)):
                if self.chance.random() < share:
                    said[row] = answer(said[row])

    def write(self, folder: Path) -> dict[str, Any]:
        """Write all files, and return the keys of the gate."""
        write_rows(folder / "test.jsonl", self.test)
        write_rows(folder / "train.jsonl", self.training)
        for name, rows in self.more.items():
            write_rows(folder / name, rows)
        for role, repeats in self.answers.items():
            rows = []
            for repeat, said in enumerate(repeats):
                for row, output in zip(self.test, said, strict=True):
                    if output is not None:
                        seconds = self.seconds[role] * self.chance.uniform(0.9, 1.1)
                        answer = {"id": row["id"], "output": output, "latency_s": seconds}
                        rows.append({**answer, "repeat": repeat} if self.repeats > 1 else answer)
            write_rows(folder / f"{role}.jsonl", [*rows, *self.more.get(f"more {role}", ())])
        usual = {
            "test_set": "test.jsonl",
            "training_set": "train.jsonl",
            "baseline": "recorded:baseline.jsonl",
            "candidate": "recorded:candidate.jsonl",
            "repeats": self.repeats,
        }
        if "max_drop" not in self.keys:
            usual["margin"] = 0.05
        keys = {**usual, **self.keys}
        return {name: value for name, value in keys.items() if value is not None}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def drawn(seed: int, *, kind: str | None = None, n: int | None = None) -> Setting:
    """Return a setting in which the baseline knows about half, and the candidate much more."""
    chance = random.Random(seed)
    kind = kind or chance.choice(list(KINDS))
    task = KINDS[kind](chance)
    n = n or chance.randint(100, 200)
    makes = table_row if kind in ("labels", "numbers") and chance.random() < 0.3 else sentence

    def rows(count: int, prefix: str) -> list[dict[str, Any]]:
        made = []
        for i in range(count):
            row = {"id": f"{prefix}{i}", "input": makes(chance), "expected": task.output(chance)}
            made.append({**row, "tools": [TOOL]} if kind == "tools" else row)
        return made

    setting = Setting(chance, kind, task, rows(n, "t"), rows(chance.randint(220, 500), "r"))
    setting.repeats = chance.choice([1, 1, 1, 2])
    setting.keys["metric"] = chance.choice(task.metrics)
    # of two labels a guess is right half of the time
    least = 0.65 if kind == "labels" else 0.5
    setting.say("baseline", setting.draw_right(chance.uniform(least, least + 0.1)))
    setting.improve(0.25)
    return setting


# --- classes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Class:
    """Hold a class of settings.

    Attributes:
        make: draws a setting of a seed.
        fair: whether a fail is a false red; otherwise a pass is a false green.
        told: a check that must at least warn.
        by_chance: a pass may be chance.
    """

    name: str
    make: Callable[[int], Setting]
    fair: bool = False
    told: str | None = None
    by_chance: bool = False


CLASSES: list[Class] = []


def of_class(name: str, **facts: Any) -> Callable[[Callable[[int], Setting]], None]:
    """Add a class of settings that a function draws."""

    def keep(make: Callable[[int], Setting]) -> None:
        CLASSES.append(Class(name, make, **facts))

    return keep


@of_class("honest: a gain", fair=True)
def _gain(seed: int) -> Setting:
    return drawn(seed)


@of_class("honest: a gain in groups", fair=True)
def _groups(seed: int) -> Setting:
    setting = drawn(seed, n=180)
    size = setting.chance.choice([2, 3, 4])
    for i, row in enumerate(setting.test):
        row["group"] = f"g{i // size}"
    return setting


@of_class("honest: a few malformed answers of both", fair=True)
def _few_malformed(seed: int) -> Setting:
    setting = drawn(seed)
    for role in ("baseline", "candidate"):
        setting.change(role, 0.03, lambda _: "")
    return setting


@of_class("honest: two baselines", fair=True)
def _two_baselines(seed: int) -> Setting:
    setting = drawn(seed)
    setting.repeats = 1
    setting.say("baseline", setting.right["baseline"])
    setting.say("candidate", setting.right["candidate"])
    weaker = setting.draw_right(0.45)
    setting.seconds["prompt"] = 1.0
    setting.say("prompt", weaker)
    baselines = {"few_shot": "recorded:baseline.jsonl", "prompt": "recorded:prompt.jsonl"}
    setting.keys |= {"baseline": None, "baselines": baselines}
    return setting


@of_class("honest: as good and faster", fair=True)
def _champion(seed: int) -> Setting:
    setting = drawn(seed, n=200)
    setting.say("baseline", setting.draw_right(0.85))
    right = [known or setting.chance.random() < 0.1 for known in setting.right["baseline"]]
    setting.say("candidate", right)
    setting.change("baseline", 0.03, lambda _: "")
    setting.keys |= {"max_drop": 0.1, "faster_by": 1.5}
    return setting


@of_class("honest: labels in two cases", fair=True)
def _cases(seed: int) -> Setting:
    setting = drawn(seed, kind="labels")
    setting.keys["metric"] = setting.chance.choice(["accuracy", "f1_macro"])
    for row in [*setting.test, *setting.training]:
        if setting.chance.random() < 0.3:
            row["expected"] = row["expected"].title()
    return setting


@of_class("honest: ready to train", fair=True)
def _ready(seed: int) -> Setting:
    setting = drawn(seed)
    del setting.answers["candidate"]
    setting.keys |= {"stage": "ready", "candidate": None}
    return setting


@of_class("equal models", by_chance=True)
def _equal(seed: int) -> Setting:
    setting = drawn(seed)
    setting.keys["margin"] = 0.01
    setting.say("candidate", setting.draw_right(0.57))
    setting.say("baseline", setting.draw_right(0.57))
    return setting


@of_class("leak: the same rows", told="leaked")
def _leak(seed: int) -> Setting:
    setting = drawn(seed)
    leaked = setting.chance.sample(setting.test, setting.n // 2)
    setting.training += [{**row, "id": f"x{row['id']}"} for row in leaked]
    return setting


@of_class("leak: with one word more", told="leaked_near")
def _near_leak(seed: int) -> Setting:
    setting = drawn(seed, kind="text")
    for row in setting.test[: setting.n // 2]:
        words = row["input"].split()
        words[setting.chance.randrange(len(words))] = "so"
        setting.training.append({**row, "id": f"x{row['id']}", "input": " ".join(words)})
    return setting


@of_class("leak: the same groups", told="group_overlap")
def _group_leak(seed: int) -> Setting:
    setting = drawn(seed)
    for rows in (setting.test, setting.training):
        for i, row in enumerate(rows):
            row["group"] = f"g{i // 3}"
    return setting


@of_class("answers at other rows")
def _moved(seed: int) -> Setting:
    setting = drawn(seed)
    setting.say("baseline", setting.draw_right(0.9))
    setting.improve(0.05)
    n = setting.n
    start = setting.chance.randrange(n // 3)
    shuffled = setting.chance.sample(range(n), n)
    orders = [
        list(range(n))[::-1],
        [(i + n // 2) % n for i in range(n)],
        [(i + 2) % n for i in range(n)],
        [(i + (i > start)) % n for i in range(n)],
        shuffled,
    ]
    order = setting.chance.choice(orders)
    for repeat, said in enumerate(setting.answers["baseline"]):
        setting.answers["baseline"][repeat] = [said[row] for row in order]
    return setting


@of_class("form: the baseline answers in sentences")
def _sentences(seed: int) -> Setting:
    chance = random.Random(f"kind {seed}")
    setting = drawn(seed, kind=chance.choice(["labels", "JSON", "numbers", "tools"]))
    setting.say("candidate", list(setting.right["baseline"]))
    share = setting.chance.uniform(0.3, 1.0)
    setting.change("baseline", share, lambda said: f"I think that the answer might be {said} here")
    return setting


@of_class("form: the baseline times out")
def _timed_out(seed: int) -> Setting:
    setting = drawn(seed)
    setting.say("candidate", list(setting.right["baseline"]))
    setting.change("baseline", 0.35, lambda _: "Request timed out.")
    return setting


@of_class("a baseline with one answer")
def _constant(seed: int) -> Setting:
    setting = drawn(seed)
    texts_expected = Counter(written(row["expected"]) for row in setting.test)
    constant = texts_expected.most_common(1)[0][0]
    setting.change("baseline", 1.0, lambda _: constant)
    return setting


@of_class("too few test rows", told="min_test_examples")
def _few_rows(seed: int) -> Setting:
    return drawn(seed, n=random.Random(seed).randint(15, 49))


@of_class("contradicting training rows", told="conflicts")
def _conflicts(seed: int) -> Setting:
    setting = drawn(seed)
    for row in setting.training[: len(setting.training) // 10]:
        other = setting.task.wrong(setting.chance, row["expected"])
        setting.training.append({**row, "id": f"x{row['id']}", "expected": other})
    return setting


@of_class("copies of a few test rows", told="test_near_duplicates")
def _copies(seed: int) -> Setting:
    setting = drawn(seed, kind="text", n=120)
    for i, row in enumerate(setting.test):
        first = setting.test[i % 10]
        row |= {"input": f"{first['input']} {'so' * (i // 10)}", "expected": first["expected"]}
    known = [setting.chance.random() < 0.5 for _ in range(10)]
    setting.say("baseline", [known[i % 10] for i in range(120)])
    setting.say("candidate", [known[i % 10] or i % 10 < 7 for i in range(120)])
    return setting


@of_class("a worse candidate for a champion")
def _worse(seed: int) -> Setting:
    setting = drawn(seed, n=200)
    setting.say("baseline", setting.draw_right(0.9))
    right = [known and setting.chance.random() < 0.85 for known in setting.right["baseline"]]
    setting.say("candidate", right)
    if setting.chance.random() < 0.5 and setting.kind != "text":
        setting.change("baseline", 0.3, lambda said: f"The answer might be {said} here")
    setting.keys |= {"max_drop": 0.03, "faster_by": 1.5}
    return setting


@of_class("the same answers", told="identical_outputs")
def _same(seed: int) -> Setting:
    setting = drawn(seed)
    setting.answers["candidate"] = [list(said) for said in setting.answers["baseline"]]
    return setting


@of_class("a candidate whose answers are missing", told="candidate_answers")
def _missing(seed: int) -> Setting:
    setting = drawn(seed)
    setting.change("candidate", 0.1, lambda _: None)
    return setting


@of_class("a metric of labels for texts")
def _no_labels(seed: int) -> Setting:
    setting = drawn(seed, kind="text")
    setting.keys["metric"] = setting.chance.choice(["accuracy", "f1_macro"])
    return setting


@of_class("a lost slice", told="slices")
def _lost_slice(seed: int) -> Setting:
    setting = drawn(seed, n=200)
    right = list(setting.right["candidate"])
    for i, row in enumerate(setting.test):
        row["area"] = "north" if i < 40 else "south"
        right[i] = right[i] and i >= 40
    setting.say("candidate", right)
    setting.keys |= {"slices": {"fields": ["area"], "max_drop": 0.05}, "margin": 0.01}
    return setting


@of_class("a lost guard", told="guards.other")
def _lost_guard(seed: int) -> Setting:
    setting = drawn(seed)
    chance = setting.chance
    rows = [
        {"id": f"g{i}", "input": sentence(chance), "expected": NAMES[i % 3]} for i in range(200)
    ]
    setting.more["guard.jsonl"] = rows
    for role, share in (("baseline", 0.9), ("candidate", 0.75)):
        answers = []
        for repeat in range(setting.repeats):
            for i, row in enumerate(rows):
                output = NAMES[i % 3] if chance.random() < share else NAMES[(i + 1) % 3]
                answer = {"id": row["id"], "output": output, "latency_s": 1.0}
                answers.append({**answer, "repeat": repeat} if setting.repeats > 1 else answer)
        setting.more[f"more {role}"] = answers
    guard = {"test_set": "guard.jsonl", "max_drop": 0.05, "metric": "accuracy"}
    setting.keys["guards"] = {"other": guard}
    return setting


@of_class("a slower candidate", told="faster_by")
def _slower(seed: int) -> Setting:
    setting = drawn(seed)
    setting.seconds["candidate"] = 0.9
    setting.keys |= {"max_drop": 0.05, "faster_by": 1.5}
    return setting


@of_class("a prompt with more", told="baseline_prompt")
def _more_prompt(seed: int) -> Setting:
    setting = drawn(seed)
    more = setting.chance.choice(
        [
            {"few_shot": 4},
            {"retrieval": 2},
            {"system": sentence(setting.chance, 60)},
            {"template": f"{sentence(setting.chance, 60)} {{input}}"},
            {"params": {"reasoning_effort": "high"}},
            {"params": {"guided_choice": NAMES}},
        ]
    )
    setting.keys |= {
        "baseline": {**ENDPOINT, "model": "base"},
        "candidate": {**ENDPOINT, "model": "ft", **more},
    }
    return setting


@of_class("a prompt with the answer", told="prompt_leak")
def _told_prompt(seed: int) -> Setting:
    setting = drawn(seed)
    candidate: dict[str, Any] = {**ENDPOINT, "model": "ft", "template": "{input} ({hint})"}
    for row in setting.test:
        output = row["expected"]
        row["hint"] = f"see {output}" if isinstance(output, str) else {"sent": output}
    if setting.chance.random() < 0.5:
        examples = "\n".join(row["input"] for row in setting.test[:20])
        candidate = {**ENDPOINT, "model": "ft", "system": f"Examples:\n{examples}"}
    setting.keys |= {"baseline": {**ENDPOINT, "model": "base"}, "candidate": candidate}
    return setting


# --- verdicts -------------------------------------------------------------------------------------

BAD = ("fail", "error", "inconclusive", "warning")


def judged(of: Class, seed: int, folder: Path) -> tuple[str, bool, dict[str, str]]:
    """Return a verdict, whether it is wrong, and what its checks say that are not green."""
    setting = of.make(seed)
    keys = setting.write(folder)
    result = judge(**keys)
    findings = {}
    for check in result.checks:
        if check.status in BAD:
            findings[check.name] = f"{check.status}: {check.message}"
    if of.fair:
        is_wrong = result.verdict in ("fail", "error")
    elif of.by_chance:
        is_wrong = result.verdict == "error"
    else:
        # a warning is enough where the cause is named
        is_wrong = of.told not in findings if of.told else result.verdict == "pass"
    metric = keys["metric"]
    about = metric if isinstance(metric, str) else metric["name"]
    findings[""] = f"{setting.kind}, {about}, {setting.n} rows, repeats {setting.repeats}"
    return result.verdict, is_wrong, findings


def seeds(n: int) -> Iterator[tuple[int, Class]]:
    for seed in range(n):
        yield seed, CLASSES[seed % len(CLASSES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--verdicts", type=int, default=VERDICTS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=int, metavar="NUMBER")
    options = parser.parse_args()
    n = 2 * len(CLASSES) if options.quick else options.verdicts

    counts: dict[str, Counter[str]] = {of.name: Counter() for of in CLASSES}
    wrong = []
    started = time.process_time()
    for seed, of in seeds(n if options.only is None else options.only + 1):
        if options.only not in (None, seed):
            continue
        with tempfile.TemporaryDirectory() as name:
            os.chdir(name)
            verdict, is_wrong, findings = judged(of, seed, Path(name))
            os.chdir("/")
        counts[of.name][verdict] += 1
        counts[of.name]["wrong"] += is_wrong
        if is_wrong or options.only is not None:
            wrong.append((seed, of.name, verdict, findings))

    columns = ("pass", "inconclusive", "fail", "error", "wrong")
    print(f"{'':42}", *(f"{column:>13}" for column in columns), sep="")
    for class_name, count in counts.items():
        print(f"{class_name:42}", *(f"{count[column]:>13}" for column in columns), sep="")
    print(
        f"{sum(count.total() - count['wrong'] for count in counts.values())} verdicts in ", end=""
    )
    print(f"{time.process_time() - started:.0f} s")
    for seed, class_name, verdict, findings in wrong:
        print(f"\n{seed} {class_name}: {verdict}; {findings.pop('')}")
        for name, finding in findings.items():
            print(f"  {name}: {finding[:150]}")


if __name__ == "__main__":
    main()
