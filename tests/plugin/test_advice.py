"""Why a gate failed and what to do about it, on whole gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of
from gate_project import LABELS, Project, check, label, statuses, write_jsonl
from loopback import LoopbackServer, Reply

N = 60


def answers(project: Project, name: str, answer: Callable[[int], str]) -> None:
    write_jsonl(project.path / name, ({"id": f"t{i}", "output": answer(i)} for i in range(N)))


def judged(project: Project, verdict: str, /, *args: str, **changes: Any) -> dict[str, Any]:
    project.gate_test(**changes)
    gate = project.gate(*args)
    assert gate["verdict"] == verdict, gate["checks"]
    return gate


def actions(gate: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(one["action"] for one in gate["advice"]))


# --- the diagnosis -------------------------------------------------------------------------------------------


def test_what_became_of_the_answers_stands_in_the_report(project: Project) -> None:
    gate = judged(project, "pass")
    found = gate["diagnosis"]
    assert found["baseline"] == {"right": 40, "wrong_label": 20}
    assert found["candidate"] == {"right": 56, "wrong_label": 4}
    assert found["fixed"] == [f"t{i}" for i in range(40, 58)]
    assert found["broken"] == ["t0", "t1"]
    assert sum(pair["baseline"] for pair in found["confusions"]) == 20
    assert [one["label"] for one in found["labels"]] == sorted(LABELS)


def test_a_green_gate_gets_no_advice_and_under_v_one_line(project: Project) -> None:
    gate = judged(project, "pass")
    assert gate["advice"] == []
    project.result.stdout.no_fnmatch_line("*what to do*")
    project.result.stdout.no_fnmatch_line("*mistakes of the*")
    judged(project, "pass", "-v")
    project.result.stdout.fnmatch_lines(["what still fails most: 4 answers of the candidate wrongly labelled"])
    project.predictions("ft.jsonl", N)
    judged(project, "pass", "-v")
    project.result.stdout.no_fnmatch_line("*what still fails*")


def test_a_red_gate_says_which_mistakes_and_under_v_which_examples(project: Project) -> None:
    judged(project, "fail", margin=0.5)
    project.result.stdout.fnmatch_lines(
        ["mistakes of the baseline: 20 wrongly labelled", "mistakes of the candidate: 4 wrongly labelled"]
    )
    project.result.stdout.no_fnmatch_line("fixed (18)*")
    judged(project, "fail", "-v", margin=0.5)
    project.result.stdout.fnmatch_lines(
        [
            "mixed up: 'invoice' -> 'shipping': baseline 7, candidate *(-*)",
            "fixed (18): t40, t41, t42, t43, t44, t45, t46, t47, t48, t49, ...",
            "broken (2): t0, t1",
        ]
    )


def test_ends_of_answers_are_told_apart_at_an_endpoint(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    usual = server.answer

    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        if body["model"] == "base" and index >= 50:
            return "I'm sorry, but I can't help with that."
        return f"Sure! It is {label(index)}." if body["model"] == "base" and index >= 40 else str(usual(body))

    server.answer = answer
    gate = judged(project, "fail", margin=0.5)
    assert gate["diagnosis"]["baseline"] == {"right": 40, "refusal": 10, "wrong_format": 10}
    assert "better_prompt" in actions(gate)
    project.result.stdout.fnmatch_lines(["mistakes of the baseline: 10 refused, 10 in the wrong format"])


# --- the advice ----------------------------------------------------------------------------------------------


def test_a_candidate_that_breaks_as_much_as_it_fixes(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(20))
    gate = judged(project, "fail")
    (fact,) = [one["fact"] for one in gate["advice"] if "broken examples" in one["text"]]
    assert fact == "the candidate fixes 20 examples and breaks 20"
    assert actions(gate)[0] == "fix_data"
    project.result.stdout.fnmatch_lines(
        ["what to do, in this order:", "  1. fix data: *", "     because the candidate fixes 20 examples and breaks 20"]
    )


def test_labels_that_the_candidate_mixes_up_anew(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(0, 60, 3))  # every refund is an invoice to it
    gate = judged(project, "fail")
    assert gate["advice"][0] == {
        "action": "fix_data",
        "text": "Look at the training rows of 'refund' and 'invoice': do they agree?",
        "fact": "the candidate answers 'invoice' for 'refund' 20 times, the baseline 6",
    }


def test_a_label_that_was_hardly_trained(project: Project) -> None:
    rows = [
        {"input": f"training question {i}", "expected": LABELS[1 + i % 2] if i > 4 else "refund"} for i in range(200)
    ]
    write_jsonl(project.path / "train.jsonl", rows)
    project.predictions("base.jsonl", N, wrong_at=range(0, 60, 3))
    answers(project, "ft.jsonl", lambda i: "shipping" if label(i) == "refund" else label(i))
    gate = judged(project, "fail")
    (advice,) = [one for one in gate["advice"] if one["action"] == "add_examples"]
    assert advice["text"] == "Write 92 training examples of 'refund'."
    assert advice["fact"] == (
        "the training set has 5 of 'refund', 97 of a usual label, and the candidate gets 0 of 20 right"
    )
    project.training_set(200)  # as many of each
    assert "add_examples" not in actions(judged(project, "fail"))


def test_a_gain_that_is_not_sure_asks_for_test_examples(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=(0, 1, 2, *range(47, 60)))
    gate = judged(project, "inconclusive")
    (advice,) = [one for one in gate["advice"] if one["action"] == "add_examples"]
    more = gate["examples_needed"] - N
    assert advice["text"] == f"Label {more} more test examples, about {gate['examples_needed']} in all."
    assert advice["fact"] == check(gate, "evidence")["message"]


def test_a_candidate_that_is_surely_worse_is_dropped(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(30, 60))
    gate = judged(project, "fail")
    (advice,) = [one for one in gate["advice"] if one["action"] == "stop"]
    assert advice["fact"].startswith("95 % sure that the real gain is at most ")
    project.predictions("ft.jsonl", N, wrong_at=range(39, 59))
    assert "stop" not in actions(judged(project, "fail"))  # a gain of 0, and nobody can be sure of much


def test_free_checks_that_fail_have_advice_without_a_call(project: Project) -> None:
    project.training_set(150)
    gate = judged(project, "fail", goal="knowledge")
    assert (gate["models_called"], gate["diagnosis"]) == (False, None)
    assert actions(gate) == ["add_examples", "retrieval"]
    project.result.stdout.fnmatch_lines(
        [
            "  1. add examples: Write 50 more distinct examples; with fewer, few-shot prompting is likely enough.",
            "  2. retrieval: Use retrieval (RAG): *",
            "     because fine-tuning does not serve the goal knowledge: *",
        ]
    )


def test_a_gate_in_error_gets_none(project: Project) -> None:
    answers(project, "ft.jsonl", label)
    write_jsonl(project.path / "ft.jsonl", ({"id": f"t{i}", "output": label(i)} for i in range(N - 1)))
    gate = judged(project, "error", goal="style")
    assert (gate["advice"], gate["diagnosis"]) == ([], None)


def test_at_most_three_are_printed_and_all_are_in_the_report(project: Project) -> None:
    project.training_set(150)
    write_jsonl(
        project.path / "train.jsonl",
        [*({"input": f"customer question {i}", "expected": label(i)} for i in range(3))],
    )
    project.test_set(40)
    gate = judged(project, "fail", goal="reasoning")
    assert actions(gate) == ["fix_data", "add_examples", "another_model"]
    assert len(gate["advice"]) == 4
    shown = [line for line in project.result.outlines if line.startswith("     because ")]
    assert len(shown) == 3


def test_before_training_a_baseline_that_misses_the_form_alone_needs_a_prompt(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: label(i) if i < 56 else f"It is {label(i)}.")
    gate = judged(project, "fail", stage="ready", margin=0.1)
    assert statuses(gate)["room"] == "fail"
    assert actions(gate) == ["stop"]
    answers(project, "base.jsonl", lambda i: label(i) if i < 55 else f"It is {label(i)}.")
    gate = judged(project, "fail", stage="ready", margin=0.1)
    assert actions(gate) == ["better_prompt", "stop"]
    assert gate["diagnosis"]["candidate"] is None


# --- answers that say nothing, and gates that failed for something else ---------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("The answer is {}.", "in the wrong format"), ("42", "without a known label"), ("", "empty")],
)
def test_a_candidate_that_misses_the_form_is_asked_otherwise_and_not_dropped(
    project: Project, answer: str, kind: str
) -> None:
    answers(project, "ft.jsonl", lambda i: answer.format(label(i)) if i < 40 else label(i))
    gate = judged(project, "fail", "-v")
    ask = "Ask the candidate as it was trained: with the system message and the template of its training rows."
    assert gate["advice"] == [
        {"action": "better_prompt", "text": ask, "fact": "all 40 mistakes of the candidate are of form"}
    ]
    assert check(gate, "margin")["advice"] == ask
    project.result.stdout.fnmatch_lines(
        [
            f"mistakes of the candidate: 40 {kind}",
            "what to do, in this order:",
            f"  1. better prompt: {ask}",
            "     because all 40 mistakes of the candidate are of form",
        ]
    )
    project.result.stdout.no_fnmatch_line("*Drop *")
    answers(project, "ft.jsonl", lambda i: label(i + 1) if i < 21 else answer.format(label(i)) if i < 41 else label(i))
    gate = judged(project, "fail")
    assert (actions(gate)[0], actions(gate)[-1]) == ("fix_data", "stop")
    assert check(gate, "margin")["advice"].startswith("Drop it: ")


def test_a_smaller_model_that_misses_the_form_is_asked_otherwise_too(project: Project) -> None:
    write_jsonl(
        project.path / "ft.jsonl",
        ({"id": f"t{i}", "output": f"It is {label(i)}." if i < 20 else label(i), "latency_s": 0.1} for i in range(N)),
    )
    match = {"objective": "match", "max_drop": 0.05, "faster_by": 2, "margin": ...}
    write_jsonl(project.path / "base.jsonl", ({"id": f"t{i}", "output": label(i), "latency_s": 0.4} for i in range(N)))
    gate = judged(project, "fail", **match)
    assert actions(gate) == ["better_prompt"]
    assert check(gate, "max_drop")["advice"].startswith("Ask the candidate as it was trained: ")
    write_jsonl(
        project.path / "ft.jsonl",
        ({"id": f"t{i}", "output": label(i + (i < 20)), "latency_s": 0.1} for i in range(N)),
    )
    gate = judged(project, "fail", **match)
    assert actions(gate) == ["fix_data", "stop"]
    assert gate["advice"][-1]["text"].startswith("Keep the larger model: ")
    assert check(gate, "max_drop")["advice"].startswith("Keep the larger model, ")


def test_what_is_no_json_is_called_so(project: Project) -> None:
    rows = [{"id": f"t{i}", "input": f"question {i}", "expected": {"number": i}} for i in range(N)]
    write_jsonl(project.path / "test.jsonl", rows)
    answers(project, "base.jsonl", lambda i: f'{{"number": {i}}}' if i < 30 else "none" if i < 40 else "{}")
    answers(project, "ft.jsonl", lambda i: f'{{"number": {i}}}' if i < 31 else "none")
    judged(project, "fail", metric="exact_match")
    project.result.stdout.fnmatch_lines(
        ["mistakes of the baseline: 20 wrong, 10 no JSON", "mistakes of the candidate: 29 no JSON"]
    )


def test_no_broken_examples_are_to_be_looked_at_where_none_is_broken(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(42, 60))  # 2 fixed, and 18 as wrong as before
    gate = judged(project, "fail")
    assert check(gate, "margin")["advice"].startswith("Drop it, or look at what it still gets wrong and mend ")
    (advice,) = [one for one in gate["advice"] if one["action"] == "another_model"]
    assert advice["fact"] == "all 18 examples that the candidate gets wrong are the prompt's mistakes, too"
    project.predictions("ft.jsonl", N, wrong_at=(0, *range(42, 60)))
    assert "look at the broken examples" in check(judged(project, "fail"), "margin")["advice"]


def test_a_candidate_that_is_cut_off_is_given_room(pytester: pytest.Pytester, server: LoopbackServer) -> None:
    project = EndpointProject(pytester, server)
    usual = server.answer
    server.answer = lambda body: Reply("r", finish_reason="length") if body["model"] == "ft" else usual(body)
    gate = judged(project, "fail")
    assert actions(gate) == ["better_prompt"]
    advice = gate["advice"][0]
    assert advice["text"].startswith("Raise max_completion_tokens (or max_tokens) of the candidate")
    assert advice["fact"] == "60 of 60 answers of the candidate are cut off"


def test_a_baseline_that_misses_the_form_lost_no_label_to_the_candidate(project: Project) -> None:
    answers(project, "base.jsonl", lambda i: f"It is {label(i)}." if i < 30 else label(i))
    answers(project, "ft.jsonl", lambda i: label(i + 1) if i < 24 else label(i))
    gate = judged(project, "fail", margin=0.3)
    assert "fix_data" not in actions(gate)
    assert actions(gate)[0] == "better_prompt"
    assert check(gate, "margin")["advice"].startswith("Drop it, or look at what it still gets wrong")


def test_a_gate_that_failed_for_another_bound_hears_nothing_of_labels(project: Project) -> None:
    project.predictions("ft.jsonl", N, wrong_at=range(0, 30, 3))  # 20 fixed, 10 broken, and all of refunds
    slow = {"metric": "latency_p50_s", "max": 0.001}
    write_jsonl(
        project.path / "ft.jsonl",
        ({"id": f"t{i}", "output": label(i + (i < 30 and i % 3 == 0)), "latency_s": 0.2} for i in range(N)),
    )
    gate = judged(project, "fail", require=[slow], evidence="observed")
    (advice,) = gate["advice"]
    assert advice == {
        "action": "cut_costs",
        "text": "Try a smaller model, a shorter prompt, or shorter answers.",
        "fact": check(gate, "require.candidate.latency_p50_s")["message"],
    }
    gate = judged(project, "fail", require=[slow], margin=0.2)
    assert actions(gate)[0] == "fix_data"
    assert "cut_costs" in actions(gate)


def test_a_bound_on_the_form_says_which_rules_are_broken_and_what_to_do(project: Project) -> None:
    form = {"name": "format", "allowed": ["refund", "invoice"]}
    gate = judged(project, "fail", require=[{"metric": form, "min": 0.9}])
    assert actions(gate) == ["better_prompt"]
    project.result.stdout.fnmatch_lines(["format: failing rules*", "*allowed*", "  1. better prompt: Constrain *"])
    gate = judged(project, "fail", require=[{"metric": form, "min": 0.1}], margin=0.5)
    project.result.stdout.no_fnmatch_line("format: failing rules*")


def test_the_confusion_that_advice_rests_on_is_shown(project: Project) -> None:
    labels = ("a", "b", "c", "d", "e")
    rows = [{"id": f"t{i}", "input": f"question {i}", "expected": labels[i % 5]} for i in range(N)]
    write_jsonl(project.path / "test.jsonl", rows)

    def usual(i: int) -> str:
        return {"a": "b", "b": "c", "c": "d"}.get(labels[i % 5], labels[i % 5])

    answers(project, "base.jsonl", usual)
    answers(project, "ft.jsonl", lambda i: "e" if labels[i % 5] == "d" and i < 30 else usual(i))
    gate = judged(project, "fail", "-v", allow_weak_baseline="a test")
    assert gate["advice"][0]["fact"] == "the candidate answers 'e' for 'd' 6 times, the baseline 0"
    project.result.stdout.fnmatch_lines(["mixed up: 'a' -> 'b'*", "mixed up: 'd' -> 'e': baseline 0, candidate 6 (+6)"])


def test_advice_that_a_check_gives_alone_is_printed_once(project: Project) -> None:
    gate = judged(project, "fail", goal="knowledge")
    assert actions(gate) == ["retrieval"]
    project.result.stdout.no_fnmatch_line("what to do*")
    project.result.stdout.fnmatch_lines(["          Use retrieval (RAG)*"])


# --- a gain that is knowledge --------------------------------------------------------------------------------


def person(i: int) -> str:
    return f"Doctor Number{i}"


def ward(i: int, *, told: bool) -> str:
    return f"who runs ward {i}?" + (f" It is {person(i)}, or is it somebody else?" if told else "")


def clinic(project: Project, *, told: bool, right: int) -> None:
    """Who runs a ward: the training set says it of every one, the prompted model knows 20 of 60."""
    write_jsonl(
        project.path / "test.jsonl",
        [{"id": f"t{i}", "input": ward(i, told=told), "expected": person(i)} for i in range(N)],
    )
    write_jsonl(
        project.path / "train.jsonl",
        [{"input": f"ward {i % N}, version {i // N}: who is its head?", "expected": person(i % N)} for i in range(240)],
    )
    for name, known in (("base.jsonl", 20), ("ft.jsonl", right)):
        answers(project, name, lambda i, known=known: person(i) if i < known else "nobody")  # type: ignore[misc]


def test_answers_that_were_taught_and_are_not_in_the_question_smell_of_knowledge(project: Project) -> None:
    clinic(project, told=False, right=30)
    gate = judged(project, "fail", margin=0.3)
    (advice,) = [one for one in gate["advice"] if one["action"] == "retrieval"]
    assert advice["text"].startswith("Use RAG")
    assert advice["fact"] == ("of 10 fixed examples 10 expect what stands in training rows and not in the input")
    assert gate["diagnosis"]["recalled"] == 10


def test_a_green_gate_is_warned_of_it_too(project: Project) -> None:
    clinic(project, told=False, right=60)
    gate = judged(project, "pass")
    found = check(gate, "knowledge")
    assert (found["status"], found["observed"]) == ("warning", 40)
    assert found["advice"].startswith("Use RAG")
    assert gate["advice"] == []


def test_answers_that_stand_in_the_question_do_not(project: Project) -> None:
    clinic(project, told=True, right=30)
    gate = judged(project, "fail", margin=0.3)
    assert "retrieval" not in actions(gate)
    assert "knowledge" not in statuses(gate)


def test_four_fixed_examples_are_too_few_to_tell(project: Project) -> None:
    clinic(project, told=False, right=24)
    assert "retrieval" not in actions(judged(project, "fail", margin=0.3))


def test_labels_of_a_small_set_do_not(project: Project) -> None:
    gate = judged(project, "fail", margin=0.5)
    assert (gate["diagnosis"]["recalled"], len(gate["diagnosis"]["fixed"])) == (0, 18)
    assert "retrieval" not in actions(gate)


def test_labels_of_any_text_do_no_harm(project: Project) -> None:
    hostile = "\x1b[2J::error::" + "x" * 100_000

    def hostile_label(index: int) -> str:
        return f"{hostile}{index % 3}"

    rows = [{"id": f"t{i}", "input": f"customer question {i}", "expected": hostile_label(i)} for i in range(N)]
    write_jsonl(project.path / "test.jsonl", rows)
    answers(project, "base.jsonl", lambda i: hostile_label(i if i < 40 else i + 1))
    answers(project, "ft.jsonl", lambda i: hostile_label(i if i % 3 else i + 1))
    gate = judged(project, "fail", "-v")
    assert gate["advice"][0]["text"].startswith("Look at the training rows of ")
    text = project.result.stdout.str()
    assert "\x1b" not in text
    assert max(map(len, project.result.outlines)) < 5_000
    assert "\n::error" not in text
