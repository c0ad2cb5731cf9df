"""Other people's code: models that are Python functions, and hooks. It may fail in every way, and excuses no gate."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Any

import pytest
from gate_project import Project, check, label, refused, write_jsonl

from pytest_ftgate import hookspecs

LABELS = "LABELS = ('refund', 'invoice', 'shipping')\ndef right(text): return LABELS[int(text.split()[-1]) % 3]\n"
RIGHT = f"import asyncio, pytest, sys, threading, time\n{LABELS}"


def candidate(project: Project, body: str, **keys: Any) -> None:
    """A gate whose candidate is the function ``answer`` that ``body`` defines in conftest.py."""
    code = textwrap.dedent(body)
    project.file("conftest.py", f"{RIGHT}{code}\n@pytest.fixture\ndef ftgate_candidate(): return answer\n")
    project.gate_test(**{"candidate": ..., **keys})


# --- calls that fail -----------------------------------------------------------------------------------------

FAILURES = {
    "raise ValueError('no weights')": "answer raised ValueError; ValueError: no weights (conftest.py:5)",
    "return right(text).nothing": (
        "answer raised AttributeError; AttributeError: 'str' object has no attribute 'nothing' (conftest.py:5)"
    ),
    "assert 0, 'no'": "answer raised AssertionError; AssertionError: no assert 0 (conftest.py:5)",
    "return None": "answer returned None; return text (str), or a Completion",
    "return 3": "answer returned a value of type int; return text (str), or a Completion",
    "return b'refund'": "answer returned a value of type bytes; return text (str), or a Completion",
    "return ['refund']": "answer returned a value of type list; return text (str), or a Completion",
    "sys.exit(0)": "answer raised SystemExit; SystemExit: 0 (conftest.py:5)",
    "pytest.skip('not today')": "answer raised Skipped; Skipped: not today (conftest.py:5)",
    "pytest.xfail('known')": "answer raised XFailed; _pytest.outcomes.XFailed: known (conftest.py:5)",
    "pytest.fail('no')": "answer raised Failed; Failed: no (conftest.py:5)",
    "pytest.exit('bye', returncode=0)": "answer raised Exit; _pytest.outcomes.Exit: bye (conftest.py:5)",
    "raise StopAsyncIteration": "answer raised StopAsyncIteration; StopAsyncIteration (conftest.py:5)",
}
BROKEN = {
    "text=3": "text is of type int, not str",
    "text='a', finish='done'": "finish is 'done', not one of stop, refusal, filtered, cut_off",
    "text='a', input_tokens=-1": "input_tokens is -1, not a count",
    "text='a', output_tokens=1.5": "output_tokens is 1.5, not a count",
    "text='a', latency_s=float('nan')": "latency_s is nan, not a number of seconds",
}


@pytest.mark.parametrize("define", ["def", "async def"])
@pytest.mark.parametrize(("body", "reason"), FAILURES.items(), ids=FAILURES)
def test_a_call_that_fails_is_a_missing_answer(project: Project, define: str, body: str, reason: str) -> None:
    candidate(project, f"\n{define} answer(text):\n    {body}\n".lstrip("\n"))
    message = refused(project, called=True)
    assert message.startswith("candidate answer: 60 of 60 answers missing (t0, t1, t2, t3, t4, ...): ")
    assert message.endswith(reason)


def test_a_function_without_an_end_is_a_missing_answer(project: Project) -> None:
    candidate(project, "def answer(text): return answer(text)\n")
    assert "answer raised RecursionError; RecursionError: maximum recursion depth exceeded" in refused(
        project, called=True
    )


def test_a_coroutine_that_returns_a_coroutine_is_a_missing_answer(project: Project) -> None:
    candidate(project, "async def answer(text): return answer(text)\n")
    assert refused(project, called=True).endswith(
        "answer returned a value of type coroutine; return text (str), or a Completion"
    )


@pytest.mark.parametrize(("fields", "reason"), BROKEN.items(), ids=BROKEN)
def test_a_completion_that_is_broken_is_a_missing_answer(project: Project, fields: str, reason: str) -> None:
    candidate(project, f"from pytest_ftgate import Completion\ndef answer(text): return Completion({fields})\n")
    assert refused(project, called=True).endswith(f"answer returned a broken Completion: {reason}")


def test_one_call_that_fails_is_enough(project: Project) -> None:
    candidate(project, "def answer(text): return right(text) if text[-2:] != '17' else None\n")
    assert refused(project, called=True) == (
        "candidate answer: 1 of 60 answers missing (t17): answer returned None; return text (str), or a Completion"
    )


def test_a_call_that_fails_may_count_as_wrong(project: Project) -> None:
    candidate(project, "def answer(text): return right(text) if text[-2:] != '17' else None\n", errors="score_zero")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["candidate"]["value"] == pytest.approx(59 / 60)


@pytest.mark.parametrize("text", ["", " \\n", "\\ud800", "\\x1b[2J", "\\0", "x" * 100_000])
def test_an_answer_of_any_text_is_wrong_and_can_be_reported(project: Project, text: str) -> None:
    candidate(project, f"def answer(text): return '{text}'\n")
    gate = project.gate("--junitxml=junit.xml", "--ftgate-report=recordings:recorded")
    assert gate["verdict"] == "fail"
    assert gate["candidate"]["value"] == 0
    project.result.assert_outcomes(failed=1)
    assert "\x1b" not in project.result.stdout.str()


# --- calls that take their time ------------------------------------------------------------------------------

OWN = "own.py"


def python(project: Project, body: str, **keys: Any) -> dict[str, Any]:
    """The candidate ``own:answer``, with options."""
    project.file(OWN, f"{RIGHT}{textwrap.dedent(body)}")
    project.file("tox.ini", "[pytest]\npythonpath = .\n")
    model = {"provider": "python", "target": "own:answer", **keys}
    project.gate_test(candidate=model)
    return model


def test_a_function_that_blocks_for_ever_is_abandoned(project: Project) -> None:
    python(project, "def answer(text): threading.Event().wait()\n", timeout_s=0.05)
    message = refused(project, called=True, apart=True)  # which also waits for the end of the process
    assert message.startswith("candidate answer: 60 of 60 answers missing (t0, t1, t2, t3, t4, ...): ")
    assert message.endswith("no answer within 0.05 s; the call was abandoned, as were the 4 before it")


def test_a_function_that_blocks_once_costs_one_answer(project: Project) -> None:
    python(
        project,
        "def answer(text): return threading.Event().wait() if text[-2:] == '17' else right(text)\n",
        timeout_s=2,
    )
    assert refused(project, called=True, apart=True) == (
        "candidate answer: 1 of 60 answers missing (t17): no answer within 2 s; the call was abandoned"
    )


def test_a_coroutine_that_waits_for_ever_is_cancelled(project: Project) -> None:
    python(project, "async def answer(text): await asyncio.Event().wait()\n", timeout_s=0.05, retries=0)
    assert refused(project, called=True, apart=True).endswith("no answer within 0.05 s")


def test_a_coroutine_that_blocks_for_ever_ends_the_run(project: Project) -> None:
    sooner = "import pytest_ftgate.models.event_loop\npytest_ftgate.models.event_loop.OWN_WORK_S = 0.2\n"
    python(project, f"{sooner}async def answer(text): threading.Event().wait()\n", timeout_s=0.05, retries=0)
    assert refused(project, called=True, apart=True) == (
        "answer holds up the event loop: nothing else could run for 0.25 s"
    )


SLOW = {
    "function": "def answer(text):\n    time.sleep(0.01)\n    return right(text)\n",
    "coroutine": "async def answer(text):\n    await asyncio.sleep(0.05)\n    return right(text)\n",
}


@pytest.mark.parametrize("code", SLOW.values(), ids=SLOW)
def test_a_slow_model_is_waited_for(project: Project, code: str) -> None:
    python(project, code)
    gate = project.gate(apart=True)
    assert gate["verdict"] == "pass"
    assert gate["candidate"]["latency_p50_s"] >= 0.01


def test_both_kinds_run_at_once(project: Project) -> None:
    """Neither model can answer unless the other one is being asked at the same time."""
    project.file(
        "conftest.py",
        f"{RIGHT}"
        "plain, awaited = threading.Event(), threading.Event()\n"
        "def weak(text):\n"
        "    plain.set()\n"
        "    assert awaited.wait(20)\n"
        "    return right(text) if int(text.split()[-1]) < 40 else 'refund'\n"
        "async def good(text):\n"
        "    awaited.set()\n"
        "    while not plain.is_set(): await asyncio.sleep(0.001)\n"
        "    return right(text)\n"
        "@pytest.fixture\ndef ftgate_baseline(): return weak\n"
        "@pytest.fixture\ndef ftgate_candidate(): return good\n",
    )
    project.gate_test(baseline=..., candidate=...)
    assert project.gate()["verdict"] == "pass"


# --- what a callable is given and gives ----------------------------------------------------------------------


def test_a_client_of_another_loop_is_explained(project: Project) -> None:
    candidate(
        project,
        "loop = asyncio.new_event_loop()\n"
        "client = loop.create_future()\n"
        "async def answer(text): return await client\n"
        "def pytest_unconfigure(): loop.close()\n",
    )
    gate = project.gate()
    assert gate["verdict"] == "error"
    message = check(gate, "candidate_predictions")["message"]
    assert "answer raised RuntimeError; RuntimeError: Task" in message
    assert message.endswith(
        "a client made in another event loop cannot be used in this one: make the client inside the call"
    )


def test_a_client_made_in_the_first_call_serves_all_calls(project: Project) -> None:
    candidate(
        project,
        "clients = []\n"
        "async def answer(text):\n"
        "    if not clients: clients.append(asyncio.Semaphore(2))\n"
        "    async with clients[0]:\n"
        "        await asyncio.sleep(0)\n"
        "        return right(text)\n",
    )
    assert project.gate()["verdict"] == "pass"


KINDS = {
    "lambda": "answer = lambda text: right(text)",
    "partial": "from functools import partial\ndef both(how, text): return how(text)\nanswer = partial(both, right)",
    "async partial": (
        "from functools import partial\nasync def both(how, text): return how(text)\nanswer = partial(both, right)"
    ),
    "object": "class Model:\n    def __call__(self, text): return right(text)\nanswer = Model()",
    "async object": "class Model:\n    async def __call__(self, text): return right(text)\nanswer = Model()",
    "method": "class Model:\n    def generate(self, text): return right(text)\nanswer = Model().generate",
    "function around a coroutine": "async def inner(text): return right(text)\ndef answer(text): return inner(text)",
    "class method": "class Model:\n    @classmethod\n    def ask(cls, text): return right(text)\nanswer = Model.ask",
    "subclass of str": "class Text(str): pass\ndef answer(text): return Text(right(text))",
}


@pytest.mark.parametrize("code", KINDS.values(), ids=KINDS)
def test_whatever_can_be_called_is_a_model(project: Project, code: str) -> None:
    candidate(project, code + "\n")
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["candidate"]["value"] == 1


def test_usage_and_refusals_are_counted(project: Project) -> None:
    candidate(
        project,
        "from pytest_ftgate import Completion\n"
        "def answer(text):\n"
        "    if text.endswith(' 7'):\n"
        "        return Completion('I cannot say', finish='refusal', input_tokens=10, output_tokens=3)\n"
        "    return Completion(right(text), input_tokens=10, output_tokens=1, latency_s=0.25)\n",
    )
    model = project.gate()["candidate"]
    assert (model["input_tokens"], model["output_tokens"], model["n_refused"]) == (600, 62, 1)
    assert model["value"] == pytest.approx(59 / 60)
    assert (model["latency_p50_s"], model["cost_usd"]) == (0.25, None)


def test_a_price_makes_a_cost(project: Project) -> None:
    python(
        project,
        "from pytest_ftgate import Completion\n"
        "def answer(text): return Completion(right(text), input_tokens=1000, output_tokens=10)\n",
        price={"input_per_1m": 2.0, "output_per_1m": 10.0},
    )
    project.pytester.syspathinsert()
    assert project.gate()["candidate"]["cost_usd"] == pytest.approx(60 * (1000 * 2 + 10 * 10) / 1e6)


def chat_project(project: Project) -> None:
    def row(question: str, index: int) -> dict[str, Any]:
        turns = [("system", "Answer with a label."), ("user", question), ("assistant", label(index))]
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    write_jsonl(project.path / "test.jsonl", [row(f"customer question {i}", i) for i in range(60)])
    write_jsonl(project.path / "train.jsonl", [row(f"training question {i}", i) for i in range(200)])


def test_a_conversation_arrives_as_a_list_of_messages(project: Project) -> None:
    chat_project(project)
    project.file(
        "conftest.py",
        f"{RIGHT}"
        "def checked(messages):\n"
        "    assert type(messages) is list and [type(one) for one in messages] == [dict, dict]\n"
        "    assert messages[0] == {'role': 'system', 'content': 'Answer with a label.'}\n"
        "    assert messages[1]['role'] == 'user' and len(messages[1]) == 2\n"
        "    text = messages[1]['content']\n"
        "    messages[1]['content'] = 'spoiled'\n"
        "    messages[0].clear()\n"
        "    messages.append('spoiled')\n"
        "    return text\n"
        "def weak(messages):\n"
        "    text = checked(messages)\n"
        "    return right(text) if int(text.split()[-1]) < 40 else 'refund'\n"
        "async def good(messages): return right(checked(messages))\n"
        "@pytest.fixture\ndef ftgate_baseline(): return weak\n"
        "@pytest.fixture\ndef ftgate_candidate(): return good\n",
    )
    project.gate_test(baseline=..., candidate=..., repeats=2)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["candidate"]["n_scored"] == 120


# --- which callables are the same ----------------------------------------------------------------------------

STATEFUL = f"""import pytest
{LABELS}
class Model:
    asked = 0
    checkpoint = None
    def load(self, checkpoint): self.checkpoint = checkpoint
    def generate(self, text):
        self.asked += 1
        return right(text) if self.checkpoint != 'bad' else 'refund'
MODEL = Model()
def pytest_terminal_summary(terminalreporter): terminalreporter.write_line(f"asked {{MODEL.asked}} times")
"""
CHANGED = {
    "by its own parameter": (
        "@pytest.fixture(params=['good', 'bad'])\n"
        "def ftgate_candidate(request): MODEL.load(request.param); return MODEL.generate\n",
        "",
    ),
    "by the parameter of a fixture further out": (
        "@pytest.fixture(scope='session', params=['good', 'bad'])\n"
        "def checkpoint(request): return request.param\n"
        "@pytest.fixture(scope='session')\n"
        "def model(checkpoint): MODEL.load(checkpoint); return MODEL\n"
        "@pytest.fixture\n"
        "def ftgate_candidate(model): return model.generate\n",
        "",
    ),
    "by a parameter of the test": (
        "@pytest.fixture\ndef ftgate_candidate(checkpoint): MODEL.load(checkpoint); return MODEL.generate\n",
        "@pytest.mark.parametrize('checkpoint', ['good', 'bad'])\n",
    ),
    "indirectly": (
        "@pytest.fixture\ndef ftgate_candidate(request): MODEL.load(request.param); return MODEL.generate\n",
        "@pytest.mark.parametrize('ftgate_candidate', ['good', 'bad'], indirect=True)\n",
    ),
    "in a fixture that extends another": (
        "@pytest.fixture(params=['good', 'bad'])\n"
        "def checkpoint(request): return request.param\n"
        "@pytest.fixture\n"
        "def ftgate_candidate(checkpoint): MODEL.load(checkpoint); return MODEL.generate\n",
        "@pytest.fixture\ndef ftgate_candidate(ftgate_candidate): return ftgate_candidate\n",
    ),
}


@pytest.mark.parametrize(("fixtures", "before"), CHANGED.values(), ids=CHANGED)
def test_a_model_in_another_state_is_asked_anew(project: Project, fixtures: str, before: str) -> None:
    """Else one checkpoint would be judged by the answers of the one before it."""
    project.file("conftest.py", STATEFUL + fixtures)
    uses = "checkpoint, ftgate_candidate" if "'checkpoint'" in before else "ftgate_candidate"
    mark = project.mark(candidate=...)
    project.file("test_gate.py", f"import pytest\n{before}{mark}\ndef test_gate({uses}): pass\n")
    gates = {gate["nodeid"][-5:]: gate["verdict"] for gate in project.report()["gates"]}
    assert gates == {"good]": "pass", "[bad]": "fail"}
    project.result.stdout.fnmatch_lines(["asked 120 times"])


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("MODEL.generate", 60),
        ("functools.partial(MODEL.generate)", 120),
        ("{'provider': 'python', 'target': 'conftest:MODEL.generate'}", 60),
        ("{'provider': 'python', 'target': 'conftest:MODEL.generate', 'cache_key': MODEL.checkpoint}", 120),
    ],
)
def test_a_state_that_no_parameter_tells(project: Project, given: str, asked: int) -> None:
    """What the documentation says of it: another callable is asked anew, and so is another cache key."""
    project.file(
        "conftest.py", f"import functools\n{STATEFUL}@pytest.fixture\ndef ftgate_candidate(): return {given}\n"
    )
    mark = project.mark(candidate=...)
    project.file(
        "test_gate.py",
        "import pytest\nfrom conftest import MODEL\n@pytest.fixture\ndef good(): MODEL.load('good')\n"
        "@pytest.fixture\ndef bad(): MODEL.load('bad')\n"
        f"{mark}\ndef test_good(good, ftgate_candidate): pass\n{mark}\ndef test_bad(bad, ftgate_candidate): pass\n",
    )
    verdicts = [gate["verdict"] for gate in project.report()["gates"]]
    assert verdicts == ["pass", "pass" if asked == 60 else "fail"]
    project.result.stdout.fnmatch_lines([f"asked {asked} times"])


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_model_is_asked_once_by_all_gates_that_its_fixture_serves(project: Project, scope: str) -> None:
    project.file(
        "conftest.py", f"{STATEFUL}@pytest.fixture(scope={scope!r})\ndef ftgate_candidate(): return MODEL.generate\n"
    )
    mark = project.mark(candidate=...)
    project.file(
        "test_gate.py",
        f"import pytest\n{mark}\ndef test_one(ftgate_candidate): pass\n"
        f"@pytest.mark.parametrize('other', [1, 2])\n{mark}\ndef test_two(other): pass\n",
    )
    assert [gate["verdict"] for gate in project.report()["gates"]] == ["pass"] * 3
    project.result.stdout.fnmatch_lines(["asked 60 times"])


# --- in the body ---------------------------------------------------------------------------------------------


def test_a_model_that_fails_in_the_body_shows_the_body_and_the_reason(project: Project) -> None:
    python(project, "def answer(text):\n    if text == 'hello': raise ValueError('no idea')\n    return right(text)\n")
    project.gate_test(
        "def test_gate(ftgate_candidate):\n    assert ftgate_candidate('customer question 1') == 'invoice'\n"
        "    ftgate_candidate('hello')\n",
        candidate="python:own:answer",
    )
    project.pytester.syspathinsert()
    result = project.run()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "answer raised ValueError" in text
    assert "ValueError: no idea (own.py:5)" in text
    assert "ftgate_candidate('hello')" in text
    assert "pytest_ftgate/" not in text


def test_an_evaluation_that_fails_shows_the_body_and_the_reason(project: Project) -> None:
    project.file(
        "test_run.py", "def test_run(ftgate_evaluate):\n    ftgate_evaluate(lambda text: None, 'test.jsonl')\n"
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "<lambda>: 60 of 60 answers are missing (t0, t1, t2, t3, t4): <lambda> returned None" in text
    assert "pytest_ftgate/" not in text


@pytest.mark.parametrize("fixture", ["ftgate_candidate", "ftgate_test_set", "anything"])
def test_a_fixture_that_raises_is_shown_without_our_lines(project: Project, fixture: str) -> None:
    project.file("conftest.py", f"import pytest\n@pytest.fixture\ndef {fixture}():\n    raise OSError('no weights')\n")
    project.gate_test(f"def test_gate({fixture}): pass\n", **({} if fixture == "anything" else {fixture[7:]: ...}))
    result = project.run()
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "conftest.py:4: OSError" in text
    assert "pytest_ftgate/" not in text


def test_a_fixture_may_skip_its_test(project: Project) -> None:
    project.file("conftest.py", "import pytest\n@pytest.fixture\ndef ftgate_candidate(): pytest.skip('no GPU')\n")
    project.gate_test(candidate=...)
    assert project.report()["gates"] == []
    project.result.assert_outcomes(skipped=1)


@pytest.mark.parametrize("body", ["(pytest.skip('x') for _ in range(3))", "(sys.exit(0) for _ in range(3))"])
def test_a_generator_of_examples_may_not(project: Project, body: str) -> None:
    project.file("conftest.py", f"import pytest, sys\n@pytest.fixture\ndef ftgate_test_set(): return {body}\n")
    project.gate_test(test_set=...)
    assert refused(project).startswith("fixture ftgate_test_set, conftest.py:2, item 1: the iterable raised S")


# --- hooks ---------------------------------------------------------------------------------------------------


def example_of(hook: str) -> str:
    """The code in the hook's own documentation."""
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    return textwrap.dedent(text[text.rindex("\n", 0, text.index("# conftest.py")) + 1 :]) + "\n"


def test_the_documented_model_hook_works(project: Project) -> None:
    rows = [{"id": f"t{i}", "input": f"question {i}", "expected": f"QUESTION {i}"} for i in range(60)]
    write_jsonl(project.path / "test.jsonl", rows)
    answers = [{"id": f"t{i}", "output": f"QUESTION {i % 40}"} for i in range(60)]
    write_jsonl(project.path / "base.jsonl", answers)
    project.file("conftest.py", example_of("pytest_ftgate_model"))
    project.gate_test(candidate="echo:greeter")
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["candidate"]["value"] == 1
    assert gate["candidate"]["model"] == "echo:greeter"


def test_the_documented_loader_hook_works(project: Project) -> None:
    pairs = "".join(f"customer question {i}=>{label(i)}\n" for i in range(60))
    project.file("test.pairs", pairs)
    project.file("conftest.py", example_of("pytest_ftgate_load_examples"))
    project.gate_test(
        "def test_gate(ftgate_test_set, ftgate): assert len(ftgate_test_set) == ftgate.n == 60\n",
        test_set="test.pairs",
        baseline="python:own:weak",
        candidate="python:own:right",
    )
    weak = "def weak(text): return right(text) if int(text.split()[-1]) < 40 else 'refund'\n"
    project.file(OWN, RIGHT + weak)
    project.pytester.syspathinsert()
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["test_set"]["path"], gate["candidate"]["value"]) == ("test.pairs", 1)


def test_fields_and_limit_are_applied_to_what_a_loader_gives(project: Project) -> None:
    project.file("test.own", "")
    project.file(
        "conftest.py",
        f"{RIGHT}def pytest_ftgate_load_examples(path, options):\n"
        "    if path.suffix != '.own': return None\n"
        "    assert options == {'format': None, 'fields': {'input': 'question', 'expected': 'label'}, 'limit': 55}\n"
        "    rows = ((f't{i}', f'customer question {i}', LABELS[i % 3]) for i in range(99))\n"
        "    return (dict(zip(('id', 'question', 'label'), row)) for row in rows)\n",
    )
    project.gate_test(
        test_set={"path": "test.own", "fields": {"input": "question", "expected": "label"}, "limit": 55},
    )
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["test_set"]["examples"] == 55


def test_a_loader_may_read_a_folder(project: Project) -> None:
    """As the libraries of data sets keep them: there is no one file to hash, so the examples themselves are."""
    project.file(
        "conftest.py",
        "import json\n\n"
        "def pytest_ftgate_load_examples(path, options):\n"
        "    if path.suffix != '.shards': return None\n"
        "    return [json.loads(line) for shard in sorted(path.iterdir()) for line in shard.open()]\n",
    )
    lines = (project.path / "test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    project.file("test.shards/0", "".join(lines[:30]))
    project.file("test.shards/1", "".join(lines[30:]))
    project.gate_test(test_set="test.shards")
    first = project.gate()
    assert first["verdict"] == "pass", first["checks"]
    assert (first["test_set"]["path"], first["test_set"]["examples"]) == ("test.shards", 60)
    assert project.gate()["test_set"]["sha256"] == first["test_set"]["sha256"]
    project.file("test.shards/1", "".join(lines[30:59]))
    assert project.gate()["test_set"]["sha256"] != first["test_set"]["sha256"]


def test_the_documented_metric_hook_works(project: Project) -> None:
    project.file("conftest.py", example_of("pytest_ftgate_metrics"))
    answers = [{"id": f"t{i}", "output": "x" * (100 if i % 2 else 20)} for i in range(60)]
    write_jsonl(project.path / "base.jsonl", answers)
    project.gate_test(metric="brevity", allow_weak_baseline="one short answer to everything is as short")
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert (gate["baseline"]["value"], gate["candidate"]["value"]) == (0.5, 1)
    assert check(gate, "margin")["message"] == "gain over the baseline +50.0 points, asked for +5 points"


def test_the_documented_observer_hook_works(project: Project) -> None:
    project.file("conftest.py", example_of("pytest_ftgate_gate_finished"))
    project.gate_test(name="support")
    project.run("-s").stdout.fnmatch_lines(["*support pass*"])


@pytest.mark.parametrize("fault", ["1 / 0", "pytest.skip('x')", "pytest.exit('bye', 0)", "sys.exit(0)"])
@pytest.mark.parametrize(("margin", "verdict"), [(0.05, "pass"), (0.3, "fail")])
def test_an_observers_fault_changes_no_verdict_and_is_not_passed_over(
    project: Project, fault: str, margin: float, verdict: str
) -> None:
    project.file("conftest.py", f"import pytest, sys\ndef pytest_ftgate_gate_finished(result):\n    {fault}\n")
    project.gate_test(margin=margin)
    assert project.gate()["verdict"] == verdict
    project.result.assert_outcomes(**{"passed" if verdict == "pass" else "failed": 1})
    assert project.result.ret == 1
    project.result.stdout.fnmatch_lines(["the hook pytest_ftgate_gate_finished raised *(conftest.py:3)"])


HOOK_FAULTS = {
    "1 / 0": "raised ZeroDivisionError",
    "pytest.skip('no key')": "raised Skipped",
    "pytest.exit('bye', returncode=0)": "raised Exit",
    "sys.exit(0)": "raised SystemExit",
}


@pytest.mark.parametrize(("fault", "what"), HOOK_FAULTS.items(), ids=HOOK_FAULTS)
@pytest.mark.parametrize(
    ("hook", "keys"),
    [
        ("pytest_ftgate_model(spec)", {"candidate": "mine:x"}),
        ("pytest_ftgate_load_examples(path, options)", {}),
        ("pytest_ftgate_metrics()", {}),
    ],
)
def test_a_hook_that_fails_is_an_error_and_no_excuse(
    project: Project, hook: str, keys: dict[str, str], fault: str, what: str
) -> None:
    project.file("conftest.py", f"import pytest, sys\ndef {hook}:\n    {fault}\n")
    project.gate_test(**keys)
    assert refused(project) == f"the hook {hook.partition('(')[0]} {what}"
    advice = check(json.loads((project.path / "report.json").read_text())["gates"][0], "configuration")["advice"]
    assert "(conftest.py:3)" in advice


MODEL = """class Model:
    name = spelling = "mine"
    concurrency, timeout_s, retries, persistent, verified, price = 1, None, 0, False, None, None
    def key(self, example, repeat=0): return example.id
    async def complete(self, example, repeat=0):
        from pytest_ftgate import Completion
        return Completion(right(example.input))
    async def aclose(self): pass
"""
MODELS = {
    "return None": (False, "test_gate.py:4: candidate: unknown provider 'mine'"),
    "return 3": (False, "test_gate.py:4: candidate: a value of type int is not a model"),
    "return 'openai:gpt-4.1'": (False, "test_gate.py:4: candidate: a value of type str is not a model"),
    "return Model": (False, "test_gate.py:4: candidate: the class Model is no model"),
    "m = Model(); m.concurrency = 0; return m": (
        False,
        "test_gate.py:4: candidate: the model of type Model has the concurrency 0",
    ),
    "m = Model(); m.concurrency = None; return m": (
        False,
        "test_gate.py:4: candidate: the model of type Model has the concurrency None",
    ),
    "m = Model(); m.retries = -1; return m": (
        False,
        "test_gate.py:4: candidate: the model of type Model has the retries -1",
    ),
    "m = Model(); m.timeout_s = 'x'; return m": (
        False,
        "test_gate.py:4: candidate: the model of type Model has the timeout_s 'x'",
    ),
    "m = Model(); m.key = lambda example, repeat=0: None; return m": (
        False,
        "key() of the model mine returned a value of type NoneType, not text",
    ),
    "m = Model(); m.key = lambda example, repeat=0: 1 / 0; return m": (
        False,
        "key() of the model mine raised ZeroDivisionError",
    ),
    "m = Model(); m.complete = lambda example, repeat=0: 'x'; return m": (
        True,
        "candidate x: 60 of 60 answers missing (t0, t1, t2, t3, t4, ...): "
        "TypeError: object str can't be used in 'await' expression",
    ),
}


@pytest.mark.parametrize(("body", "found"), MODELS.items(), ids=MODELS)
def test_a_hook_that_gives_no_model(project: Project, body: str, found: tuple[bool, str]) -> None:
    project.file("conftest.py", f"{RIGHT}{MODEL}def pytest_ftgate_model(spec):\n    {body}\n")
    project.gate_test(candidate="mine:x")
    called, message = found
    assert refused(project, called=called) == message


def test_a_hook_that_gives_a_model_object(project: Project) -> None:
    project.file("conftest.py", f"{RIGHT}{MODEL}def pytest_ftgate_model(spec): return Model()\n")
    project.gate_test(candidate="mine:x")
    assert project.gate()["verdict"] == "pass"


def test_hooks_of_a_folder_are_seen_by_its_tests_alone(project: Project) -> None:
    hooks = example_of("pytest_ftgate_metrics") + (
        f"{RIGHT}def pytest_ftgate_model(spec):\n    if spec.provider == 'mine': return right\n"
        "def pytest_ftgate_gate_finished(result): print('finished:', result.nodeid)\n"
    )
    project.file("inside/conftest.py", hooks)
    mark = project.mark(candidate="mine:x", show=["brevity"])
    for name in ("test_set", "training_set"):
        mark = mark.replace(f"{name}='", f"{name}='../")
    mark = mark.replace("recorded:base", "recorded:../base")
    for folder in ("inside", "outside"):
        project.file(f"{folder}/test_{folder}.py", f"import pytest\n{mark}\ndef test_gate(): pass\n")
    report = project.report("-s")
    verdicts = {gate["nodeid"]: gate["verdict"] for gate in report["gates"]}
    assert verdicts == {"inside/test_inside.py::test_gate": "pass", "outside/test_outside.py::test_gate": "error"}
    assert report["gates"][0]["candidate"]["metrics"]["brevity"] == 1
    assert (
        check(report["gates"][1], "configuration")["message"]
        == "outside/test_outside.py:2: show[0]: there is no metric 'brevity'"
    )
    assert [line for line in project.result.outlines if "finished:" in line] == [
        "inside/test_inside.py finished: inside/test_inside.py::test_gate"
    ]


def test_a_model_that_skips_while_it_is_closed_excuses_nothing(project: Project) -> None:
    model = MODEL.replace("async def aclose(self): pass", "async def aclose(self): pytest.skip('x')")
    project.file("conftest.py", f"{RIGHT}{model}def pytest_ftgate_model(spec): return Model()\n")
    project.gate_test(candidate="mine:x")
    assert project.gate()["verdict"] == "error"
    assert project.result.ret == 1
