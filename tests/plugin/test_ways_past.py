"""Nobody gets past the gate: ways in which gates for models were got past, each closed here, most of them in a row.

Each test takes one way, and shows the same project green without it. What no plugin can close stands in docs/limits.md.
Gates that are not judged: test_obligations.py; what tests, hooks and fixtures do to a verdict: test_outcomes.py.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import Project, because, label, passed, write_jsonl, wrong

from pytest_ftgate import metric


def equal(expected: str, answer: str) -> float:
    return float(expected == answer)


def graded(
    returned: Callable[[str, str], Any], *, greater_is_better: bool = True
) -> dict[str, Any]:
    """Return the keys of a mark with a metric of the project's own."""
    return {"metric": metric(low=0, high=1, greater_is_better=greater_is_better)(returned)}


def predicted(name: str, n: int, **fields: Any) -> Callable[[Project], None]:
    return lambda project: project.predictions(name, n, **fields)


def scored(value: str, *, source: str) -> dict[str, Any]:
    """Return a metric that gives this value for one answer, where it is wrong."""
    return graded(
        lambda expected, answer: (
            float(value) if answer == source != expected else equal(expected, answer)
        )
    )


def nothing(project: Project) -> None:
    pass


def gone(text: str) -> str:
    raise PermissionError("gone")


def with_examples(n: int, **fields: Any) -> Callable[[Project], None]:
    return lambda project: project.test_set(n, **fields)


ROLES = {"candidate": "ft.jsonl", "baseline": "base.jsonl"}
SWAPPED = {
    role: f"recorded:{path}"
    for role, path in zip(("baseline", "candidate"), ROLES.values(), strict=True)
}
BROKEN, NULL = (lambda i: "broken" if i == 7 else label(i)), (lambda i: label(i) if i else None)
Row = tuple[Callable[[Project], None], dict[str, Any], str, str, tuple[str, ...]]
CONFIG, BASE, CAND = "configuration", "baseline_answers", "candidate_answers"
ROWS: dict[str, Row] = {
    **{
        name: (change, keys, "pass", "", ())
        for name, change, keys in (
            ("scores of one's own", nothing, graded(equal)),
            ("a missing answer may be wrong", nothing, {"missing_answers": "wrong"}),
            ("50 examples", with_examples(50), {}),
            ("the least margin", nothing, {"margin": 0.0}),
            ("less of a loss", nothing, graded(lambda e, a: float(e != a), greater_is_better=False)),
            ("metrics", nothing, {"metric": ["accuracy", "f1_macro"], "thresholds": {"recall_macro": {"min": 0.9}}}),
        )
    },
    # what was measured is no measure; more on broken rows: test_bad_input.py
    **{
        f"{value} for {name}": (
            predicted(name, 60, output=BROKEN), scored(value, source="broken"), "error", CONFIG,
            ("test.jsonl:8", value),
        )
        for name in ROLES.values() for value in ("nan", "inf")
    },
    "a missing baseline answer": (
        predicted("base.jsonl", 59, wrong_at=range(40, 59)), {"missing_answers": "wrong"}, "error", BASE, ("1 of 60",),
    ),
    "a baseline that crashes": (nothing, {"baseline": gone, "missing_answers": "wrong"}, "error", BASE, ("60 of 60",)),
    "null for an answer": (predicted("ft.jsonl", 60, output=NULL), {}, "error", CAND, ("ft.jsonl:1", "t0")),
    "49 examples": (with_examples(49), {}, "fail", "min_test_examples", ("49", "50")),
    **{
        f"a missing answer by {metric}{' beside another' if 'metric' not in keys else ''}": (
            predicted("ft.jsonl", 20), {"missing_answers": "wrong", **keys}, "error", CONFIG, (metric,),
        )
        for metric in ("precision_macro", "precision_micro", "precision_weighted")
        for keys in ({"metric": metric}, {"thresholds": {metric: {"min": 0.9}}})
    },
    # the training set
    "a test example in disguise": (
        lambda project: project.training_set(200, [{"input": " CUSTOMER question	7", "expected": "refund"}]), {},
        "fail", "leaked", ("test.jsonl:8", "train.jsonl:201"),
    ),
    # the threshold is none
    **{
        f"{name} {end} {value}": (nothing, {"thresholds": {name: {end: value}}}, "error", CONFIG, (name,))
        for name, end, value in (("error_rate", "max", 5.0), ("accuracy", "min", -0.8), ("latency_p95_s", "max", -1.0))
    },
    "a margin of zero": (predicted("ft.jsonl", 60, wrong_at=range(20)), {"margin": 0.0}, "fail", "margin", ()),
    "no direction": (nothing, {"metric": lambda expected, answer: 1.0}, "error", CONFIG, ("metric",)),
    "the wrong direction": (nothing, graded(lambda e, a: float(e != a)), "fail", "margin", ()),
    # the comparison is none; more on straw men: test_straw_man.py
    "the two swapped": (nothing, SWAPPED, "fail", "margin", ()),
    "one document": (with_examples(60, group="one document"), {}, "inconclusive", "min_fixed", ("1",)),
    **{
        f"{role} as judge": (
            nothing, {"metric": {"name": "rubric", "judge": f"recorded:{path}", "rubric": "?"}, "margin": 1}, "error",
            CONFIG, (role,),
        )
        for role, path in ROLES.items()
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "keys", "verdict", "name", "fragments"), ROWS.values(), ids=ROWS
)
def test_the_verdict(
    project: Project, change: Callable[[Project], None], keys: dict[str, Any], verdict: str, name: str,
    fragments: tuple[str, ...],
) -> None:  # fmt: skip
    change(project)
    gate = project.judge(**keys)
    if verdict == "pass":
        passed(gate)
        return
    because(gate, verdict, name, *fragments)
    if name in ("configuration", "leaked", "min_test_examples") and fragments[0] != "test.jsonl:8":
        assert gate["models_called"] is False


# --- the training set is not what it is counted as -----------------------------------------------------------


def too_few(gate: dict[str, Any], usable: int) -> None:
    finding = because(gate, "fail", "min_training_examples")
    assert (finding["observed"], finding["required"], gate["models_called"]) == (usable, 200, False)


BLANKS = {
    "lines": "\n" * 100,
    "inputs": '{"input": " ", "expected": "refund"}\n' * 50,
    "outputs": '{"input": "what", "expected": " "}\n' * 50,
    "invisible inputs": '{"input": "\u200b \u2060", "expected": "refund"}\n',
    "invisible outputs": '{"input": "a question", "expected": "\u200b"}\n',
}


@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
def test_rows_that_are_no_examples(project: Project, blank: str) -> None:
    project.training_set(199)
    path = project.path / "train.jsonl"
    project.file("train.jsonl", f"{path.read_text(encoding='utf-8')}{blank}\n")
    too_few(project.judge(), 199)


INVISIBLE = (
    "\u200b",
    "\u200d",
    "\u00ad",
    "\ufeff",
    "\u2060",
    "\u180e",
    "\ufe0f",
    "\u034f",
    "\U000e0041",
)


@pytest.mark.parametrize("mark", INVISIBLE, ids=ascii)
def test_invisible_characters_make_no_new_example(project: Project, mark: str) -> None:
    """Neither for the training set, which they would fill, nor for a test example in it, which they would hide."""
    rows = (
        {"input": f"training question {i % 5}{mark * (i // 5)}", "expected": label(i)}
        for i in range(200)
    )
    write_jsonl(project.path / "train.jsonl", rows)
    too_few(project.judge(), 5)
    project.training_set(200, [{"input": f"custo{mark}mer question 7", "expected": "refund"}])
    assert because(project.judge(), "fail", "leaked", "test.jsonl:8")["observed"] == 1


@pytest.mark.parametrize("name", ["input", "hint"])
def test_one_column_is_not_question_and_answer(project: Project, name: str) -> None:
    for column, fields in (
        ("expected", {name: "expected"}),
        ("intent", {"expected": "intent", name: "intent"}),
    ):
        gate = project.judge(test_set={"path": "test.jsonl", "fields": fields})
        because(gate, "error", "configuration", name, column)


# --- the comparison is none ----------------------------------------------------------------------------------


def test_all_repeats_of_an_example_count(project: Project) -> None:
    """All repeats of an example count, not the first or the best. Which checkpoint is brought is not seen."""

    def repeated(name: str, output: Callable[[int, int], str]) -> None:
        rows = [
            {"id": f"t{i}", "output": output(i, k), "repeat": k} for i in range(60) for k in (0, 1)
        ]
        write_jsonl(project.path / name, rows)

    repeated("base.jsonl", lambda i, repeat: label(i) if i < 40 else wrong(i))
    repeated("ft.jsonl", lambda i, repeat: label(i))
    passed(project.judge(repeats=2))
    repeated("ft.jsonl", lambda i, repeat: (label, wrong)[repeat](i))
    gate = project.judge(repeats=2)
    assert because(gate, "fail", "margin")["observed"] == pytest.approx(-1 / 6)
    assert gate["candidate"]["value"] == 0.5
    project.predictions("ft.jsonl", 60)
    because(project.judge(repeats=2), "error", "candidate_answers", "60 of 120")


def test_a_template_that_tells_the_answer(http: EndpointProject) -> None:
    """A further column that holds the expected output is no part of a question."""
    http.keys["baseline"] = "recorded:base.jsonl"
    meta = {"meta": lambda i: {"label": label(i) if i else "another", "id": i}}
    http.test_set(60, hint=lambda i: f" {label(i)}", place="x", **meta)
    for template, fragments in (
        ("{input} {hint}", ["{hint}"]),
        ("{input} {meta}", ["{meta}", "59", "60", "test.jsonl:2"]),
    ):
        gate = http.judge(candidate=http.model("ft", template=template))
        because(gate, "fail", "prompt_leak", *fragments)
        assert (gate["models_called"], http.server.requests) == (False, [])
    assert (
        http.judge(candidate=http.model("ft", template="{place} {input}"))["models_called"] is True
    )


def test_a_system_message_that_holds_the_test_set(http: EndpointProject) -> None:
    """Answers that stand in the prompt are looked up, not learned."""
    system = "Answer like this:\n" + "\n".join(
        f"Customer  question {i} -> {label(i)}" for i in range(60)
    )
    http.file("prompt.md", system)
    http.keys["baseline"] = "recorded:base.jsonl"
    marked = "\n".join(f"- **Customer** _question {i}_: {label(i)}" for i in range(60))
    hidden = (
        {"system": system},
        {"system_file": "prompt.md"},
        {"system": marked},
        {"params": {"documents": [system]}},
    )
    content = [{"type": "text", "text": "customer question {}"}]
    for question in ("customer question {}", [{"role": "user", "content": content}]):
        http.test_set(
            60,
            input=lambda i, question=question: json.loads(
                json.dumps(question).replace("{}", str(i))
            ),
        )
        for keys in hidden:
            gate = http.judge(candidate=http.model("ft", **keys))
            because(gate, "fail", "prompt_leak", "60 of 60", "test.jsonl:1")
            assert gate["models_called"] is False
    assert http.judge(candidate=http.model("ft", system="Name the topic."))["models_called"] is True


@pytest.mark.parametrize("how", ["-pno:ftgate", "autoload off"])
def test_switched_off(green: Project, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """pytest can be told that the plugin must be there. ``no:ftgate`` is meant for another one, and takes ours."""
    green.ini_file("required_plugins = pytest-ftgate")
    assert green.run().ret == 0
    if how == "autoload off":
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = green.run_apart(*([how] if how.startswith("-p") else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Missing required plugins: pytest-ftgate*"])
    if how == "autoload off":
        green.ini_file()
        passed(green.gate("-p", "pytest_ftgate"))
