"""Run the how-to guides: their files in a project, with a loopback server in place of the real ones."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_pages import blocks, commands, file_of, page_named
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, label, passed, refused, write_jsonl, wrong
from loopback import LoopbackServer, Reply, Request

from pytest_ftgate.config import load_gate_file

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


@pytest.fixture
def endpoint(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


def shown(project: Project, page: str, *names: str) -> None:
    """Write the page's files."""
    for name in names:
        project.file(name, file_of(page, name))


def commands_of(page: str) -> list[list[str]]:
    consoles = [block for block in blocks(page_named(page)) if block.language == "console"]
    return [shlex.split(command) for block in consoles for command, _ in commands(block)]


# --- servers -------------------------------------------------------------------------------------------------


def served(project: EndpointProject, page: str) -> dict[str, Any]:
    """Judge the page's gate with the loopback server in place of the page's; return its models as written."""
    text, n = re.subn(r"https?://[\w.:]+/v1", project.server.url, file_of(page, "ftgate.yaml"))
    assert n == 2
    project.gate_file(text)
    project.file("prompts/support.md", "Answer with one of: refund, invoice, shipping.")
    shown(project, page, "test_support.py")
    models: dict[str, Any] = yaml.safe_load(text)["models"]
    asked = {role: {"model": one["model"], **one.get("params", {})} for role, one in models.items()}

    def answer(body: dict[str, Any]) -> str:
        (role,) = [role for role, keys in asked.items() if keys.items() <= body.items()]
        index = index_of(body)
        return label(index) if index < (56 if role == "tuned" else 40) else wrong(index)

    project.server.answer = answer
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    return models


def keys_sent(project: EndpointProject) -> set[str | None]:
    return {headers.get("authorization") for headers in project.server.headers}


def test_vllm(endpoint: EndpointProject) -> None:
    models = served(endpoint, "howto/vllm.md")
    assert keys_sent(endpoint) == {None}
    (command,) = commands_of("howto/vllm.md")
    assert command[2] == models["prompted"]["model"]
    assert command[command.index("--lora-modules") + 1].partition("=")[0] == models["tuned"]["model"]
    asked = [body for body in endpoint.server.bodies if body["model"] == models["prompted"]["model"]]
    assert {len(body["messages"]) for body in asked} == {1 + 2 * models["prompted"]["few_shot"] + 1}


def test_vllm_new_weights_under_the_old_name(endpoint: EndpointProject) -> None:
    """Only ``revision`` distinguishes them."""
    served(endpoint, "howto/vllm.md")
    endpoint.forget()
    assert endpoint.gate()["candidate"]["n_stored"] == 60
    text = (endpoint.path / "ftgate.yaml").read_text(encoding="utf-8")
    endpoint.gate_file(text.replace('revision: "2026-11-20"', 'revision: "2026-11-21"'))
    assert endpoint.gate()["candidate"]["n_stored"] == 0
    assert {body["model"] for body in endpoint.server.bodies} == {"support-v3"}


def test_ollama(endpoint: EndpointProject) -> None:
    models = served(endpoint, "howto/ollama.md")
    assert keys_sent(endpoint) == {None}
    pull, create, _ = commands_of("howto/ollama.md")
    modelfile = file_of("howto/ollama.md", create[create.index("-f") + 1])
    assert [line.split()[0] for line in modelfile.splitlines()] == ["FROM", "ADAPTER"]
    assert pull[2] == models["prompted"]["model"] == modelfile.split()[1]
    assert create[2] == models["tuned"]["model"]


def test_llama_cpp(endpoint: EndpointProject) -> None:
    """One name for both models: the scale of the adapter distinguishes them, and their stored answers."""
    models = served(endpoint, "howto/llama-cpp.md")
    (command,) = commands_of("howto/llama-cpp.md")
    assert command[command.index("--alias") + 1] == models["prompted"]["model"] == models["tuned"]["model"]
    assert endpoint.gate()["candidate"]["n_stored"] == 60


def test_litellm(endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-1")
    models = served(endpoint, "howto/litellm.md")
    assert keys_sent(endpoint) == {"Bearer sk-1"}
    proxy = yaml.safe_load(file_of("howto/litellm.md", "litellm.yaml"))
    assert {one["model_name"] for one in proxy["model_list"]} == {model["model"] for model in models.values()}


def test_hosted_fine_tune(endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both steps: the gate before training, and the one with the candidate."""
    page = "howto/hosted-fine-tune.md"
    monkeypatch.setenv("TOGETHER_API_KEY", "secret")
    served(endpoint, page)
    assert keys_sent(endpoint) == {"Bearer secret"}
    (before,) = [block.text for block in blocks(page_named(page)) if "stage: ready" in block.text]
    row = next(block.text for block in blocks(page_named(page)) if block.language == "json")
    assert row.count("the money") == row.count('"refund"') == 1
    varied = (row.replace("the money", f"the money {i}").replace('"refund"', f'"{label(i)}"') for i in range(200))
    endpoint.file("train.jsonl", "".join(varied))
    endpoint.gate_file(before.replace("https://api.together.ai/v1", endpoint.server.url))
    gate = endpoint.gate()
    assert gate["candidate"]["value"] is None
    assert check(gate, "min_training_examples")["observed"] == 200
    assert gate["baseline"]["value"] > 0.6


def test_a_rag_baseline(endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model knows what is in the passages that it is shown, and those are the right ones."""
    page = "howto/rag-baseline.md"
    monkeypatch.setenv("RAG_BASE_URL", endpoint.server.url)
    shown(endpoint, page, "rag.py", "test_support.py")
    passages = [f"Question {i}: {label(i)}" for i in range(10, 50)]
    endpoint.file("documents/answers.md", "\n\n".join(passages))
    endpoint.gate_file(file_of(page, "ftgate.yaml").replace("http://127.0.0.1:8000/v1", endpoint.server.url))

    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        known = body["model"] == "support-v3" or f"Question {index}: " in body["messages"][0]["content"]
        return label(index) if known else wrong(index)

    endpoint.server.answer = answer
    gate = endpoint.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["baseline"]["value"] == pytest.approx(40 / 60)
    assert gate["baseline"]["input_tokens"] > 0
    assert endpoint.gate()["baseline"]["n_stored"] == 60


# --- from other tools ----------------------------------------------------------------------------------------


def test_from_openai_evals(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "howto/from-openai-evals.md"
    shown(project, page, "convert.py", "ftgate.yaml", "test_tickets.py")
    items = [{"ticket_text": f"ticket {i}", "correct_label": label(i), "lang": "en"} for i in range(60)]
    samples = [{"output_text": label(i) if i < 40 else wrong(i)} for i in range(60)]
    rows = [{"item": item, "sample": sample} for item, sample in zip(items, samples, strict=True)]
    write_jsonl(project.path / "evals.jsonl", rows)
    monkeypatch.chdir(project.path)
    runpy.run_path("convert.py")
    write_jsonl(project.path / "ft.jsonl", [{"id": f"e{i + 1}", "output": label(i)} for i in range(60)])
    gate = project.gate()
    assert (gate["verdict"], gate["baseline"]["value"], gate["n"]) == ("pass", pytest.approx(40 / 60), 60)
    assert json.loads((project.path / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])["lang"] == "en"


def test_from_promptfoo(endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "howto/from-promptfoo.md"
    questions = [f"customer question {i}" for i in range(60)]
    tests = [
        {"vars": {"question": text, "lang": "en"}, "assert": [{"type": "equals", "value": label(i)}]}
        for i, text in enumerate(questions)
    ]
    endpoint.file("promptfooconfig.yaml", yaml.safe_dump({"tests": [*tests, {"vars": {"question": "Why?"}}]}))
    monkeypatch.chdir(endpoint.path)
    shown(endpoint, page, "convert.py", "answers.py")
    runpy.run_path("convert.py")
    served(endpoint, page)
    results = [
        {"testIdx": i, "provider": {"id": "echo"}, "response": {"output": label(i) if i < 40 else wrong(i)}}
        for i in range(60)
    ]
    results.append({"testIdx": 60, "provider": {"id": "another"}})
    endpoint.file("results.json", json.dumps({"results": {"results": results}}))
    runpy.run_path("answers.py")
    text = (endpoint.path / "ftgate.yaml").read_text(encoding="utf-8")
    endpoint.gate_file(text.replace("baseline: prompted", "baseline: recorded:base.jsonl"))
    assert endpoint.gate("--ftgate-offline")["baseline"]["value"] == pytest.approx(40 / 60)
    csv = "question,__expected\n" + "".join(f"{text},{label(i)}\n" for i, text in enumerate(questions))
    endpoint.file("tests.csv", csv)
    (part,) = [block.text for block in blocks(page_named(page)) if block.language == "yaml" and not block.title]
    (endpoint.path / "test_support.py").unlink()
    endpoint.gate_test(**yaml.safe_load(part), baseline="prompted", candidate="tuned")
    gate = endpoint.gate()
    assert (gate["verdict"], gate["n"]) == ("pass", 60)


# --- recorded predictions ------------------------------------------------------------------------------------


def test_recorded_by_the_gate(endpoint: EndpointProject) -> None:
    """Record with a server, then judge without one; an edited prompt is an error."""
    page = "howto/recorded-predictions.md"
    record, judge = ([word for word in command if word.startswith("--")] for command in commands_of(page))
    prompted = endpoint.model("base", system="Answer with one word.")
    endpoint.gate_test(baseline=prompted)
    shown(endpoint, page, "pytest.ini")
    assert endpoint.run_apart(*record).ret == 0
    endpoint.forget()
    for stored in (endpoint.path / ".ftgate").iterdir():
        stored.unlink()
    assert endpoint.run_apart(*judge).ret == 0
    endpoint.gate_test(baseline={**prompted, "system": "Answer with one label."})
    result = endpoint.run_apart(*judge)
    assert result.ret == 1
    result.assert_outcomes(errors=1)
    assert endpoint.server.requests == []


def test_recorded_by_oneself(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "howto/recorded-predictions.md"
    shown(project, page, "record.py", "ftgate.yaml")
    money = (" about money", "", "")
    rows = [{"id": f"t{i}", "input": f"question {i}{money[i % 3]}", "expected": label(i)} for i in range(60)]
    write_jsonl(project.path / "test.jsonl", rows)
    monkeypatch.chdir(project.path)
    runpy.run_path("record.py")
    project.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n")
    gate = project.whole()
    assert (gate["verdict"], gate["baseline"]["verified"], gate["candidate"]["verified"]) == ("pass", True, False)
    rows[0]["input"] = "another question"
    write_jsonl(project.path / "test.jsonl", rows)
    assert project.gate()["verdict"] == "error"


def test_what_a_row_may_hold(project: Project) -> None:
    """Each name in the page's table is read: a wrong value is an error that names it."""
    text = page_named("howto/recorded-predictions.md").read_text(encoding="utf-8")
    names = [
        name for row in re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert names == ["id", "output", "input_sha256", "repeat", "usage", "latency_s", "finish"]
    project.gate_test()
    rows = [json.loads(line) for line in (project.path / "ft.jsonl").read_text(encoding="utf-8").splitlines()]
    for name in names:
        write_jsonl(project.path / "ft.jsonl", [{**rows[0], name: ["no"]}, *rows[1:]])
        gate = project.gate()
        if name != "output":  # any JSON value is an answer
            assert gate["verdict"] == "error", name
            assert name in str(gate["checks"])


# --- several gates, a metric and a provider, large test sets ---------------------------------------------------


def test_several_gates(project: Project) -> None:
    page = "howto/several-gates.md"
    shown(project, page, "ftgate.yaml", "test_gates.py", "test_languages.py")
    project.file("other.jsonl", (project.path / "ft.jsonl").read_text(encoding="utf-8"))
    project.run().assert_outcomes(passed=4)
    _, one, _ = commands_of(page)
    project.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    assert project.run().ret == 0
    assert project.run(*one[3:]).ret == 0
    assert project.run(*one[3:-1]).ret == 1


def test_questions_are_asked_once_for_all_gates(endpoint: EndpointProject) -> None:
    text = file_of("howto/several-gates.md", "ftgate.yaml")
    models = yaml.safe_dump(
        {"prompted": endpoint.model("base"), "tuned": endpoint.model("ft")}, default_flow_style=True
    )
    endpoint.gate_file(re.sub(r"models:\n.*?defaults:", f"models: {models}defaults:", text, flags=re.DOTALL))
    shown(endpoint, "howto/several-gates.md", "test_gates.py")
    endpoint.run().assert_outcomes(passed=2)
    assert set(endpoint.asked.values()) == {1}


def test_a_metric_and_a_provider(project: Project) -> None:
    page = "howto/custom-metric-and-provider.md"
    shown(project, page, "conftest.py", "ftgate.yaml")
    project.file(
        "test_gate.py",
        "import pytest\nfrom conftest import first_word\n@pytest.mark.ftgate('support')\n"
        "def test_gate(): assert first_word('refund', 'refund now') == 1.0\n",
    )
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert "Gaffke" in gate["method"]
    assert gate["candidate"]["metrics"]["exact_match"] == pytest.approx(50 / 60)
    assert (gate["candidate"]["n_stored"], project.gate()["candidate"]["n_stored"]) == (0, 60)


def _tool_call(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "arguments": {"city": "Oslo"}}]


SENTENCE = "the invoice for customer {} was sent today"
RECIPES: list[tuple[str, dict[str, str], Any, Any, Any, float]] = [
    # title, changes of the text; expected, answers of the baseline and of the candidate; score of the baseline's
    ("conftest.py (ruff)", {}, "print({})\n", "import os\n\nprint({})\n", "print({})\n", 0),
    ("conftest.py (BLEU)", {}, SENTENCE, "a an", SENTENCE, 0),
    ("conftest.py (BLEU)", {"BLEU(effective_order=True)": "CHRF()"}, SENTENCE, "zzz", SENTENCE, 0),
    ("conftest.py (tool names)", {}, _tool_call("weather"), _tool_call("mail"), _tool_call("weather"), 0),
    ("conftest.py (tool names)", {}, _tool_call("weather"), "It is cold.", _tool_call("weather"), 0),
    ("conftest.py (fields)", {}, {"a": 1, "b": 2}, {"a": 1, "c": 2}, {"a": 1, "b": 2}, 1 / 3),
    ("conftest.py (fields)", {}, {"a": 1, "b": 2}, "no", {"a": 1, "b": 2}, 0),
    ("conftest.py (XML)", {}, "any", "<a>", "<a/>", 0),
    (
        "conftest.py (XML)",
        {
            "from xml.etree import ElementTree": "import yaml",
            "ElementTree.fromstring": "yaml.safe_load",
            "ElementTree.ParseError": "yaml.YAMLError",
        },
        *("any", "a: [1", "a: [1]", 0),
    ),
]


def recipe(project: Project, title: str, changes: dict[str, str]) -> str:
    """Write a recipe's conftest.py, and return the name of its metric."""
    text = file_of("howto/custom-metric-and-provider.md", title)
    assert len(text.splitlines()) <= 15
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    project.file("conftest.py", text)
    return re.findall(r'return {"(\w+)": \w+}', text)[0]


@pytest.mark.parametrize(("title", "changes", "expected", "base", "tuned", "score"), RECIPES)
def test_recipes(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    title: str,
    changes: dict[str, str],
    expected: Any,
    base: Any,
    tuned: Any,
    score: float,
) -> None:
    from ruff import find_ruff_bin

    monkeypatch.setenv("PATH", str(Path(find_ruff_bin()).parent), prepend=os.pathsep)
    metric = recipe(project, title, changes)

    def each(value: Any) -> Any:
        return (lambda i: value.format(i)) if isinstance(value, str) else value

    project.test_set(60, expected=each(expected))
    project.predictions("base.jsonl", 60, output=each(base))
    project.predictions("ft.jsonl", 60, output=each(tuned))
    project.gate_test(metric=metric)
    gate = project.gate()
    assert gate["baseline"]["value"] == pytest.approx(score, abs=1e-9), gate["checks"]
    assert gate["candidate"]["value"] == pytest.approx(1)


def test_metrics_that_need_no_label(project: Project) -> None:
    """A recipe of the whole example, and ``format``, judge a test set whose rows have no expected output."""
    metric = recipe(project, "conftest.py (terms)", {})
    fields = {"must_use": ["please"], "must_avoid": ["refund"]}
    write_jsonl(project.path / "test.jsonl", ({"id": f"t{i}", "input": f"question {i}", **fields} for i in range(60)))
    project.predictions("base.jsonl", 60, output=lambda i: f"please {i}" if i % 2 else f"please refund {i}")
    project.predictions("ft.jsonl", 60, output=lambda i: f"please {i}")
    for asked in (metric, {"name": "format", "pattern": r"please \d+"}):
        project.gate_test(metric=asked, checks={"formatting_gain": "warn"})
        gate = passed(project.gate())
        assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, 1)
    project.gate_test(metric=[metric, "accuracy"])
    refused(project)


def test_the_recipe_of_embeddings(endpoint: EndpointProject) -> None:
    metric = recipe(endpoint, "conftest.py (embeddings)", {"http://127.0.0.1:8000/v1": endpoint.server.url})

    def embedded(request: Request) -> Reply:
        vectors = [
            [1.0, 0.0] if text in ("refund", "shipping", "money back") else [0.0, 2.0] for text in request.body["input"]
        ]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        return Reply(body={"object": "list", "data": data, "model": request.body["model"], "usage": {}})

    endpoint.server.replies["POST /v1/embeddings"] = embedded
    endpoint.test_set(60, expected=lambda i: "refund" if i % 2 else "shipping")
    endpoint.predictions("base.jsonl", 60, output=lambda i: "money back" if i < 30 else "no idea")
    endpoint.predictions("ft.jsonl", 60, output=lambda i: "money back" if i else "")
    endpoint.gate_test(metric=metric, baseline="recorded:base.jsonl", candidate="recorded:ft.jsonl")
    gate = endpoint.gate()
    assert gate["baseline"]["value"] == pytest.approx(0.5), gate["checks"]
    assert gate["candidate"]["value"] == pytest.approx(58 / 60)  # an empty answer gets the worst score


def test_grades_by_several_people(project: Project) -> None:
    shown(project, "judges.md", "conftest.py")
    assert len(file_of("judges.md", "conftest.py").splitlines()) <= 15
    grades = [f"{answer},{grade}" for answer, both in (("refund", (2, 5)), ("invoice", (1, 3))) for grade in both]
    project.file("grades.csv", "\n".join(["answer,grade", *grades, "shipping,4"]) + "\n")
    project.predictions("base.jsonl", 60, output=lambda i: "invoice")
    project.predictions("ft.jsonl", 60, output=lambda i: "refund" if i % 2 else "shipping")
    gate = project.judge(metric="human_grade", margin=0.5)
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (2.0, 3.75)
    project.predictions("ft.jsonl", 60, output=lambda i: "nobody graded this")
    assert project.judge(metric="human_grade", margin=0.5)["verdict"] == "error"


def test_a_rule(project: Project) -> None:
    """A rule can fail a gate that all other rules pass, but cannot pass one that another rule fails."""
    shown(project, "howto/custom-rule.md", "conftest.py")
    project.gate_test()
    own = check(project.gate(), "answer_length")
    assert (own["status"], own["observed"], own["required"]) == ("pass", len("shipping"), 80)
    rows = [{"id": f"t{i}", "output": label(i) if i < 59 else "x" * 100} for i in range(60)]
    write_jsonl(project.path / "ft.jsonl", rows)
    gate = project.gate()
    assert (gate["verdict"], check(gate, "answer_length")["status"]) == ("fail", "fail")
    project.result.stdout.fnmatch_lines(["*answer_length*100 characters*"])
    project.predictions("ft.jsonl", 60, wrong_at=range(20))
    gate = project.gate()
    assert (gate["verdict"], check(gate, "answer_length")["status"]) == ("fail", "pass")


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("raise ValueError('no')", "error"),
        ("return [1]", "error"),
        ("return 3", "error"),
        ("return [Check('a', 'fine', 'b')]", "error"),
        ("return [Check('a', 'pass', 'b', observed={1})]", "error"),
        ("pass", "pass"),
    ],
)
def test_a_rule_that_is_broken_is_an_error_and_one_may_have_nothing_to_say(
    project: Project, body: str, verdict: str
) -> None:
    project.file("conftest.py", f"from pytest_ftgate import Check\ndef pytest_ftgate_checks(gate):\n    {body}\n")
    assert project.judge()["verdict"] == verdict


def test_a_trial_on_the_first_examples(endpoint: EndpointProject) -> None:
    (text,) = [block.text for block in blocks(page_named("howto/large-test-sets.md")) if "limit: 60" in block.text]
    text = text.replace("http://127.0.0.1:8000/v1", endpoint.server.url)
    text = text.replace("Qwen/Qwen3-8B", "base").replace("support-v3", "ft")
    endpoint.gate_file(text)
    endpoint.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('trial')\ndef test_gate(): pass\n")
    endpoint.test_set(100)
    gate = endpoint.gate()
    assert (gate["verdict"], gate["n"]) == ("pass", 60)


def test_local_adapters(project: Project) -> None:
    """Their models are run by tests/local, which needs the extra ``local``."""
    project.gate_file(file_of("howto/local-adapters.md", "ftgate.yaml"))
    models = load_gate_file(project.path / "ftgate.yaml").models
    assert {one.provider for one in models.values()} == {"transformers"}


def test_every_how_to_is_done_here() -> None:
    here = Path(__file__)
    done = "".join(path.read_text(encoding="utf-8") for path in (here, here.parent / "promotion" / "test_promotion.py"))
    for page in page_named("howto").glob("*.md"):
        assert f'"howto/{page.name}"' in done, page.name
        for block in blocks(page):
            assert not block.title or f'"{block.title}"' in done or block.title == "Modelfile", block.place
