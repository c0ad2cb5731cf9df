"""Gates that together say nearly every sentence of the package: each changes one thing of a green gate."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gate_project import LABELS, LARGE, SMALL, USAGE, Project, label, recorded, write_jsonl, wrong

Case = Callable[[Project], dict[str, Any]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__.replace("_", " ")] = function
    return function


def keys(
    title: str, prepare: Callable[[Project], Any] = lambda project: None, /, **changes: Any
) -> None:
    """A case of which only the keys of the gate differ, or which is prepared in one line."""

    def judge(project: Project) -> dict[str, Any]:
        prepare(project)
        return project.judge(**changes)

    CASES[title] = judge


def said(title: str, answers: Mapping[str, Any], n: int = 60, **changes: Any) -> None:
    """A case in which recorded models are wrong elsewhere, or say something else: by file."""

    def prepare(project: Project) -> None:
        for name, answer in answers.items():
            project.predictions(
                name, n, **({"output": answer} if callable(answer) else {"wrong_at": answer})
            )

    keys(title, prepare, **changes)


def held(title: str, name: str, *lines: Any) -> None:
    """A case in which a file holds these rows."""
    keys(title, lambda project: write_jsonl(project.path / name, lines))


def over(title: str, **fields: Any) -> None:
    """A case whose test examples have other fields."""
    keys(title, lambda project: project.test_set(60, **fields))


def training(project: Project, lesson_pairs: list[tuple[Any, Any]]) -> None:
    write_jsonl(
        project.path / "train.jsonl",
        [{"input": question, "expected": answer} for question, answer in lesson_pairs],
    )


def lessons(n: int) -> list[tuple[Any, Any]]:
    return [(f"training question {i}", label(i)) for i in range(n)]


# --- the gate itself ---------------------------------------------------------------------------------------------

keys("green")
keys(
    "green with two baselines",
    baseline=...,
    baselines={"a": "recorded:base.jsonl", "b": "recorded:base2.jsonl"},
)
keys("a margin that is missed", margin=0.4)
keys("a margin that is not proven", evidence="proven", margin=0.2)
keys("any gain above zero", margin=0)
keys("evidence observed", evidence="observed")
keys("too few test examples", min_test_examples=100)
keys("too few training examples", min_training_examples=500)
keys("a threshold that holds", thresholds={"accuracy": {"min": 0.8}})
keys("a threshold that is missed", thresholds={"accuracy": {"min": 0.95}})
keys("a threshold on a latency that nobody knows", thresholds={"latency_p95_s": {"max": 3}})
keys("a threshold on a cost that nobody knows", thresholds={"cost_usd": {"max": 3}})
keys("a threshold on the error rate", thresholds={"error_rate": {"max": 0}})
FORMED = ["accuracy", {"name": "format", "allowed": ["refund", "invoice"]}]
keys("a threshold on the form that is missed", metric=FORMED, thresholds={"format": {"min": 0.9}})
said("no gain", {"ft.jsonl": range(20, 60)})
said("a gain that may be luck", {"ft.jsonl": (*range(3), *range(44, 60))}, margin=0.01)
keys("one model twice", candidate="recorded:base.jsonl")


keys(
    "the same answers",
    lambda project: project.predictions("ft.jsonl", 60, range(40, 60), note="another file"),
)
said("one answer throughout", {"ft.jsonl": lambda i: "refund"}, margin=0)
said("a baseline that is a constant", {"base.jsonl": lambda i: "refund"})
said(
    "a weak baseline that is allowed",
    {"base.jsonl": range(15, 60)},
    checks={"weak_baseline": "warn"},
)


FORMS = {"base.jsonl": lambda i: f"It is {label(i).title()}." if i < 40 else label(i)}
said("answers that differ in form alone", FORMS)
said("missing answers", {"ft.jsonl": ()}, n=57)


CSV = "input,expected\n" + "".join(f"customer question {i},{label(i)}\n" for i in range(60))
keys("a test set without ids", lambda project: project.file("test.csv", CSV), test_set="test.csv")
said("missing answers scored as wrong", {"ft.jsonl": ()}, n=57, missing_answers="wrong")


NONE = {"ft.jsonl": lambda i: "" if i < 8 else "something else" if i < 16 else label(i)}
said("answers that are none", NONE)


def written(title: str, baseline: Any, candidate: Any, metric: Any = ...) -> None:
    """A case of two models that write labels so, of which the candidate is wrong less often."""
    right = {"base.jsonl": (baseline, 40), "ft.jsonl": (candidate, 56)}
    said(title, {
        name: lambda i, write=write, n=n: write(label(i) if i < n else wrong(i)) for name, (write, n) in right.items()
    }, metric=metric)  # fmt: skip


def to_json(label: str, **extra: Any) -> str:
    return json.dumps({"label": label, **extra})


STOP = "{}<|im_end|>".format
written("labels inside json", str, lambda label: to_json(label, confidence=0.9))
written("labels inside json of both models", to_json, to_json)
written("labels after a word", "Label: {}".format, "Label: {}.".format)
written("a stop token in every answer", STOP, STOP, "exact_match")
over("groups of examples", group=lambda i: f"g{i // 2}")
over("too few groups", group=lambda i: f"g{i // 15}")


@case
def twelve_examples(project: Project) -> dict[str, Any]:
    project.test_set(12)
    project.predictions("base.jsonl", 12, wrong_at=range(8, 12))
    project.predictions("ft.jsonl", 12)
    return project.judge(min_test_examples=10, evidence="proven", margin=0.3)


@case
def several_answers_an_example(project: Project) -> dict[str, Any]:
    for name, missed in (("base.jsonl", 40), ("ft.jsonl", 58)):
        answers = ((i, r, label(i + (i >= missed and not r))) for i in range(60) for r in (0, 1))
        write_jsonl(
            project.path / name,
            ({"id": f"t{i}", "repeat": r, "output": answer} for i, r, answer in answers),
        )
    return project.judge(repeats=2)


# --- the training set --------------------------------------------------------------------------------------------


@case
def leaked_and_contradictory_rows(project: Project) -> dict[str, Any]:
    pairs = [*lessons(200), *((f"customer question {i}", label(i)) for i in range(3))]
    pairs += [*((f"Training  question {i}", wrong(i)) for i in range(4)), ("", "refund")]
    training(project, pairs)
    return project.judge()


@case
def near_duplicates(project: Project) -> dict[str, Any]:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    template = (
        "Classify the following message of a customer. "
        "My parcel was promised for {} and nobody came to deliver it"
    )
    training(project, [*lessons(200), *((template.format(day), "refund") for day in days)])
    project.test_set(
        60, input=lambda i: template.format("today") if i == 7 else f"customer question {i}"
    )
    return project.judge()


@case
def rows_that_are_unfit(project: Project) -> dict[str, Any]:
    text = "The parcel was sent to the wrong address and nobody answered the phone when I called them number {}."
    pairs = [
        (text.format(i), f"We are sorry about that, parcel {i} is on its way.") for i in range(220)
    ]
    pairs += [
        ("no output", ""),
        *((f"a very long row {i} " + "word " * 9000, "Done.") for i in range(2)),
    ]
    training(project, pairs)
    answer = "Answer number {} is here.".format
    project.test_set(60, expected=answer)
    project.predictions("base.jsonl", 60, output=lambda i: answer(i) if i % 3 else "no")
    project.predictions("ft.jsonl", 60, output=answer)
    return project.judge(
        metric="exact_match", training_set={"path": "train.jsonl", "max_tokens": 4096}
    )


@case
def conversations_out_of_order(project: Project) -> dict[str, Any]:
    def chat(i: int) -> list[dict[str, str]]:
        turns = [("user", f"question {i}"), ("assistant", label(i))]
        turns = turns if i > 3 else [("assistant", "hello"), *turns, ("assistant", "x")]
        return [{"role": role, "content": text} for role, text in turns]

    write_jsonl(project.path / "train.jsonl", [{"messages": chat(i)} for i in range(220)])
    return project.judge(checks={"chat_format": "fail"})


@case
def labels_out_of_balance(project: Project) -> dict[str, Any]:
    pairs = [(f"training question {i}", "refund" if i < 300 else "invoice") for i in range(320)]
    training(project, [*pairs, *((f"odd question {i}", "loyalty") for i in range(3))])
    return project.judge()


@case
def many_rows_and_doubtful_labels(project: Project) -> dict[str, Any]:
    words = list(zip(("cancel", "bill", "send"), LABELS, strict=True))
    pairs = [
        (f"please {word} order number {i} today", label)
        for i in range(700)
        for word, label in words
    ]
    pairs[0] = (pairs[0][0], "shipping")
    training(project, pairs)
    return project.judge(checks={"near_duplicates": "ignore"})


keys("a check that decides the verdict", checks={"margin": "warn", "leaked": "warn"})
PARTS = {
    "test_set": {"path": "test.jsonl", "limit": 60},
    "training_set": {"path": "train.jsonl", "limit": 200},
}
keys("data that are read in part", **PARTS)

# --- the case for fine-tuning ------------------------------------------------------------------------------------

for goal in ("classification", "knowledge", "reasoning", "one_off", "safety", "new_modality"):
    keys(f"the goal {goal}", goal=goal)
keys("a goal that is overridden", goal="knowledge", checks={"goal": "warn"})
keys("a hypothesis that holds", hypothesis={"from": 0.66, "to": 0.9, "because": "labels drift"})
keys("a hypothesis that is too hopeful", hypothesis={"from": 0.4, "to": 0.99})
keys("a hypothesis that was too modest", hypothesis={"from": 0.9, "to": 0.97})
keys("ready", candidate=..., stage="ready", hypothesis={"from": 0.66, "to": 0.9})
keys(
    "ready with more hoped for than can be gained",
    candidate=...,
    stage="ready",
    hypothesis={"from": 0.5, "to": 0.9},
)
keys("ready with little to gain", candidate=..., stage="ready", margin=0.4)
TOO_LOW = {"from": 0.66, "to": 0.7}
keys(
    "ready with an expectation that is too low",
    candidate=...,
    stage="ready",
    margin=0.2,
    hypothesis=TOO_LOW,
)
keys("ready with a candidate", stage="ready")


@case
def guards(project: Project) -> dict[str, Any]:
    measured = {}
    for name, n, missed in (
        ("kept", 120, 1),
        ("lost", 120, 40),
        ("small", 60, 0),
        ("thin", 120, 3),
    ):
        project.test_set(n, f"{name}.jsonl", prefix=name, input=f"{name} question {{}}".format)
        project.predictions("base.jsonl", n, prefix=name, add=True)
        project.predictions("ft.jsonl", n, wrong_at=range(missed), prefix=name, add=True)
        measured[name] = {"test_set": f"{name}.jsonl", "max_drop": 0.05}
    return project.judge(guards=measured)


@case
def guards_that_show_nothing(project: Project) -> dict[str, Any]:
    project.test_set(20, "few.jsonl", prefix="f", input="few question {}".format)
    project.test_set(60, "leak.jsonl", prefix="l", input="training question {}".format)
    guards = {
        name: {"test_set": f"{name}.jsonl", "max_drop": drop}
        for name, drop in (("few", 0.05), ("leak", 0.3))
    }
    return project.judge(guards=guards)


@case
def slices(project: Project) -> dict[str, Any]:
    langs = ["en"] * 50 + ["de"] * 50 + ["fr"] * 45 + ["it"] * 30 + ["pt"] * 5
    project.test_set(180, lang=langs.__getitem__)
    project.predictions("base.jsonl", 180, wrong_at=(*range(30), *range(100, 140)))
    project.predictions("ft.jsonl", 180, wrong_at=(*range(50, 75), *range(150, 154)))
    return project.judge(slices={"fields": ["lang"], "max_drop": 0.03})


# --- match, money --------------------------------------------------------------------------------------------------


def match(title: str, missed: Any, *, n: int = 300, **changes: Any) -> None:
    """A case of a small model that is to match a large one."""

    def judge(project: Project) -> dict[str, Any]:
        project.test_set(n)
        project.predictions("base.jsonl", n, wrong_at=range(n - 30, n), usage=USAGE, latency_s=1.0)
        project.predictions("ft.jsonl", n, wrong_at=missed, usage=USAGE, latency_s=0.5)
        keys = {"margin": ..., "max_drop": 0.02, "cheaper_by": 5}
        return project.judge(**{**keys, **PRICED, **changes})

    CASES[title] = judge


PRICED = {
    "baseline": recorded("base.jsonl", price=LARGE),
    "candidate": recorded("ft.jsonl", price=SMALL),
}
match("match that holds", (0, *range(271, 300)), faster_by=1.5)
match(
    "match that is worse and dearer",
    (*range(30), *range(270, 300)),
    cheaper_by=6.01,
    faster_by=2.01,
)
match("match that is not proven", (*range(4), *range(271, 300)))
match("match on too few examples", range(55, 60), n=60)
match("match without prices", (0, *range(271, 300)), candidate="recorded:ft.jsonl", faster_by=2)


def economics(
    title: str, calls: int | None, training: float | None, limits: Mapping[str, Any], **changes: Any
) -> None:
    """A case of priced models with the economics of the candidate."""

    def judge(project: Project) -> dict[str, Any]:
        project.predictions("base.jsonl", 60, wrong_at=range(40, 60), usage=USAGE)
        project.predictions("ft.jsonl", 60, wrong_at=(0, 1, 58, 59), usage=USAGE)
        facts = {"calls_per_month": calls, "training_cost_usd": training, **limits}
        given_facts = {name: value for name, value in facts.items() if value is not None}
        return project.judge(**{**PRICED, "economics": given_facts, **changes})

    CASES[title] = judge


economics("economics that hold", 200_000, 100, {"data_cost_usd": 50, "max_break_even_days": 60})
economics(
    "economics that do not hold",
    20_000,
    900,
    {"hosting_usd_per_month": 40, "max_break_even_days": 1},
)
economics(
    "economics that are unknown",
    None,
    None,
    {"max_break_even_days": 60},
    candidate="recorded:ft.jsonl",
)
AT_AN_EXPECTED_PRICE = {
    "candidate_price": SMALL, "training_cost_usd": {"gpu_hours": 4, "gpu_hour_usd": 2.5}, "iterations": 3,
    "max_break_even_days": 1,
}  # fmt: skip
READY: dict[str, Any] = {"candidate": ..., "stage": "ready", "margin": 0.1}
economics(
    "economics before training at an expected price", 20_000, None, AT_AN_EXPECTED_PRICE, **READY
)
economics("economics before training", 20_000, 900, {"max_break_even_days": 1}, **READY)


# --- metrics -----------------------------------------------------------------------------------------------------

keys("macro F1", metric=["f1_macro", "cohen_kappa", "matthews_corrcoef"])
keys("a metric that looks at form alone", metric={"name": "format", "allowed": list(LABELS)})


@case
def knowledge_that_was_memorised(project: Project) -> dict[str, Any]:
    fact = "fact number {}".format
    project.test_set(60, expected=fact)
    training(project, [(f"training question {i}", fact(i % 60)) for i in range(200)])
    project.predictions("base.jsonl", 60, output=lambda i: fact(i) if i < 20 else "unknown")
    project.predictions("ft.jsonl", 60, output=lambda i: fact(i) if i < 58 else "xy"[i - 58])
    return project.judge(metric="exact_match")


# --- what cannot be judged ---------------------------------------------------------------------------------------

keys("several slips in one marker", margn=0.1, confidence=95, missing_answers="wrng")
keys("no margin", margin=...)
keys("no candidate", candidate=...)
keys("a file that does not exist", test_set="tests.jsonl")
keys("a margin beside max_drop", max_drop=0.02, cheaper_by=2)
keys("both forms of a baseline", baselines={"a": "recorded:base.jsonl"})
PRECISION = {"name": "precision", "pos_label": "refund"}
keys("precision that skips missing answers", metric=PRECISION, missing_answers="wrong")


@case
def rows_that_cannot_be_read(project: Project) -> dict[str, Any]:
    lines = (project.path / "test.jsonl").read_text(encoding="utf-8").splitlines()
    lines[6] = lines[6][:-9]
    project.file("test.jsonl", "\n".join(lines))
    return project.judge()


UNREADABLE = "input,expected\n" + "".join(f"question {i}\n" for i in range(7))
keys(
    "several rows that cannot be read",
    lambda project: project.file("test.csv", UNREADABLE),
    test_set="test.csv",
)
over("a blank label", expected=lambda i: label(i) if i % 9 else " ")
held("a row without an input", "test.jsonl", {"title": "a", "expected": "b"})
held(
    "an id that repeats",
    "test.jsonl",
    *({"id": "a", "input": f"q{i}", "expected": "b"} for i in range(2)),
)
held(
    "an input that repeats",
    "test.jsonl",
    *({"input": f"Which label? {word}", "expected": "b"} for word in "aBbA"),
)
held("a blank input", "test.jsonl", {"input": " ", "expected": "b"})
held("an empty test set", "test.jsonl")
held("a recording without output", "ft.jsonl", {"id": "t0", "answer": "refund"})


keys(
    "a recording of another input",
    lambda project: project.predictions("ft.jsonl", 60, input_sha256="0" * 64),
)


@case
def a_gate_file_with_slips(project: Project) -> dict[str, Any]:
    project.gate_file(
        "version: 1\ngates:\n  support:\n    margin: 0.05\n    margin: 0.1\n    errors: on\n"
    )
    return project.judge("support")


@case
def a_gate_that_does_not_exist(project: Project) -> dict[str, Any]:
    project.gate_file(f"version: 1\ngates:\n  support: {json.dumps(project.keys)}\n")
    return project.judge("suport")


def prepared(folder: Path) -> Project:
    """Return the green project of which each case changes one thing."""
    project = Project(folder)
    project.predictions("base2.jsonl", 60, wrong_at=range(25, 60))
    return project
