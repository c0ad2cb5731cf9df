"""Beside other plugins: a green gate stays green, a red one red, and each asks its models once.

The extra ``company`` of pyproject.toml installs them; those that are absent are skipped.
"""

import os
from collections.abc import Mapping
from typing import Any

import pytest
from gate_project import Project, write_jsonl

# By import name: how -p names the plugin, to switch it off in all runs but its own. The other package ftgate stays on:
# pytest takes "no:ftgate" for pytest_ftgate too.
PLUGINS: Mapping[str, str] = {
    "xdist": "xdist",
    "pytest_randomly": "randomly",
    "pytest_rerunfailures": "rerunfailures",
    "pytest_asyncio": "asyncio",
    "anyio": "anyio",
    "pytest_cov": "pytest_cov",
    "pytest_timeout": "timeout",
    "pytest_html": "html",
    "pytest_metadata": "metadata",
    "pytest_benchmark": "benchmark",
    "hypothesis": "hypothesispytest",
    "pytest_socket": "socket",
    "time_machine": "time_machine",
}
NEEDS = {"pytest_html": "pytest_metadata"}

CONFTEST = """
import pytest

LABELS = ("refund", "invoice", "shipping")
asked = []

def model(text):
    n = int(text.split()[-1])
    asked.append(n)
    return LABELS[n % 3]

@pytest.fixture
def ftgate_candidate(): return model

@pytest.fixture
def anyio_backend(): return "asyncio"

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"asked {len(asked)}")
"""

SLOW = """
import threading

def model(text):
    n = int(text.split()[-1])
    with open("asked.txt", "a", encoding="utf-8") as file:
        print(n, file=file)
    threading.Event().wait(60 if n == 50 else 0)
    return ("refund", "invoice", "shipping")[n % 3]
"""


def with_plugin(project: Project, plugin: str, *args: str) -> pytest.RunResult:
    """Run in a process of its own, with this plugin and without the others."""
    pytest.importorskip(plugin)
    plugins = {plugin, NEEDS.get(plugin)}
    switched_off = [f"-pno:{name}" for module, name in PLUGINS.items() if module not in plugins]
    return project.run_apart(*switched_off, "-pno:cacheprovider", *args, alone=False)


def write(
    project: Project, body: str = "def test_gate(ftgate): assert ftgate.n == 60\n", *, red: bool
) -> None:
    project.file("conftest.py", CONFTEST)
    project.gate_test(body, candidate=..., **({"margin": 0.4} if red else {}))


def judged_in_company(
    project: Project, plugin: str, *args: str, n_asked: int | None = 60, **options: str
) -> None:
    """The green project is green and the red one red, by the gate's word."""
    for red in (False, True):
        write(project, **options, red=red)
        result = with_plugin(project, plugin, *args)
        assert result.ret == int(red), result.stdout.str() + result.stderr.str()
        asked_lines = [f"asked {n_asked}"] if n_asked is not None and not red else []
        asked_lines += ["*FAIL  margin: *+33.3 points*"] if red else []
        for line in (
            *asked_lines,
            f"*ftgate test_gate.py::test_gate: {'FAIL' if red else 'PASS'}*",
        ):
            result.stdout.fnmatch_lines([line])


ASYNC = "async def test_gate(ftgate):\n    assert ftgate.n == 60\n"
ASYNCIO = f"@pytest.mark.asyncio\n{ASYNC}"
LOOP = ("-o", "asyncio_default_fixture_loop_scope=function")
BENCHMARK = "def test_gate(ftgate, benchmark):\n    assert benchmark(lambda: ftgate.n) == 60\n"
GIVEN = """@pytest.importorskip("hypothesis").given(x=pytest.importorskip("hypothesis.strategies").integers())
@pytest.importorskip("hypothesis").settings(max_examples=20, database=None)
def test_gate(x): assert isinstance(x, int)
"""
BESIDE: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "xdist": ("xdist", ("-n2",), {"n_asked": None}),
    "randomly, 1": ("pytest_randomly", ("--randomly-seed=1",), {}),
    "rerunfailures": ("pytest_rerunfailures", ("--reruns=2",), {}),
    "asyncio, strict": ("pytest_asyncio", (*LOOP, "-o", "asyncio_mode=strict"), {"body": ASYNCIO}),
    "asyncio, auto": ("pytest_asyncio", (*LOOP, "-o", "asyncio_mode=auto"), {"body": ASYNCIO}),
    "cov": ("pytest_cov", ("--cov=.", "--cov-report=term"), {}),
    "timeout, signal": ("pytest_timeout", ("--timeout=60", "--timeout-method=signal"), {}),
    "benchmark": (
        "pytest_benchmark",
        ("--benchmark-max-time=0.01", "--benchmark-min-rounds=1"),
        {"body": BENCHMARK},
    ),
    "anyio": ("anyio", (), {"body": f"@pytest.mark.anyio\n{ASYNC}"}),
    "hypothesis": ("hypothesis", (), {"body": GIVEN}),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_beside(project: Project, beside: str) -> None:
    """Shuffled tests, seeds, reruns, loops, timers and examples change no verdict, and no model is asked twice."""
    if beside == "timeout, signal" and os.name == "nt":
        pytest.skip("there are no signals")
    plugin, args, options = BESIDE[beside]
    project.file(
        "test_other.py",
        "import pytest\n@pytest.mark.parametrize('x', range(5))\ndef test_other(x): pass\n",
    )
    judged_in_company(project, plugin, *args, **options)


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_the_run_after_a_timeout_goes_on(project: Project, method: str) -> None:
    """It is an error whatever the test's marks say, keeps what was answered, and the next run asks the rest."""
    if method == "signal" and os.name == "nt":
        pytest.skip("there are no signals")
    project.file("slow.py", SLOW)
    project.keys["candidate"] = {"provider": "python", "target": "slow:model", "revision": "1"}
    project.gate_test("@pytest.mark.timeout(2)\n@pytest.mark.xfail\ndef test_gate(): pass\n")
    options = ("-pno:cacheprovider", f"--timeout-method={method}", "-o", "pythonpath=.")
    result = with_plugin(project, "pytest_timeout", *options)
    assert result.ret == 1
    if method == "signal":  # the other one ends the process
        result.stdout.fnmatch_lines(["*ftgate test_gate.py::test_gate: ERROR*"])
    project.file("slow.py", SLOW.replace("== 50", "== -1"))
    # The questions of a process that was ended are free again 20 s after it last claimed them.
    project.gate_test("@pytest.mark.timeout(60)\n@pytest.mark.xfail\ndef test_gate(): pass\n")
    result = with_plugin(project, "pytest_timeout", *options)
    assert result.ret == 0, result.stdout.str()
    asked_questions = (project.path / "asked.txt").read_text(encoding="utf-8").split()
    assert sorted(map(int, asked_questions)) == sorted([*range(51), *range(50, 60)])


def test_no_socket(project: Project) -> None:
    """Recorded answers need no socket; where an event loop needs one, the gate says which option allows it."""
    project.gate_test()
    assert with_plugin(project, "pytest_socket", "--disable-socket").ret == 0
    write(project, "def test_gate(): pass\n", red=False)
    result = with_plugin(project, "pytest_socket", "--disable-socket")
    assert result.ret == 1, result.stdout.str()
    result.stdout.fnmatch_lines(["*--allow-unix-socket*"])
    assert with_plugin(project, "pytest_socket", "--disable-socket", "--allow-unix-socket").ret == 0


@pytest.mark.parametrize(
    "frozen",
    ["freezegun.freeze_time('2020-01-01')", "time_machine.travel('2020-01-01', tick=False)"],
)
@pytest.mark.parametrize("hangs", [False, True])
def test_frozen_time(project: Project, frozen: str, hangs: bool) -> None:
    """Limits hold and latencies are measured where a session, a fixture or a body freezes the time."""
    plugin = frozen.partition(".")[0]
    pytest.importorskip(plugin)
    project.file(
        "conftest.py",
        f"import asyncio, pytest, {plugin}\n"
        f"@pytest.fixture(autouse=True)\ndef freeze():\n    with {frozen}:\n        yield\n\n\n"
        "async def model(text):\n    n = int(text.split()[-1])\n"
        f"    await asyncio.sleep({'60 if n == 7 else 0.05' if hangs else '0.05'})\n"
        "    return ('refund', 'invoice', 'shipping')[n % 3]\n",
    )
    project.gate_test(
        "def test_gate(ftgate, ftgate_candidate):\n"
        "    assert ftgate_candidate('question 1') == 'invoice'\n    assert ftgate.candidate.latency_p95_s > 0.04\n",
        candidate={"provider": "python", "target": "conftest:model", "timeout_s": 1, "retries": 0},
    )
    result = with_plugin(project, plugin, "-o", "pythonpath=.")
    assert result.ret == int(hangs), result.stdout.str()
    if hangs:
        result.stdout.fnmatch_lines(["*no answer within 1 s*"])


def test_html(project: Project) -> None:
    judged_in_company(project, "pytest_html", "--html=report.html", "--self-contained-html")
    page = (project.path / "report.html").read_text(encoding="utf-8")
    assert "ftgate test_gate.py::test_gate: FAIL" in page
    assert "FAIL  margin: " in page, "the whole block"


def test_the_other_package_called_ftgate(project: Project) -> None:
    """Its options and fixture beside ours, in one run."""
    turns = (
        {"role": "user", "content": "Where is {}?"},
        {"role": "assistant", "content": "{} is on its way"},
    )
    rows = [
        {"messages": [{**turn, "content": turn["content"].format(i * 7919)} for turn in turns]}
        for i in range(20)
    ]
    write_jsonl(project.path / "chat.jsonl", rows)
    judged_in_company(
        project,
        "ftgate",
        "--ftgate-dataset=chat.jsonl",
        "--ftgate-offline",
        "-pno:terminalprogress",
    )
    for option, *names in (
        ("--help", "--ftgate-dataset", "--ftgate-report"),
        ("--fixtures", "ftgate_lint", "ftgate_candidate"),
    ):
        text = with_plugin(project, "ftgate", option).stdout.str()
        assert all(name in text for name in names)


def test_all_of_them_at_once(project: Project) -> None:
    for module in PLUGINS:
        if module != "pytest_benchmark":
            pytest.importorskip(module)
    for red in (False, True):
        write(project, red=red)
        result = project.run_apart(
            "-n2",
            "-pno:benchmark",
            "--reruns=1",
            "--cov=.",
            "--timeout=60",
            "--html=report.html",
            alone=False,
        )
        assert result.ret == int(red), result.stdout.str()
        result.stdout.fnmatch_lines(
            [f"*ftgate test_gate.py::test_gate: {'FAIL' if red else 'PASS'}*"]
        )
