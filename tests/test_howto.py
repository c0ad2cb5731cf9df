"""Run the guides and recipes: their files in a project, with a loopback server in place of the real ones."""

import json
import os
import re
import runpy
import shlex
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from doc_pages import DOCS, Block, blocks, blocks_under, commands, file_of
from endpoint_project import EndpointProject, index_of
from gate_project import Project, check, checks, ends, label, passed, refused, write_jsonl, wrong
from loopback import LoopbackServer, Reply, Request

pytestmark = pytest.mark.usefixtures("no_ambient_settings")
BOOK = "cookbook.md"


@pytest.fixture
def endpoint(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


def shown(project: Project, page: str, **files: str) -> None:
    """Write files of the page, each under the name that its title begins with; ``name="title"``."""
    for title in files.values():
        project.file(title.partition(" ")[0], file_of(page, title))


def marked(project: Project, gate: str) -> None:
    project.file(
        "test_gate.py", f"import pytest\n@pytest.mark.ftgate({gate!r})\ndef test_gate(): pass\n"
    )


def of(blocks: list[Block], language: str, text: str = "") -> Block:
    """Return the only block of this language that has this text."""
    (single_block,) = [
        block for block in blocks if block.language == language and text in block.text
    ]
    return single_block


def commands_of(blocks: list[Block]) -> list[list[str]]:
    consoles = [block for block in blocks if block.language == "console"]
    return [shlex.split(command) for block in consoles for command, _ in commands(block)]


# --- data ----------------------------------------------------------------------------------------------------


def test_an_agent_is_judged_step_by_step(project: Project) -> None:
    """The gate of the page, on trajectories of two calls and an answer without any."""
    gate = yaml.safe_load(of(blocks_under("data.md", "Conversations and agents"), "yaml").text)
    keys = gate["gates"]["agent"]

    def calling(step: str, task: int) -> dict[str, Any]:
        function = {"name": step, "arguments": json.dumps({"task": task})}
        call = {"id": step, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def trajectory(task: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"task {task}"}, calling("find", task)]
        messages += [{"role": "tool", "tool_call_id": "find", "content": f"found {task * 7919}"}]
        return {"id": f"c{task}", "messages": [*messages, calling("close", task)]}

    write_jsonl(project.path / keys["test_set"]["path"], map(trajectory, range(60)))
    write_jsonl(project.path / keys["training_set"]["path"], map(trajectory, range(100, 200)))
    for name, n_right in {"base.jsonl": 20, "ft.jsonl": 60}.items():
        rows = []
        for task in range(60):
            for turn, step in enumerate(("find", "close"), 1):
                call = {"name": step, "arguments": {"task": task if task < n_right else -1}}
                rows.append({"id": f"c{task}:{turn}", "output": json.dumps([call])})
        write_jsonl(project.path / name, rows)
    judged = passed(project.judge(**keys))
    assert (judged["n"], judged["training"]["usable"]) == (120, 200)


# --- servers -------------------------------------------------------------------------------------------------

SERVERS = {
    "vLLM": None,
    "Ollama": None,
    "llama.cpp": None,
    "LiteLLM": "LITELLM_MASTER_KEY",
    "Hosted fine-tunes": "TOGETHER_API_KEY",
}
"""Headings of serve.md, with the variable of the key that is sent."""


def served(project: EndpointProject, heading: str) -> dict[str, Any]:
    """Judge the page's gate with the loopback server in place of the section's; return the models' keys."""
    models = of(blocks_under("serve.md", heading), "yaml", "models:\n").text
    text, n = re.subn(r"https?://[\w.:]+/v1", project.server.url, models)
    assert n == 1
    project.gate_file(file_of("serve.md", "ftgate.yaml") + text)
    project.file("prompts/support.md", "Answer with one of: refund, invoice, shipping.")
    project.file("test_support.py", file_of("serve.md", "test_support.py"))
    keys: dict[str, Any] = yaml.safe_load(models)["models"]
    keys["prompted"] = keys["tuned"] | keys["prompted"]
    sent = {role: {"model": key["model"], **key.get("params", {})} for role, key in keys.items()}

    def answer(body: dict[str, Any]) -> str:
        (role,) = [role for role, params in sent.items() if params.items() <= body.items()]
        index = index_of(body)
        return label(index) if index < (56 if role == "tuned" else 40) else wrong(index)

    project.server.answer = answer
    passed(project.gate())
    return keys


@pytest.mark.parametrize(("heading", "variable"), SERVERS.items())
def test_servers(
    endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch, heading: str, variable: str | None
) -> None:
    """The key, the few-shot examples and the names are those of the section's commands and files."""
    if variable:
        monkeypatch.setenv(variable, "sk-1")
    models = served(endpoint, heading)
    sent = {headers.get("authorization") for headers in endpoint.server.headers}
    assert sent == {"Bearer sk-1" if variable else None}
    turns = {len(body["messages"]) for body in endpoint.server.bodies}
    assert turns == {1, 2 + 2 * models["prompted"].get("few_shot", 0)}
    blocks = blocks_under("serve.md", heading)
    written = " ".join(block.text for block in blocks if block.language != "yaml" or block.title)
    prompted, tuned = models["prompted"]["model"], models["tuned"]["model"]
    assert prompted in written
    assert tuned in written or tuned.rpartition("-")[0].endswith("support-v3")
    assert endpoint.gate()["candidate"]["n_stored"] == (60 if "revision" in models["tuned"] else 0)


def test_ollama_makes_a_model_from_an_adapter() -> None:
    pull, create, _ = commands_of(blocks_under("serve.md", "Ollama"))
    modelfile = file_of("serve.md", create[create.index("-f") + 1])
    assert [line.split()[0] for line in modelfile.splitlines()] == ["FROM", "ADAPTER"]
    assert pull[2] == modelfile.split()[1]


def test_training_rows_for_a_service_are_read(endpoint: EndpointProject) -> None:
    row = of(blocks_under("serve.md", "Hosted fine-tunes"), "json").text
    assert row.count("the money") == row.count('"refund"') == 1
    output = json.dumps(json.loads(row))
    varied = (
        output.replace("the money", f"the money {i}").replace('"refund"', f'"{label(i)}"')
        for i in range(200)
    )
    endpoint.file("train.jsonl", "\n".join(varied))
    endpoint.gate_test(stage="ready", candidate=..., hypothesis={"from": 0.7, "to": 0.85})
    gate = endpoint.gate()
    assert check(gate, "min_training_examples")["observed"] == 200
    assert gate["baseline"]["value"] > 0.6


def test_a_rag_baseline(endpoint: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model knows what is in the passages that it is shown, and those are the right ones."""
    monkeypatch.setenv("RAG_BASE_URL", endpoint.server.url)
    shown(endpoint, BOOK, pipeline="rag.py")
    marked(endpoint, "support")
    passages = [f"Question {i}: {label(i)}" for i in range(10, 50)]
    endpoint.file("documents/answers.md", "\n\n".join(passages))
    text = file_of(BOOK, "ftgate.yaml (RAG)")
    endpoint.gate_file(text.replace("http://127.0.0.1:8000/v1", endpoint.server.url))

    def answer(body: dict[str, Any]) -> str:
        index = index_of(body)
        is_taught = (
            body["model"] == "support-v3" or f"Question {index}: " in body["messages"][0]["content"]
        )
        return label(index) if is_taught else wrong(index)

    endpoint.server.answer = answer
    gate = passed(endpoint.gate())
    assert gate["baseline"]["value"] == pytest.approx(40 / 60)
    assert gate["baseline"]["input_tokens"] > 0
    assert endpoint.gate()["baseline"]["n_stored"] == 60


# --- from other tools ----------------------------------------------------------------------------------------


def test_from_openai_evals(project: Project) -> None:
    items = [{"ticket_text": f"customer ticket {i}", "correct_label": label(i)} for i in range(60)]
    write_jsonl(project.path / "evals.jsonl", [{"item": item} for item in items])
    assert judged_by_own(project, "openai_evals")["n"] == 60


def test_from_promptfoo(project: Project) -> None:
    csv = "question,__expected\n"
    for i in range(60):
        csv += f"customer question {i},{label(i)}\n"
    project.file("tests.csv", csv)
    assert judged_by_own(project, "promptfoo")["n"] == 60


def judged_by_own(project: Project, tool: str) -> dict[str, Any]:
    """Judge functions with the keys that the page shows for this tool."""
    project.own()
    shown_gates = of(blocks_under("troubleshooting.md", "From other tools"), "yaml").text
    keys: dict[str, Any] = yaml.safe_load(shown_gates)["gates"][tool]
    return passed(project.judge(**keys, baseline="python:own:weak", candidate="python:own:good"))


# --- recorded answers ----------------------------------------------------------------------------------------


def test_recorded_by_the_gate(endpoint: EndpointProject) -> None:
    """Record with a server, then judge without one; an edited prompt is an error."""
    blocks = blocks_under("ci.md", "Pull requests without a key")
    record, judge = (
        [word for word in command if word.startswith("--")] for command in commands_of(blocks)
    )
    prompted = endpoint.model("base", system="Answer with one word.")
    endpoint.gate_file(
        yaml.safe_dump({"version": 1, "gates": {"g": {**endpoint.keys, "baseline": prompted}}})
    )
    marked(endpoint, "g")
    shown(endpoint, "ci.md", ini="pytest.ini")
    ini = (endpoint.path / "pytest.ini").read_text(encoding="utf-8")
    # there is no git here
    endpoint.file("pytest.ini", ini.replace("ftgate_forbid_weakening = true\n", ""))
    assert endpoint.run_apart(*record).ret == 0
    endpoint.forget()
    for stored in (endpoint.path / ".ftgate").iterdir():
        stored.unlink()
    assert endpoint.run_apart(*judge).ret == 0
    text = (endpoint.path / "ftgate.yaml").read_text(encoding="utf-8")
    endpoint.gate_file(text.replace("one word", "one label"))
    result = endpoint.run_apart(*judge)
    assert result.ret == 1
    assert result.parseoutcomes()["errors"] >= 1
    assert endpoint.server.requests == []


def test_recorded_by_oneself(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shown(project, "models.md", script="record.py")
    shown(project, "concepts.md", gate="ftgate.yaml")
    money = (" about money", "", "")
    # else the questions are copies
    letters = [Random(i).choices("bdfgklmnprst", k=24) for i in range(60)]
    rows = [
        {
            "id": f"t{i}",
            "input": f"{''.join(letters[i])} is the question{money[i % 3]}",
            "expected": label(i),
        }
        for i in range(60)
    ]
    write_jsonl(project.path / "test.jsonl", rows)
    monkeypatch.chdir(project.path)
    runpy.run_path("record.py")
    marked(project, "intents")
    gate = passed(project.whole())
    assert (gate["baseline"]["verified"], gate["candidate"]["verified"]) == (True, False)
    rows[0]["input"] = "another question"
    write_jsonl(project.path / "test.jsonl", rows)
    assert project.gate()["verdict"] == "error"


# --- recipes -------------------------------------------------------------------------------------------------


def test_concepts(project: Project) -> None:
    """The fixture takes the place of the candidate of the file."""
    shown(project, "concepts.md", gate="ftgate.yaml", test="test_intents.py")
    passed(project.gate())
    shown(project, "concepts.md", fixture="conftest.py")
    gate = project.gate()
    assert (gate["verdict"], gate["candidate"]["value"]) == ("fail", pytest.approx(20 / 60))


def test_fixtures_give_keys(project: Project) -> None:
    """A trained pipeline and a frame are a gate; the pipeline learns the word that names the label."""
    shown(project, "fixtures.md", fixtures="conftest.py (fixtures)", test="test_fixtures.py")
    for name, count in (("test", 60), ("train", 210)):
        rows = []
        for i in range(count):
            letters = "".join(Random(f"{name}{i}").choices("bdfgklmnprst", k=24))
            rows.append(
                {"id": f"t{i}", "input": f"{letters} {label(i)} please", "expected": label(i)}
            )
        write_jsonl(project.path / f"{name}.jsonl", rows)
    gate = passed(project.gate())
    assert (gate["candidate"]["value"], gate["training"]["usable"]) == (1, 210)


def test_each_parameter_is_a_gate(project: Project) -> None:
    shown(project, "fixtures.md", test="test_checkpoints.py")
    project.file("other.jsonl", (project.path / "ft.jsonl").read_text(encoding="utf-8"))
    project.run().assert_outcomes(passed=2)


def test_several_gates(project: Project) -> None:
    shown(project, BOOK, gates="ftgate.yaml (several gates)", tests="test_gates.py")
    project.run().assert_outcomes(passed=2)
    (command,) = commands_of(blocks_under(BOOK, "Several gates"))
    project.file("pytest.ini", "[pytest]\nftgate_required = all\n")
    assert project.run().ret == 0
    assert project.run(*command[3:]).ret == 0
    assert project.run(*command[3:-1]).ret == 1


def test_a_metric(project: Project) -> None:
    shown(project, BOOK, metric="conftest.py")
    project.gate_test(
        "def test_gate():\n    from conftest import first_word\n    assert first_word('refund', 'refund now') == 1.0\n",
        metric=["first_word", "exact_match"],
    )
    gate = passed(project.gate())
    assert "Gaffke" in gate["method"]
    assert set(gate["candidate"]["metrics"]) >= {"first_word", "exact_match"}


def _tool_call(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "arguments": {"city": "Oslo"}}]


SENTENCE = "the invoice for customer {} was sent today"
RECIPES: list[tuple[str, dict[str, str], Any, Any, Any, float]] = [
    # title, changes of the text; expected, answers of the baseline and of the candidate; score of the baseline's
    ("ruff_clean", {}, "print({})\n", "import os\n\nprint({})\n", "print({})\n", 0),
    ("bleu", {}, SENTENCE, "a an", SENTENCE, 0),
    ("bleu", {"BLEU(effective_order=True)": "CHRF()"}, SENTENCE, "zzz", SENTENCE, 0),
    ("tool_name", {}, _tool_call("weather"), _tool_call("mail"), _tool_call("weather"), 0),
    ("tool_name", {}, _tool_call("weather"), "It is cold.", _tool_call("weather"), 0),
    ("field_accuracy", {}, {"a": 1, "b": 2}, {"a": 1, "c": 2}, {"a": 1, "b": 2}, 1 / 3),
    ("field_accuracy", {}, {"a": 1, "b": 2}, "no", {"a": 1, "b": 2}, 0),
    ("well_formed", {}, "any", "<a>", "<a/>", 0),
    (
        "well_formed",
        {
            "from xml.etree import ElementTree": "import yaml",
            "ElementTree.fromstring": "yaml.safe_load",
            "ElementTree.ParseError": "yaml.YAMLError",
        },
        *("any", "a: [1", "a: [1]", 0),
    ),
]


WHOLE_EXAMPLE = """
from pytest_ftgate import metric

@metric(low=0, high=1, greater_is_better=True, right_wrong=True, whole_example=True)
def terms(example, answer):
    used = all(term in answer for term in example.fields["must_use"])
    return used and not any(term in answer for term in example.fields["must_avoid"])

def pytest_ftgate_metrics():
    return {"terms": terms}
"""


def recipe(project: Project, name: str, changes: dict[str, str]) -> str:
    """Write the metric into conftest.py, with the hook of the page, and return its name."""
    text = file_of(BOOK, name)
    assert len(text.splitlines()) <= 15
    for first_text, change in changes.items():
        assert first_text in text
        text = text.replace(first_text, change)
    hook = (
        file_of(BOOK, "conftest.py")
        .partition("def pytest_ftgate_metrics")[2]
        .replace("first_word", name)
    )
    project.file(
        "conftest.py", f"from pytest_ftgate import metric\n{text}\ndef pytest_ftgate_metrics{hook}"
    )
    return name


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: f"{row[0]} {row[3]}")
def test_recipes(project: Project, monkeypatch: pytest.MonkeyPatch, row: Any) -> None:
    from ruff import find_ruff_bin

    title, changes, expected, base, tuned, score = row
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
    project.file("conftest.py", WHOLE_EXAMPLE)
    metric = "terms"
    fields = {"must_use": ["please"], "must_avoid": ["refund"]}
    write_jsonl(
        project.path / "test.jsonl",
        ({"id": f"t{i}", "input": f"question {i}", **fields} for i in range(60)),
    )
    project.predictions(
        "base.jsonl", 60, output=lambda i: f"please {i}" if i % 2 else f"please refund {i}"
    )
    project.predictions("ft.jsonl", 60, output=lambda i: f"please {i}")
    for metric_spec in (metric, {"name": "format", "pattern": r"please \d+"}):
        project.gate_test(metric=metric_spec, checks={"formatting_gain": "warn"})
        gate = passed(project.gate())
        assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, 1)
        assert len(checks(gate, "formatting_gain")) == (
            metric_spec != metric
        )  # only format checks nothing but the form
    project.gate_test(metric=[metric, "accuracy"])
    refused(project)


def test_the_recipe_of_embeddings(endpoint: EndpointProject) -> None:
    metric = recipe(
        endpoint, "embedding_similarity", {"http://127.0.0.1:8000/v1": endpoint.server.url}
    )

    def embedded(request: Request) -> Reply:
        vectors = [
            [1.0, 0.0] if text in ("refund", "shipping", "money back") else [0.0, 2.0]
            for text in request.body["input"]
        ]
        data = [
            {"object": "embedding", "index": i, "embedding": vector}
            for i, vector in enumerate(vectors)
        ]
        return Reply(
            body={"object": "list", "data": data, "model": request.body["model"], "usage": {}}
        )

    endpoint.server.replies["POST /v1/embeddings"] = embedded
    endpoint.test_set(60, expected=lambda i: "refund" if i % 2 else "shipping")
    endpoint.predictions("base.jsonl", 60, output=lambda i: "money back" if i < 30 else "no idea")
    endpoint.predictions("ft.jsonl", 60, output=lambda i: "money back" if i else "")
    endpoint.gate_test(metric=metric, baseline="recorded:base.jsonl", candidate="recorded:ft.jsonl")
    gate = endpoint.gate()
    assert gate["baseline"]["value"] == pytest.approx(0.5), gate["checks"]
    # an empty answer gets the worst score
    assert gate["candidate"]["value"] == pytest.approx(58 / 60)


RULES = [
    ("yield Check('own', 'pass', 'fine', 1, 2)", 56, "pass"),
    ("yield Check('own', 'fail', 'too long', 100, 80)", 56, "fail"),
    ("yield Check('own', 'pass', 'fine')", 40, "fail"),  # a rule cannot pass what another one fails
    ("pass", 56, "pass"),
]
WRONG = [
    "3",
    "[1]",
    "[Check('a', 'fine', 'b')]",
    "[Check('a', 'pass', 'b', observed={1})]",
    "int('no')",
]


@pytest.mark.parametrize(
    ("body", "right", "verdict"),
    [*RULES, *((f"return {expression}", 56, "error") for expression in WRONG)],
)
def test_a_rule_can_only_make_a_verdict_worse(
    project: Project, body: str, right: int, verdict: str
) -> None:
    project.file(
        "conftest.py",
        f"from pytest_ftgate import Check\ndef pytest_ftgate_checks(gate):\n    {body}\n",
    )
    project.predictions("ft.jsonl", 60, wrong_at=range(60 - right))
    gate = ends(project.judge(), verdict)
    if "own" in body:
        assert check(gate, "own")["status"] == ("fail" if "'fail'" in body else "pass")


OTHERS = ("litellm.yaml", "ftgate.yml", ".gitlab-ci.yml")
"""Files of programs that are not installed; pipelines are run by tests/plugin/test_ci_pipelines.py."""


def test_every_titled_block_is_run() -> None:
    here = Path(__file__).parent
    tests = (
        Path(__file__),
        *(here / name for name in ("promotion/test_promotion.py", "local/test_dask.py")),
    )
    done = "".join(path.read_text(encoding="utf-8") for path in tests)
    for page in DOCS.glob("*.md"):
        for block in blocks(page):
            is_known = page.name == "tutorial.md" or block.title in ("", "Modelfile", *OTHERS)
            assert is_known or f'"{block.title}"' in done, block.place
            assert block.title not in OTHERS or yaml.safe_load(block.text)
