"""Which test rows are found in a training set, by the form in which they are hidden there.

60 test rows of each data set are planted into its training set in one form after another; then the
whole training set is written in one form, with 60 test rows in it. "long" counts those of the 60
rows with at least eight words, or twelve characters. The last two columns are the two errors: the
planted rows that are missed, and the reported test rows that were not planted.

The rows of ``--data numbers`` are made up, and differ in numbers that tell outputs apart, as in
tables, readings, dates and word problems; no row is a copy, so that each that is reported with
nothing planted is an error, too. "rare" has 2 % of one label.

Five data sets are of installed packages: chat messages (``pip install chitchat-dataset``), Python's
standard library, and texts of user interfaces in Japanese, Hindi and German (``pip install
django``). Four are downloaded: labels of bank questions (Banking77) and of voice commands
(CLINC150), code (codealpaca) and Japanese questions (JCommonsenseQA).

Run it with installed packages, with the files of a folder, or with downloads; ``--quick`` takes
less than a minute, and has smaller sets of made up rows::

    python benchmarks/leaks.py
    python benchmarks/leaks.py --quick
    python benchmarks/leaks.py --data Banking77 CLINC150
    python benchmarks/leaks.py --data numbers --form verbatim ticket ChatML
    python benchmarks/leaks.py --data Banking77 --folder FOLDER
    python benchmarks/leaks.py --data chat --form JSON --show    # what was missed
"""

from __future__ import annotations

import argparse
import ast
import csv
import datetime
import gettext
import html
import importlib
import io
import json
import random
import sysconfig
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pytest_ftgate.checks.audit import audit_training_set
from pytest_ftgate.data import examples_from, normalized_input

GITHUB = "https://raw.githubusercontent.com/"
BANKING = "PolyAI-LDN/task-specific-datasets/master/banking_data/"
CLINC = "clinc/oos-eval/master/data/"
CODE = "sahil280114/codealpaca/master/data/"
JAPANESE = "yahoojapan/JGLUE/main/datasets/jcommonsenseqa-v1.3/"
PLANTED = 60

Row = tuple[Any, str]
Hide = Callable[[str, str, random.Random, Sequence[tuple[str, str]]], Row]
"""Return a training row that holds a text with this answer; the last argument has other rows."""

INSTRUCTION = (
    "You are the assistant of a bank. Read the message of the customer below carefully, think "
    "about what is wanted, and answer with exactly one of the categories that you were taught, in "
    "lower case, on one line, without any explanation, quotes or punctuation, because another "
    "program reads your answer and forwards the customer. "
)
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response:"
)
SPEAKERS = [
    "Anna",
    "Boris",
    "Clara",
    "Dmitri",
    "Emine",
    "Farid",
    "Greta",
    "Hector",
    "Ingrid",
    "Jamal",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
]
LOOKALIKES = str.maketrans("aeopcx", "аеорсх")  # Cyrillic letters


def behind(frame: str) -> Hide:
    return lambda text, answer, _rng, _rows: (frame.replace("{}", text), answer)


def framed(frame: Callable[[str, random.Random], str]) -> Hide:
    return lambda text, answer, rng, _rows: (frame(text, rng), answer)


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def date(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def hour(rng: random.Random) -> str:
    return f"{rng.randint(10, 23)}:{rng.randint(10, 59)}"


def ticket(text: str, rng: random.Random) -> str:
    ticket = f"Ticket #{rng.randint(10_000, 99_999)} of {date(rng)}"
    return f"{ticket}: {text} (order AB-{rng.randint(1000, 9999)})"


def other(rows: Sequence[tuple[str, str]], rng: random.Random) -> str:
    return rng.choice(rows)[0]


def words(text: str) -> list[str]:
    """Return words, or the single characters of a text without spaces."""
    return text.split() if " " in text else list(text)


def joined(tokens: Sequence[str], text: str) -> str:
    return (" " if " " in text else "").join(tokens)


def dropped(text: str, rng: random.Random) -> str:
    tokens = words(text)
    del tokens[rng.randrange(len(tokens))]
    return joined(tokens, text)


def typo(text: str, rng: random.Random) -> str:
    position = rng.randrange(max(1, len(text)))
    return text[:position] + text[position + 1 :]


def shuffled(text: str, rng: random.Random) -> str:
    return joined(rng.sample(tokens := words(text), len(tokens)), text)


def replaced(text: str, rng: random.Random) -> str:
    tokens = words(text)
    tokens[rng.randrange(len(tokens))] = "which" if " " in text else "何"
    return joined(tokens, text)


FORMS: dict[str, Hide] = {
    "verbatim": behind("{}"),
    "upper case": framed(lambda text, _: text.upper()),
    "Alpaca template": behind(ALPACA),
    "instruction": behind(INSTRUCTION + "{}"),
    "instruction and template": behind(INSTRUCTION + "\n\nMessage: {}\n\nCategory:"),
    "thanks": behind("{} Thanks!"),
    "signature": behind("{}\n\nKind regards, sent from my phone with the mobile app"),
    "earlier turn": lambda text, answer, rng, rows: (
        chat(("user", text), ("assistant", answer), ("user", other(rows, rng))),
        rng.choice(rows)[1],
    ),
    "number": framed(lambda text, rng: f"{rng.randint(1, 99)}. {text}"),
    "number in brackets": framed(lambda text, rng: f"({rng.randint(1, 99)}) {text}"),
    "Q and number": framed(lambda text, rng: f"Q{rng.randint(1, 99)}: {text}"),
    "date": framed(lambda text, rng: f"{date(rng)} {text}"),
    "date and time": framed(lambda text, rng: f"{date(rng)}T{hour(rng)}:00Z {text}"),
    "written date": framed(
        lambda text, rng: f"{rng.randint(1, 28)} {rng.choice(MONTHS)} 2026, {hour(rng)}: {text}"
    ),
    "time": framed(lambda text, rng: f"[{hour(rng)}] {text}"),
    "time at the end": framed(lambda text, rng: f"{text} ({hour(rng)})"),
    "speaker and time": framed(lambda text, rng: f"[{rng.choice(SPEAKERS)} {hour(rng)}] {text}"),
    "time and speaker": framed(lambda text, rng: f"{hour(rng)} {rng.choice(SPEAKERS)}: {text}"),
    "speaker": framed(lambda text, rng: f"{rng.choice(SPEAKERS)}: {text}"),
    "speaker in tags": framed(lambda text, rng: f"<{rng.choice(SPEAKERS)}> {text}"),
    "ticket": framed(ticket),
    "JSON": framed(lambda text, _: json.dumps({"text": text})),
    "JSON with more": framed(
        lambda text, rng: json.dumps({"id": rng.random(), "text": text, "lang": "en"})
    ),
    "JSON in JSON": framed(lambda text, _: json.dumps({"body": json.dumps({"q": text})})),
    "HTML": framed(lambda text, _: f"<p>{html.escape(text)}</p>"),
    "HTML signs": framed(
        lambda text, _: "".join(f"&#{ord(sign)};" if sign in "aeo'のは" else sign for sign in text)
    ),
    "URL": framed(lambda text, _: quote(text)),
    "form": framed(lambda text, _: f"q={quote_plus(text)}&lang=en"),
    "Markdown": behind("**Question:** _{}_"),
    "Markdown list": behind("- **{}**"),
    "Markdown quote": behind("> {}"),
    "Markdown heading": behind("## {}\n\nAnswer briefly."),
    "underscores": framed(lambda text, _: text.replace(" ", "_")),
    "question in quotes": behind('Please answer this: "{}"'),
    "reasoning": lambda text, answer, rng, rows: (
        other(rows, rng) + f" {rng.random()}",
        f"<think>They ask: {text}\nThat is clear.</think>{answer}",
    ),
    "reasoning in a sentence": lambda text, answer, rng, rows: (
        other(rows, rng) + f" {rng.random()}",
        f'Okay, the user asks "{text}", so the answer must be this one. {answer}',
    ),
    "reverse task": lambda text, answer, rng, _rows: (
        f"Write message {rng.random()} for {answer}",
        text,
    ),
    "system message": lambda text, answer, rng, rows: (
        chat(("system", f"Example: {text} -> {answer}"), ("user", other(rows, rng))),
        rng.choice(rows)[1],
    ),
    "further field": lambda text, answer, rng, rows: {
        "input": f"{other(rows, rng)} {rng.random()}",
        "expected": answer,
        "context": f"As asked before: {text}",
    },
    "varied text before": lambda text, answer, rng, rows: (
        f"{other(rows, rng)} {other(rows, rng)} {text}",
        answer,
    ),
    "varied text after": lambda text, answer, rng, rows: (
        f"{text} {other(rows, rng)} {other(rows, rng)}",
        answer,
    ),
    "varied words before": framed(
        lambda text, rng: f"{' '.join(rng.choices(SPEAKERS, k=8))} met and wrote {text}"
    ),
    "among sentences": lambda text, answer, rng, rows: (
        f"{other(rows, rng)[9:]}. {text}. {other(rows, rng)[9:]}.",
        answer,
    ),
    "two questions": lambda text, answer, rng, rows: (f"{text} {other(rows, rng)}", answer),
    "two questions, second": lambda text, answer, rng, rows: (f"{other(rows, rng)} {text}", answer),
    "two questions, lines": lambda text, _answer, rng, rows: (
        (row := rng.choice(rows))[0] + "\n" + text,
        row[1],
    ),
    "two questions, both answers": lambda text, answer, rng, rows: (
        f"{(row := rng.choice(rows))[0]} {text}",
        f"{row[1]}, {answer}",
    ),
    "two numbered questions": lambda text, answer, rng, rows: (
        f"1. {(row := rng.choice(rows))[0]}\n2. {text}",
        f"1. {row[1]}\n2. {answer}",
    ),
    "ChatML": framed(
        lambda text, _: f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "Gemma": framed(
        lambda text, _: f"<start_of_turn>user\n{text}<end_of_turn>\n<start_of_turn>model\n"
    ),
    "Llama 3": framed(
        lambda text, _: f"<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    ),
    "SQL": lambda text, answer, rng, _rows: (
        f"INSERT INTO rows VALUES ({rng.randint(1, 999)}, '{text}', 'en');",
        answer,
    ),
    "YAML": framed(lambda text, rng: f"id: {rng.randint(1, 999)}\ntext: {text}\nlang: en"),
    "customer": framed(lambda text, rng: f"Customer {rng.randint(1, 99)} says {text}"),
    "classify": behind("classify {}"),
    "label": behind("{} label"),
    "fence": behind("Look at this: ```text\n{}\n``` What is it?"),
    "slug": framed(lambda text, _: text.replace(" ", "-")),
    "HTML tags": framed(lambda text, _: " ".join(f"<b>{word}</b>" for word in text.split(" "))),
    "HTML line breaks": framed(lambda text, _: text.replace(" ", "<br/>")),
    "letter": framed(
        lambda text, rng: f"Hi {rng.choice(SPEAKERS)}, {text} Cheers {rng.choice(SPEAKERS)}"
    ),
    "look-alike letters": framed(lambda text, _: text.translate(LOOKALIKES)),
    "one typo": framed(typo),
    "two typos": framed(lambda text, rng: typo(typo(text, rng), rng)),
    "a word left out": framed(dropped),
    "another word": framed(replaced),
    "two other words": framed(lambda text, rng: replaced(replaced(text, rng), rng)),
    "shuffled": framed(shuffled),
}
WHOLE = [
    *(
        "verbatim",
        "Alpaca template",
        "instruction",
        "ChatML",
        "Gemma",
        "Llama 3",
        "SQL",
        "YAML",
        "customer",
    ),
    *(
        "classify",
        "label",
        "fence",
        "JSON",
        "JSON with more",
        "HTML",
        "HTML tags",
        "slug",
        "form",
        "ticket",
    ),
    *("number", "speaker"),
]
"""Forms in which a whole training set may be written."""
QUICK = ["verbatim", "ticket", "ChatML"]
"""Forms of the quick run."""
INSTALLED = ["chat", "Python", "Japanese UI", "Hindi UI", "German UI"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the files are; otherwise they are downloaded"
    )
    parser.add_argument("--form", nargs="+", default=list(FORMS))
    parser.add_argument(
        "--data", nargs="+", default=INSTALLED, help="data sets; numbers: all made up ones"
    )
    parser.add_argument(
        "--quick", action="store_true", help="made up rows, 300 to train on, in three forms"
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="print what was missed, and clean rows that were reported",
    )
    options = parser.parse_args(arguments)
    names = options.data
    if (options.quick and names == INSTALLED) or names == ["numbers"]:
        names = list(MADE_UP)
    forms = QUICK if options.quick else options.form

    print(f"{'':<32}{'form':<30}{'leaked':>8}{'or near':>9}{'missed':>8}{'clean':>7}")
    errors = Errors()
    for name in names:
        training, test = DATA[name](options.folder)
        if options.quick:
            training, test = training[:300], test[:100]
        errors += measure(name, training, test, forms, show=options.show)
    print(f"{'planted rows that are missed':<62}{errors.missed:>9,} of {errors.planted:,}")
    print(f"{'clean rows that are reported':<62}{errors.reported:>9,} of {errors.clean:,}")


@dataclass(frozen=True)
class Errors:
    """Count both errors: planted rows that are missed, and clean rows that are reported."""

    planted: int = 0
    missed: int = 0
    clean: int = 0
    reported: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            planted=self.planted + other.planted,
            missed=self.missed + other.missed,
            clean=self.clean + other.clean,
            reported=self.reported + other.reported,
        )


def measure(
    name: str, training: list[Row], test: list[Row], forms: Sequence[str], *, show: bool
) -> Errors:
    """Print how many of the planted rows are found in each form, and how many others are reported.

    Rows that are reported if these are planted verbatim, or if nothing is, do not count as others,
    unless they are made up: then none of them is a copy.
    """
    test = list({normalized_input(row[0]): row for row in reversed(test)}.values())[::-1]
    leaked, near = reported(training, test)
    dirty = leaked | near
    errors = Errors()
    clean: str | int = ""
    if name in MADE_UP:
        clean = len(dirty)
        errors = Errors(clean=len(test), reported=len(dirty))
    counts = f"{len(leaked):>8}{len(dirty):>9}{'':>8}{clean:>7}"
    print(f"{name:<32}{f'none of {len(test):,}':<30}{counts}", flush=True)

    trained = {normalized_input(text) for text, _ in training}
    rows = []
    for index, (text, _) in enumerate(test):
        if normalized_input(text) not in trained and (name in MADE_UP or index not in dirty):
            rows.append(index)
    planted = sorted(random.Random(1).sample(rows, min(PLANTED, len(rows))))
    count = sum(is_long(test[index][0]) for index in planted)
    print(f"{name:<32}{f'planted: {len(planted)}, long: {count}':<30}", flush=True)

    copies = [test[index] for index in planted]
    if name in MADE_UP:
        dirty = set()
    else:
        leaked, near = reported([*training, *copies], test)
        dirty |= leaked | near
    planting = Planting(name, test, planted, dirty, show)
    for form in forms:
        rng = random.Random(form)
        rows_of_form = [FORMS[form](*row, rng, training) for row in copies]
        errors += planting.print_found(form, [*training, *rows_of_form])
    for form in WHOLE:
        if form in forms:
            rng = random.Random(form)
            rows_of_form = [FORMS[form](*row, rng, training) for row in (*training, *copies)]
            errors += planting.print_found(f"whole set: {form}", rows_of_form)
    return errors


def is_long(text: str) -> bool:
    """Return whether a text has the words that a leak inside a longer text takes."""
    return len(words(text)) >= (8 if " " in text else 12)


@dataclass(frozen=True)
class Planting:
    """Hold the test rows of a data set, and which of them are planted into its training set.

    Attributes:
        reported_before: rows that are reported in any case.
        show: whether to print the rows that are missed, and other rows that are reported.
    """

    name: str
    test: Sequence[Row]
    planted: Sequence[int]
    reported_before: AbstractSet[int]
    show: bool

    def print_found(self, form: str, training: Sequence[Any]) -> Errors:
        """Print how many planted rows are found in a training set, and how many other rows."""
        leaked, near = reported(training, self.test)
        planted = set(self.planted)
        missed = planted - leaked - near
        clean = (leaked | near) - planted - self.reported_before

        n_found = len(planted) - len(missed)
        counts = f"{len(leaked & planted):>8}{n_found:>9}{len(missed):>8}{len(clean):>7}"
        print(f"{self.name:<32}{form:<30}{counts}", flush=True)
        if self.show:
            for index in sorted(missed):
                print("    missed", self.test[index])
            for index in sorted(clean):
                print("    clean ", self.test[index])
        return Errors(
            planted=len(planted),
            missed=len(missed),
            clean=len(self.test) - len(planted | self.reported_before),
            reported=len(clean),
        )


def reported(training: Sequence[Any], test: Sequence[Row]) -> tuple[set[int], set[int]]:
    """Return the test rows that leaked, and those with a near duplicate in the training set."""
    sets = (
        [row if isinstance(row, dict) else {"input": row[0], "expected": row[1]} for row in rows]
        for rows in (training, test)
    )
    audit = audit_training_set(*(examples_from(rows, origin="benchmark") for rows in sets))
    return {row for row, _ in audit.leaked_rows}, {row for row, _ in audit.leaked_near_rows}


# --- the data sets --------------------------------------------------------------------------------


def read(folder: Path | None, url: str, name: str) -> str:
    if folder is not None:
        return (folder / name).read_text(encoding="utf-8")
    with urllib.request.urlopen(f"{GITHUB}{url}{name}") as answer:
        text: str = answer.read().decode()
    return text


def banking(folder: Path | None) -> Iterator[list[Row]]:
    for name in ("train.csv", "test.csv"):
        rows = csv.DictReader(io.StringIO(read(folder, BANKING, name)))
        yield [(row["text"].strip(), row["category"]) for row in rows]


def small(folder: Path | None) -> Iterator[list[Row]]:
    train, test = banking(folder)
    yield random.Random(1).sample(train, 300)
    yield [row for row in test if len(row[0].split()) >= 8]


def clinc(folder: Path | None) -> Iterator[list[Row]]:
    subsets = json.loads(read(folder, CLINC, "data_full.json"))
    for subset in ("train", "test"):
        yield [(text, label) for text, label in subsets[subset]]


def code(folder: Path | None) -> Iterator[list[Row]]:
    rows = json.loads(read(folder, CODE, "new_codealpaca.json"))
    pairs = [
        ("\n".join(filter(None, (row["instruction"], row["input"]))), row["output"]) for row in rows
    ]
    pairs = [(text, answer) for text, answer in pairs if text.strip() and answer.strip()]
    random.Random(1).shuffle(pairs)
    yield pairs[1_500:]
    yield pairs[:1_500]


def japanese(folder: Path | None) -> Iterator[list[Row]]:
    rows = [json.loads(line) for line in read(folder, JAPANESE, "train-v1.3.json").splitlines()]
    pairs = [(row["question"], row[f"choice{row['label']}"]) for row in rows]
    random.Random(1).shuffle(pairs)
    yield pairs[2_500:]
    yield pairs[:2_500]


def chat_messages(_folder: Path | None) -> Iterator[list[Row]]:
    """Yield messages of people with the answer to each: 10,000 to train on, and 3,000 to test."""
    dataset = importlib.import_module("chitchat_dataset").Dataset()
    pairs = []
    for conversation in dataset.values():
        texts = [" ".join(message["text"] for message in turn) for turn in conversation["messages"]]
        pairs += list(pairwise(texts))
    pairs = [(text, answer) for text, answer in pairs if text.strip() and answer.strip()]
    random.Random(1).shuffle(pairs)
    yield pairs[3_000:13_000]
    yield pairs[:3_000]


def library(_folder: Path | None) -> Iterator[list[Row]]:
    """Yield functions of the standard library: what the docstring says first, with the code."""
    pairs = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                last = node.body[-1]
                code = "\n".join(lines[last.lineno - 1 : last.end_lineno]).strip()
                pairs.append((text.split("\n\n")[0], code))
    random.Random(1).shuffle(pairs)
    yield pairs[600:]
    yield pairs[:600]


def interface(language: str) -> Callable[[Path | None], Iterator[list[Row]]]:
    """Return a data set of texts of user interfaces in this language, with the English ones."""

    def rows(_folder: Path | None) -> Iterator[list[Row]]:
        root = Path(importlib.import_module("django").__file__).parent
        pairs: dict[str, str] = {}
        for path in sorted(root.rglob(f"locale/{language}/LC_MESSAGES/*.mo")):
            with path.open("rb") as file:
                catalog = gettext.GNUTranslations(file)._catalog
            pairs |= {
                text: key
                for key, text in catalog.items()
                if isinstance(key, str) and key and text.strip()
            }
        rows = list(pairs.items())
        random.Random(1).shuffle(rows)
        yield rows[300:]
        yield rows[:300]

    return rows


# --- rows that differ in numbers, which tell their outputs apart ----------------------------------

SITES = ("north", "south", "east", "west")
SECTORS = ["Private"] * 7 + ["Local-gov", "State-gov", "Self-emp-not-inc"]
EDUCATIONS = [("HS-grad", 9), ("Some-college", 10), ("Bachelors", 13), ("Masters", 14)]
MARRIED = [
    ("Married-civ-spouse", "Husband"),
    ("Never-married", "Own-child"),
    ("Divorced", "Unmarried"),
]
JOBS = ["Prof-specialty", "Craft-repair", "Exec-managerial", "Adm-clerical", "Sales"]


def reading(rng: random.Random) -> str:
    return f"{rng.uniform(10, 99):.2f}"


def calendar_date(rng: random.Random) -> datetime.date:
    return datetime.date(2000, 1, 1) + datetime.timedelta(days=rng.randrange(9_000))


def table(rng: random.Random, *, form: str) -> str:
    names = (
        "radius",
        "texture",
        "perimeter",
        "area",
        "smoothness",
        "symmetry",
        "points",
        "concavity",
    )
    cells = [form.format(name=name, value=reading(rng)) for name in names]
    return ", ".join(cells)


def adult(rng: random.Random, *, form: str) -> str:
    """Return a row with the columns of the UCI data set Adult."""
    education, years = rng.choice(EDUCATIONS)
    status, relationship = rng.choice(MARRIED)
    cells: dict[str, object] = {
        "age": rng.randint(17, 80),
        "workclass": rng.choice(SECTORS),
        "fnlwgt": rng.randint(20_000, 400_000),
        "education": education,
        "education-num": years,
        "marital-status": status,
        "occupation": rng.choice(JOBS),
        "relationship": relationship,
        "race": rng.choice(["White"] * 9 + ["Black"]),
        "sex": rng.choice(["Male", "Female"]),
        "capital-gain": rng.choice([0] * 9 + [rng.randint(100, 9_999)]),
        "capital-loss": rng.choice([0] * 19 + [1_902]),
        "hours-per-week": rng.choice([40, 40, rng.randint(20, 70)]),
        "native-country": rng.choice(["United-States"] * 9 + ["Mexico"]),
    }
    return ", ".join(form.format(name=name, value=value) for name, value in cells.items())


NUMERIC: dict[str, Callable[[random.Random], str]] = {
    "table as text": lambda rng: table(rng, form="{name}: {value}"),
    "CSV": lambda rng: table(rng, form="{value}"),
    "small whole numbers": lambda rng: ", ".join(
        f"{name}: {rng.randint(1, 10)}" for name in "abcdefghi"
    ),
    "sensor": lambda rng: (
        f"Sensor reading at pump {rng.randint(1, 40)}: pressure {reading(rng)} bar, "
        f"temperature {reading(rng)} C"
    ),
    "SKU": lambda rng: f"To which shelf does the article SKU-{rng.randrange(10**6):06} belong?",
    "date": lambda rng: f"Is {calendar_date(rng)} a day on which the shop is open?",
    "weekday": lambda rng: f"Which weekday was {calendar_date(rng):%d %B %Y} in this calendar?",
    "image": lambda rng: (
        f"What is shown in this image? https://img.example/{rng.randrange(10**8)}.png"
    ),
    "word problem": lambda rng: (
        f"Tom has {rng.randint(2, 99)} apples and buys {rng.randint(2, 99)} more at "
        f"{rng.randint(2, 99)} cents each. How many does he have now?"
    ),
    "signed": lambda rng: (
        f"profit and loss of the desk today in millions: {rng.choice('+-')}{rng.randint(1, 999)}"
    ),
    "price": lambda rng: (
        f"The list price of this item in the {rng.choice(SITES)} is ${reading(rng)}"
    ),
    "words and numbers": lambda rng: adult(rng, form="{name}: {value}"),
    "words and numbers as CSV": lambda rng: adult(rng, form="{value}"),
}


def numeric(kind: str, rare: float) -> Callable[[Path | None], Iterator[list[Row]]]:
    """Return 800 training rows and 150 test rows of a kind, none of which is a copy of another."""

    def rows(_folder: Path | None) -> Iterator[list[Row]]:
        rng = random.Random(kind)
        inputs = dict.fromkeys(NUMERIC[kind](rng) for _ in range(1_500))
        pairs = [(text, "yes" if rng.random() < rare else "no") for text in list(inputs)[:950]]
        yield pairs[:800]
        yield pairs[800:]

    return rows


DATA: dict[str, Callable[[Path | None], Iterator[list[Row]]]] = {
    "chat": chat_messages,
    "Python": library,
    "Japanese UI": interface("ja"),
    "Hindi UI": interface("hi"),
    "German UI": interface("de"),
    "Banking77": banking,
    "300 rows": small,
    "CLINC150": clinc,
    "code": code,
    "Japanese": japanese,
}
MADE_UP: dict[str, Callable[[Path | None], Iterator[list[Row]]]] = {}
for kind in NUMERIC:
    MADE_UP[kind] = numeric(kind, 0.4)
    MADE_UP[f"{kind}, rare"] = numeric(kind, 0.02)
DATA |= MADE_UP

if __name__ == "__main__":
    main()
