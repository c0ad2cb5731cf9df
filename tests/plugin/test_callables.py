"""Other people's code: models that are Python functions, and hooks. It may fail in every way, and excuses no gate."""

import inspect
import sys
import textwrap
from typing import Any

import pytest
from gate_project import SMALL, Project, check, label, mentions, passed, stopped, words

from pytest_ftgate import Completion, hookspecs
from pytest_ftgate.config import DataKeys
from pytest_ftgate.gate.state import DataSets

LABELS = "LABELS = ('refund', 'invoice', 'shipping')\ndef right(text): return LABELS[int(text.split()[-1]) % 3]\n"
RIGHT = (
    f"import asyncio, pytest, sys, threading, time; from pytest_ftgate import Completion\n{LABELS}"
)


def python(project: Project, body: str, **options: Any) -> None:
    """The candidate is ``own:answer``."""
    project.file("own.py", f"{RIGHT}{body}\n")
    project.file("tox.ini", "[pytest]\npythonpath = .\n")
    project.keys["candidate"] = {"provider": "python", "target": "own:answer", **options}
    project.gate_test()


# --- calls that take their time ------------------------------------------------------------------------------


def test_a_call_that_blocks_is_abandoned_and_the_process_ends(project: Project) -> None:
    python(project, "def answer(text): threading.Event().wait()", timeout_s=0.05, retries=0)
    mentions(stopped(project.gate(apart=True), called=True), "answer", "60 of 60", "0.05 s")


IN_CPP = """import numpy, scipy.fft
def answer(text):
    data = numpy.ones(2_000_000)
    while True: scipy.fft.fft(data)
"""


def test_a_call_that_goes_on_in_cpp_does_not_abort_the_process(project: Project) -> None:
    """And all that was registered for the end of the process is still done."""
    python(project, IN_CPP, timeout_s=0.5, retries=0)
    project.pytester.makeconftest("import atexit\natexit.register(print, 'at the end')\n")
    result = project.run_apart()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    result.stderr.no_fnmatch_line("*terminate*")
    assert result.outlines.count("at the end") == 1


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
def generate(text): return MODEL.generate(text)
def pytest_terminal_summary(terminalreporter): terminalreporter.write_line(f"asked {{MODEL.asked}} times")
"""
MODEL = """class Model:
    name = spelling = "mine"
    concurrency, timeout_s, retries, persistent = 1, None, 0, False
    def key(self, example, repeat=0): return example.id
    async def complete(self, example, repeat=0):
        from pytest_ftgate import Completion
        return Completion(right(example.input))
"""
BOTH = "params=['good', 'bad']"
CHECKPOINT = (
    f"@pytest.fixture(scope='session', {BOTH})\ndef checkpoint(request): return request.param\n"
)
LOADED = f"@pytest.fixture({BOTH})\ndef loaded(request): MODEL.load(request.param)\n"
OF_TEST = "@pytest.mark.parametrize('checkpoint', ['good', 'bad'])\n"


def candidate(
    needs: str, load: str = "request.param", gives: str = "generate", options: str = ""
) -> str:
    """Return a fixture that loads a checkpoint and gives a model."""
    return f"@pytest.fixture{options}\ndef ftgate_candidate({needs}): MODEL.load({load}); return {gives}\n"


FURTHER = "@pytest.fixture(scope='session')\ndef model(checkpoint): return checkpoint\n"
EXTENDING = "@pytest.fixture\ndef ftgate_candidate(ftgate_candidate): return ftgate_candidate\n"
INDIRECT = "@pytest.mark.parametrize('ftgate_candidate', ['good', 'bad'], indirect=True)\n"
USED = "@pytest.mark.usefixtures('{}')\n"
ASKING = candidate("request", "request.getfixturevalue('checkpoint')")
FINDING = candidate("request", "request.node.callspec.params['checkpoint']")
REVISION = "{'provider': 'python', 'target': 'own:generate', 'revision': '1'}"
TUNED = (
    f"{MODEL.replace('right', 'generate').replace('class Model', 'class Tuned')}TUNED = Tuned()\n"
)
GIVES = {"a revision": REVISION, "a name of the file": "'tuned'", "an object": "TUNED"}
CHANGED = {  # fixtures, what stands before the test, the candidate of its mark
    "by the parameter of a fixture further out": (
        f"{CHECKPOINT}{FURTHER}{candidate('model', 'model')}",
        "",
        "",
    ),
    "by a parameter of the test": (candidate("checkpoint", "checkpoint"), OF_TEST, ""),
    "indirectly": (candidate("request"), INDIRECT, ""),
    "by a fixture that is asked for in the body": (
        CHECKPOINT + ASKING,
        USED.format("checkpoint"),
        "",
    ),
    "by a parameter that the fixture finds itself": (FINDING, OF_TEST, ""),
    "in a fixture that extends another": (
        CHECKPOINT + candidate("checkpoint", "checkpoint"),
        EXTENDING,
        "",
    ),
    **{
        f"of {name}": (f"{TUNED}{candidate('request', gives=gives, options=f'({BOTH})')}", "", "")
        for name, gives in GIVES.items()
    },
    **{
        f"of the mark: {spelling}": (LOADED, USED.format("loaded"), spelling)
        for spelling in ("generate", "'python:own:generate'", REVISION, "'tuned'", "")
    },
    "by an autouse fixture": (LOADED.replace("params", "autouse=True, params"), "", "generate"),
}


@pytest.mark.parametrize(("fixtures", "first_body", "second_body"), CHANGED.values(), ids=CHANGED)
def test_a_model_in_another_state_is_asked_anew(
    project: Project, fixtures: str, first_body: str, second_body: str
) -> None:
    """Else one checkpoint would be judged by the answers of the one before it."""
    project.own(STATEFUL)
    project.file(
        "ftgate.yaml",
        "version: 1\nmodels: {tuned: 'python:own:generate'}\ndefaults: {candidate: tuned}\n",
    )
    project.file("conftest.py", f"import pytest\nfrom own import *\n{fixtures}")
    mark = project.mark(candidate=...)[:-1] + (
        f", candidate={second_body})" if second_body else ")"
    )
    uses = ["checkpoint"] * (first_body == OF_TEST) + ["ftgate_candidate"] * (
        "ftgate_candidate" in fixtures
    )
    test = f"{first_body}{mark}\ndef test_gate({', '.join(uses)}): pass\n"
    project.file("test_gate.py", f"import pytest\nfrom own import generate\n{test}")
    gates = {gate["nodeid"][-5:]: gate["verdict"] for gate in project.report()["gates"]}
    assert gates == {"good]": "pass", "[bad]": "fail"}
    project.result.stdout.fnmatch_lines(["asked 120 times"])


# --- in the body ---------------------------------------------------------------------------------------------


def test_a_model_that_fails_in_the_body_shows_the_body_and_the_reason(project: Project) -> None:
    python(
        project,
        "def answer(text):\n    if text == 'hello': raise ValueError('no idea')\n    return right(text)\n",
    )
    project.gate_test(
        "def test_gate(ftgate_candidate):\n    assert ftgate_candidate('customer question 1') == 'invoice'\n"
        "    ftgate_candidate('hello')\n"
        "def test_run(ftgate_evaluate):\n    ftgate_evaluate(lambda text: None, 'test.jsonl')\n",
    )
    result = project.run()
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    for fragment in (
        "ValueError: no idea (own.py:5)",
        "ftgate_candidate('hello')",
        "<lambda>",
        "60 of 60",
        "test.jsonl:1",
    ):
        assert fragment in text
    assert "pytest_ftgate/" not in text


def test_no_report_tells_the_secret_in_an_exception(project: Project) -> None:
    """As HTTP libraries quote the URL; the key is told from its place there."""
    url = "https://api.example.com/v1/models/m:generate?alt=sse&key=AIzaSy-1234567890"
    python(
        project,
        f"def answer(text): raise ValueError('401 for {url}, Bearer tok-1234567890')",
    )
    forms = [f"--ftgate-report={form}:out/{form}" for form in ("json", "markdown", "html")]
    result = project.run_apart("-vv", "-rA", "--showlocals", "--junitxml=out/junit.xml", *forms)
    assert result.ret == 1
    texts = [
        result.stdout.str(),
        *(path.read_text(encoding="utf-8") for path in (project.path / "out").iterdir()),
    ]
    assert len(texts) == 5
    assert not [text for text in texts if "1234567890" in text]
    assert "key=***" in texts[0]


def test_a_fixture_that_raises_is_shown_without_our_lines_and_one_may_skip(
    project: Project,
) -> None:
    raising = ("ftgate_candidate", "ftgate_test_set", "anything")
    fixtures = (
        f"@pytest.fixture\ndef {name}():\n    raise OSError('no weights')\n" for name in raising
    )
    skipping = "@pytest.fixture\ndef ftgate_baseline(): pytest.skip('no GPU')\n"
    project.file("conftest.py", f"import pytest\n{''.join(fixtures)}{skipping}")
    roles = ("candidate", "test_set", "baseline")
    tests = (
        f"{project.mark(**{role: ...})}\ndef test_{role}(ftgate_{role}): pass\n" for role in roles
    )
    project.file(
        "test_gate.py",
        f"import pytest\n{''.join(tests)}{project.mark()}\ndef test_any(anything): pass\n",
    )
    assert project.report()["gates"] == []
    project.result.assert_outcomes(errors=3, skipped=1)
    text = project.result.stdout.str()
    assert [f"conftest.py:{line}: OSError" in text for line in (4, 7, 10)] == [True] * 3
    assert "pytest_ftgate/" not in text


@pytest.mark.parametrize("excuse", [lambda: pytest.skip("x"), lambda: sys.exit(0)])
def test_a_generator_of_examples_may_not(project: Project, excuse: Any) -> None:
    mentions(
        stopped(project.judge(test_set=(excuse() for _ in range(3)))),
        "test_set[0]",
        "test_gate.py:4",
    )


def test_a_generator_is_read_once_for_all_gates_whatever_they_use_it_for() -> None:
    rows = ({"input": str(i), "expected": "x"} for i in range(3))
    data = DataSets()
    keys = DataKeys(path="objects")
    keys._rows = rows
    test = data.load(keys, "test_gate.py:4")
    assert data.load(keys, "test_gate.py:9", name="guards.old.test_set") is test


# --- hooks ---------------------------------------------------------------------------------------------------


def example_of(hook: str) -> str:
    """Return the code in the hook's own documentation."""
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    return textwrap.dedent(text[text.rindex("\n", 0, text.index("# conftest.py")) + 1 :]) + "\n"


def test_the_documented_hooks_work(project: Project) -> None:
    hooks = ("model", "load_examples", "metrics", "gate_finished")
    project.file("conftest.py", "".join(example_of(f"pytest_ftgate_{hook}") for hook in hooks))
    project.file(
        "test.pairs", "".join(f"customer question {i}=>CUSTOMER QUESTION {i}\n" for i in range(60))
    )
    project.own("def long(text): return text.upper() + 'x' * 90 * (int(text.split()[-1]) % 2)\n")
    keys = {"test_set": "test.pairs", "baseline": "python:own:long", "candidate": "echo:greeter"}
    project.gate_test(
        **keys, metric=["brevity", "exact_match"], name="support", checks={"weak_baseline": "warn"}
    )
    gate = passed(project.gate("-s"))
    assert (gate["test_set"]["path"], gate["n"], gate["candidate"]["model"]) == (
        "test.pairs",
        60,
        "echo:greeter",
    )
    assert (gate["baseline"]["value"], gate["candidate"]["metrics"]) == (
        0.5,
        {"brevity": 1, "exact_match": 1},
    )
    assert (check(gate, "margin")["observed"], check(gate, "margin")["required"]) == (0.5, 0.05)
    project.result.stdout.fnmatch_lines(["*support pass*"])


def test_fields_and_limit_are_applied_to_what_a_loader_gives_who_may_read_a_folder(
    project: Project,
) -> None:
    """As the libraries of data sets keep them: there is no one file to hash, so the examples themselves are."""
    questions = []

    class Hooks:
        def pytest_ftgate_load_examples(self, path: Any, options: Any) -> Any:
            if path.suffix != ".shards":
                return None
            questions.append(options)
            numbers = [
                int(line) for shard in sorted(path.iterdir()) for line in shard.read_text().split()
            ]
            return (
                {"id": f"t{i}", "question": f"customer question {i}", "label": label(i)}
                for i in numbers
            )

    def judged() -> dict[str, Any]:
        gate: dict[str, Any] = passed(project.judge(hook=Hooks(), test_set=test_set))["test_set"]
        return gate

    fields = {"input": "question", "expected": "label"}
    test_set = {"path": "test.shards", "fields": fields, "limit": 55}
    for name, numbers in {"0": range(30), "1": range(30, 99)}.items():
        project.file(f"test.shards/{name}", "\n".join(map(str, numbers)))
    first = judged()
    assert (first["path"], first["examples"], judged()["sha256"]) == (
        "test.shards",
        55,
        first["sha256"],
    )
    assert questions[0] == {"format": None, "fields": fields, "limit": 55}
    project.file("test.shards/1", "\n".join(map(str, range(31, 60))))
    assert judged()["sha256"] != first["sha256"]


ENDS = [
    ({}, "(): pass", "pass passed"),
    ({}, "(): assert 0", "pass failed"),
    ({}, "(): pytest.skip('x')", "pass skipped"),
    ({}, "(ends_badly): pass", "pass failed"),
    ({"margin": 0.3}, "(): pass", "fail failed"),
    ({"candidate": "recorded:none.jsonl"}, "(): pass", "error failed"),
    *(
        ({}, f"(request): request.node.outcome = '{outcome}'", "pass failed")
        for outcome in ("failed", "flaky")
    ),
]


def test_an_observer_hears_once_how_each_test_ended(project: Project) -> None:
    """Also as other plugins say: none can make a failed test look passed to what promotes a model."""
    hook = (
        "def pytest_ftgate_gate_finished(result, outcome): print('HEARD', result.verdict, outcome)\n"
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    report = yield\n    if call.when == 'call': report.outcome = getattr(item, 'outcome', report.outcome)\n"
        "    return report\n"
    )
    project.file(
        "conftest.py",
        f"import pytest\n{hook}@pytest.fixture\ndef ends_badly():\n    yield\n    assert 0\n",
    )
    tests = (
        f"{project.mark(**keys)}\ndef test_{i}{test}\n" for i, (keys, test, _) in enumerate(ENDS)
    )
    project.file("test_gate.py", f"import pytest\n\n{''.join(tests)}")
    lines = [line.partition("HEARD ")[2] for line in project.run("-s").outlines if "HEARD " in line]
    assert lines == [heard for *_, heard in ENDS]


@pytest.mark.parametrize(
    ("fault", "name"), [("1 / 0", "ZeroDivisionError"), ("pytest.exit('x', 0)", "Exit")]
)
def test_an_observers_fault_changes_no_verdict_and_is_not_passed_over(
    project: Project, fault: str, name: str
) -> None:
    project.file(
        "conftest.py",
        f"import pytest, sys\ndef pytest_ftgate_gate_finished(result):\n    {fault}\n",
    )
    project.gate_test()
    report = project.report(
        "--ftgate-report=markdown:report.md", "--ftgate-report=html:report.html"
    )
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"]
    project.result.assert_outcomes(passed=1)
    assert project.result.ret == 1

    # No report looks green.
    assert [error["name"] for error in report["unjudged"]] == ["session"]
    assert "raised" in report["unjudged"][0]["reason"]
    head = (project.path / "report.md").read_text(encoding="utf-8").splitlines()[:3]
    assert head[0] == "## ❌ ftgate: 1 of 1 gate passed, 1 error"
    assert head[2].startswith("- ❌ the hook pytest")
    page = (project.path / "report.html").read_text(encoding="utf-8")
    assert '<h1 class="fail">1 of 1 gate passed, 1 error</h1>' in page
    message = words(project.result).partition("the hook pytest_ftgate_gate_finished raised ")[2]
    assert message.count(name) == 1
    assert "(conftest.py:3)" in message


@pytest.mark.parametrize(
    ("body", "message", "called"),
    [
        ("pytest.skip('x')", "pytest_ftgate_model raised Skipped", False),
        ("return 3", "test_gate.py:4: candidate: a value of type int", False),
        ("return None", "'mine'", False),
        ("del Model.persistent; return Model()", "lacks persistent", False),
        *(
            (f"m = Model(); m.key = lambda *_: {key}; return m", "key() of the model mine", False)
            for key in ("None", "1 / 0")
        ),
        ("m = Model(); m.complete = lambda example, repeat=0: 'x'; return m", "TypeError", True),
    ],
)
def test_a_hook_that_gives_no_model(
    project: Project, body: str, message: str, called: bool
) -> None:
    project.file("conftest.py", f"{RIGHT}{MODEL}def pytest_ftgate_model(spec):\n    {body}\n")
    mentions(stopped(project.judge(candidate="mine:x"), called=called), message)


def test_a_loader_that_ends_the_process_is_an_error(project: Project) -> None:
    project.file(
        "conftest.py",
        "import sys\ndef pytest_ftgate_load_examples(path, options):\n    sys.exit(0)\n",
    )
    mentions(
        stopped(project.judge()), "pytest_ftgate_load_examples", "SystemExit", "(conftest.py:3)"
    )


def test_a_model_that_skips_while_it_is_closed_is_not_excused(project: Project) -> None:
    closing = f"{MODEL}    async def aclose(self): pytest.skip('x')\n"
    project.file("conftest.py", f"{RIGHT}{closing}def pytest_ftgate_model(spec): return Model()\n")
    project.gate_test(candidate="mine:x")
    assert (project.gate()["verdict"], project.result.ret) == ("error", 1)


def test_what_the_gate_says_of_a_hooks_model_holds(project: Project) -> None:
    """Also where the hook's object says something else, or nothing."""
    answer = "Completion(f'<think>hm</think>{right(example.input)}', 1, 1)"
    thinking = MODEL.replace("Completion(right(example.input))", answer)
    thinking += "    strip_reasoning = False\n"
    project.file("conftest.py", f"{RIGHT}{thinking}def pytest_ftgate_model(spec): return Model()\n")
    written = {"provider": "mine", "price": {"input_per_1m": 1e6, "output_per_1m": 0}}
    assert project.judge(candidate=written)["verdict"] == "fail"
    gate = passed(project.judge(candidate={**written, "strip_reasoning": "auto"}))
    assert gate["candidate"]["cost_usd"] == 60


def test_hooks_of_a_folder_are_seen_by_its_tests_alone(project: Project) -> None:
    hooks = example_of("pytest_ftgate_metrics") + (
        f"{RIGHT}def pytest_ftgate_model(spec):\n    if spec.provider == 'mine': return right\n"
        "def pytest_ftgate_gate_finished(result): print('finished:', result.nodeid)\n"
    )
    project.file("inside/conftest.py", hooks)
    mark = project.mark(candidate="mine:x", metric=["accuracy", "brevity"])
    for name in ("test_set", "training_set"):
        mark = mark.replace(f"{name}='", f"{name}='../")
    mark = mark.replace("recorded:base", "recorded:../base")
    for folder in ("inside", "outside"):
        project.file(
            f"{folder}/test_{folder}.py", f"import pytest\n{mark}\ndef test_gate(): pass\n"
        )
    report = project.report("-s")
    verdicts = {gate["nodeid"]: gate["verdict"] for gate in report["gates"]}
    assert verdicts == {
        "inside/test_inside.py::test_gate": "pass",
        "outside/test_outside.py::test_gate": "error",
    }
    assert report["gates"][0]["candidate"]["metrics"]["brevity"] == 1
    mentions(
        check(report["gates"][1], "configuration"),
        "outside/test_outside.py:2: metric[1]",
        "'brevity'",
    )
    heard = [
        line.partition("finished: ")[2] for line in project.result.outlines if "finished:" in line
    ]
    assert heard == ["inside/test_inside.py::test_gate"]


def priced(text: str) -> Completion:
    """Answer as a fine-tune does that reports its tokens."""
    return Completion(label(int(text.split()[-1])), input_tokens=1_000, output_tokens=20)


class Pipeline:
    """A model as those of scikit-learn are."""

    def predict(self, texts: list[str]) -> list[str]:
        return [priced(text).text for text in texts]


def test_a_callable_in_a_marker_has_a_price(project: Project) -> None:
    candidate = {"provider": "python", "target": priced, "price": SMALL, "name": "tuned"}
    gate = passed(project.judge(candidate=candidate))
    model = gate["candidate"]
    assert (model["name"], model["cost_usd"]) == ("tuned", pytest.approx(60 * 0.000324))


def test_an_object_in_a_marker_has_the_keys_of_a_function(project: Project) -> None:
    candidate = {
        "provider": "python",
        "target": Pipeline(),
        "batch_size": 7,
        "price": {"gpu_hour_usd": 1},
    }
    assert passed(project.judge(candidate=candidate))["candidate"]["cost_usd"] > 0


@pytest.mark.parametrize(("keys", "words"), [
    ({"target": 3}, "callable"), ({"target": priced, "workers": 2}, "workers"),
    ({"target": priced, "revision": "1"}, "revision"), ({"target": priced, "prize": SMALL}, "price"),
])  # fmt: skip
def test_a_callable_with_keys_that_do_not_fit_is_refused(
    project: Project, keys: dict[str, Any], words: str
) -> None:
    mentions(stopped(project.judge(candidate={"provider": "python", **keys})), words)
