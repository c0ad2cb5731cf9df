"""Any command as a metric: exit codes, numbers, and all that may go wrong with a process."""

import os
import signal
import sys
import threading
import time

import pytest

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import build_metric, command_run
from pytest_ftgate.metrics.command_run import environment

NUMBER = {"score": r"score (\S+)", "low": 0, "high": 10, "greater_is_better": True}
ECHO_SCORE = "import sys; print('score', sys.stdin.read())"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX")


@pytest.fixture
def command(tmp_path):
    """Return the metric of a Python program, written in a gate file in ``tmp_path``."""

    def command(code, **options):
        return made(tmp_path, argv=[sys.executable, "-S", "-c", code], **options)

    return command


def made(folder, **options):
    source = Source("file", "ftgate.yaml:14", folder)
    return build_metric(MetricSpec("command", options, source), labels=("x",), custom={})


def scored(metric, *answers):
    return metric.score(["x"] * len(answers), [list(answers)])


# --- scores --------------------------------------------------------------------------------------------------


def test_exit_code_zero_is_right_and_any_other_is_wrong(command):
    metric = command("import sys; sys.exit(int(sys.stdin.read()))")
    found = scored(metric, "0", "1", "2", "125", "255")
    assert found.per_example.tolist() == [1, 0, 0, 0, 0]
    assert found.exact == pytest.approx(0.2)
    assert (metric.kind, metric.low, metric.high, metric.greater_is_better) == ("right_wrong", 0, 1, True)
    assert metric.lenient() is None


def test_a_number_in_the_output_is_the_score(command):
    metric = command(ECHO_SCORE, **NUMBER)
    found = scored(metric, "7.5", "0", "1e1", "+.5")
    assert found.per_example.tolist() == [7.5, 0, 10, 0.5]
    assert (metric.kind, metric.low, metric.high) == ("graded", 0, 10)


def test_standard_error_is_output_too_and_the_exit_code_does_not_count_beside_a_number(command):
    code = "import sys; print('score 4', file=sys.stderr); sys.exit(3)"
    assert scored(command(code, **NUMBER), "x").value == 4


@pytest.mark.parametrize(("greater_is_better", "worst"), [(True, 0), (False, 10)])
def test_no_answer_is_the_worst_and_nothing_is_run(command, greater_is_better, worst):
    metric = command("raise SystemExit(127)", **{**NUMBER, "greater_is_better": greater_is_better})
    assert scored(metric, None, " \n").per_example.tolist() == [worst, worst]
    assert scored(command("raise SystemExit(127)"), None).value == 0


def test_the_answer_is_read_as_it_came(command, tmp_path):
    metric = command(f"import sys; open({str(tmp_path / 'seen')!r}, 'wb').write(sys.stdin.buffer.read())")
    scored(metric, " $(touch x); `rm` 'é'\n\n\ud800")
    assert (tmp_path / "seen").read_bytes() == " $(touch x); `rm` 'é'\n\n?".encode()


def test_equal_answers_are_run_once(command, tmp_path):
    metric = command(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')")
    metric.score(["x"] * 3, [["a", "a", "b"], ["a", "b", "b"]])
    scored(metric, "a")
    assert (tmp_path / "runs").read_text() == "xx"


def test_megabytes_of_an_answer_are_read_or_not_as_the_command_likes(command):
    assert scored(command("import sys; sys.exit(len(sys.stdin.read()) != 3_000_000)"), "line\n" * 600_000).value == 1
    assert scored(command("pass"), "x" * 3_000_000).value == 1


def test_several_run_at_once_and_no_more(command, tmp_path):
    """Each waits until as many as may run are there: one at a time, they would wait in vain."""
    code = (
        f"import os, sys, time; folder = {str(tmp_path)!r}; open(f'{{folder}}/{{os.getpid()}}.run', 'w').close()\n"
        "while len(found := [n for n in os.listdir(folder) if n.endswith('.run')]) < 3: time.sleep(0.01)"
    )
    assert scored(command(code, concurrency=3), "a", "b", "c").value == 1


def test_it_runs_in_the_folder_of_its_file(command, tmp_path):
    (tmp_path / "settings").touch()
    assert scored(command("import os, sys; sys.exit(not os.path.exists('settings'))"), "x").value == 1


def test_a_program_may_be_written_relative_to_the_file(tmp_path):
    script = tmp_path / "tools" / "check"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\ngrep -q right\n")
    script.chmod(0o755)
    assert scored(made(tmp_path, argv=["tools/check"]), "right", "wrong").per_example.tolist() == [1, 0]


def test_secrets_are_not_passed_on(command, monkeypatch):
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "DB_PASSWORD", "MY_SECRET"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden@proxy:80")
    monkeypatch.setenv("LANG_OF_TEST", "seen")
    code = "import os, sys; sys.exit('hidden' in str(os.environ) or 'LANG_OF_TEST' not in os.environ)"
    assert scored(command(code), "x").value == 1


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        *((name, True) for name in ("PATH", "HOME", "PWD", "OLDPWD", "GIT_AUTHOR", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")),
        *((name, False) for name in ("GITHUB_TOKEN", "apikey", "AWS_ACCESS_KEY_ID", "PGPASSWORD", "DB_PASS")),
        ("SENTRY_DSN", False),
    ],
)
def test_what_looks_like_a_secret_is_not_passed_on_and_all_else_is(name, passed):
    assert environment({name: "http://host:80/x@y"}) == ({name: "http://host:80/x@y"} if passed else {})


# --- trouble -------------------------------------------------------------------------------------------------

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
FLOOD = "import sys; sys.stdout.write('score 1 ' + 'x' * 5_000_000)"
QUOTE = "import sys; print(sys.stdin.read()); print('score 1')"
SHELL = "print('sh: no such'); raise SystemExit({})"


@pytest.mark.parametrize(
    ("code", "options", "answers", "words"),
    [
        ("print('nothing')", NUMBER, ["x"], [sys.executable, "nothing", "0"]),
        ("print('score: \u0664')", NUMBER, ["x"], ["score"]),  # digits are those of ASCII
        *((ECHO_SCORE, NUMBER, ["1", text], ["test_set[1]"]) for text in ("nan", "inf", "-inf", "1_0", "0x3", "five")),
        *((ECHO_SCORE, NUMBER, [text], ["between 0 and 10"]) for text in ("-0.1", "10.5", "1e999")),
        *((QUOTE, NUMBER, [text], ["2 different"]) for text in ("score 10", "score many")),  # it quotes the answer
        (FLOOD, NUMBER, ["x"], ["1,000,000"]),
        (CRASH, {}, ["x"], [f"signal {int(signal.SIGSEGV)}", "test_set[0]"]),
        (SHELL.format(126), {}, ["x"], ["126", "executed", "sh: no such"]),
        (SHELL.format(127), {}, ["x"], ["127", "not found", "sh: no such"]),
    ],
)
def test_what_gives_no_score_is_an_error_of_the_example(command, failure, code, options, answers, words):
    error = failure(command(code, **options), ["x"] * len(answers), answers)
    assert error.example == len(answers) - 1
    assert all(word in str(error) for word in words)


def test_what_is_said_twice_or_beyond_the_limit_may_still_be_a_score(command):
    assert scored(command(QUOTE, **NUMBER), "score 1.0").value == 1
    assert scored(command(FLOOD), "x").value == 1


def test_a_command_that_cannot_be_started_is_an_error(command, failure, tmp_path, monkeypatch):
    script = tmp_path / "check"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert failure(made(tmp_path, argv=["./check"]), "xxx", "xyz").example is not None

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert "No space left on device" in str(failure(command("pass"), "xx", "xy"))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true):
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


SLEEP_WITH_CHILD = (
    "import subprocess, sys, os\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
    "open({path!r} + sys.stdin.read(), 'w').write(f'{{os.getpid()}} {{child.pid}} ')\n"
    "{end}"
)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes in /proc")
@pytest.mark.parametrize("end", ["child.wait()", "pass"])
def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(command, failure, tmp_path, end):
    """Also one that ends in time, and leaves a child behind that holds on to its output."""
    metric = command(SLEEP_WITH_CHILD.format(path=str(tmp_path / "pids"), end=end), timeout_s=1)
    error = failure(metric, "x", "a")
    assert (error.example, "1 s" in error.what) == (0, True)
    pids = [int(pid) for pid in (tmp_path / "pidsa").read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_the_first_that_fails_stops_all_others(command, failure):
    """Else a linter that hangs would take its time for every answer."""
    metric = command(
        "import sys, time; time.sleep(0 if sys.stdin.read() == 'ok' else 600)", timeout_s=0.5, concurrency=2
    )
    started = time.monotonic()
    assert "0.5 s" in failure(metric, ["x"] * 201, ["ok", *(f"{i}" for i in range(200))]).what
    assert time.monotonic() - started < 40  # 50 s were each of them waited for


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes in /proc")
def test_ctrl_c_kills_what_runs(command, tmp_path):
    metric = command(SLEEP_WITH_CHILD.format(path=str(tmp_path / "pids"), end="child.wait()"), concurrency=2)
    files = [tmp_path / "pidsa", tmp_path / "pidsb"]

    def interrupt():
        wait_until(lambda: all(file.exists() and file.read_text().endswith(" ") for file in files))
        os.kill(os.getpid(), signal.SIGINT)

    user = threading.Thread(target=interrupt)
    user.start()
    with pytest.raises(KeyboardInterrupt):
        scored(metric, "a", "b", "c", "d")
    user.join()
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    wait_until(lambda: not any(alive(pid) for pid in pids))
    assert not (tmp_path / "pidsc").exists()


def test_no_process_is_left_in_the_books(command, monkeypatch):
    started = []
    real = command_run.subprocess.Popen

    class Seen(real):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(command_run.subprocess, "Popen", Seen)
    metric = command("pass")
    scored(metric, *"abcdef")
    assert len(started) == 6
    assert all(process.returncode == 0 and process.stdout.closed for process in started)
    assert not metric.runner._running


def test_a_file_that_may_not_be_executed_is_refused(tmp_path):
    (tmp_path / "check.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match=r"chmod \+x"):
        made(tmp_path, argv=["./check.sh"])
