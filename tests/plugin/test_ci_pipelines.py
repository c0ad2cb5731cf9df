"""The pipelines that users copy: every step that is a script is run, in a repository with a gate on an endpoint.

What cannot run here stands on the PATH as a stub: ``pip install``, and ``gh``. ``git push`` goes to a bare
repository.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_project import EndpointProject, answer, index_of
from gate_project import ALONE
from loopback import LoopbackServer, Reply, Request

import pytest_ftgate

pytestmark = pytest.mark.skipif(
    not shutil.which("git") or not shutil.which("bash"), reason="there is no git or bash"
)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
ACTION = ROOT / ".github" / "actions" / "ftgate" / "action.yml"
PULL_REQUEST = EXAMPLES / "github" / "pull-request.yml"
NIGHTLY = EXAMPLES / "github" / "nightly.yml"
GITLAB = EXAMPLES / "gitlab" / ".gitlab-ci.yml"
(INI,) = re.findall(
    r"```ini\n(.*?)```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
KEY = "sk-of-the-nightly-run"
PUSH_URL = "https://ftgate:push-token@gitlab.example/group/project.git"

PYTHON = f"""#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then echo "$(printf '%s|' "$@")" >> "$STUBS/pip.log"; exit 0; fi
exec "{sys.executable}" "$@"
"""
GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$STUBS/gh.log"
case "$1 $2 $3" in
  "pr list "*) cat "$STUBS/open" 2>/dev/null;;
  "api --method "*) test ! -e "$STUBS/read-only" && for body; do :; done && cp "${body#body=@}" "$STUBS/comment.md";;
  "api "*) cat "$STUBS/comments" 2>/dev/null;;
esac || { test ! -e "$STUBS/read-only" || { echo "gh: HTTP 403" >&2; exit 1; }; }
"""
POST_RECEIVE = """#!/bin/sh
i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "echo \\"\\$GIT_PUSH_OPTION_$i\\"" >> options
  i=$((i + 1))
done
"""


# --- running what a pipeline runs ----------------------------------------------------------------------------


class Checkout:
    """A clone as a runner makes it, of a project whose gate is on two models of one endpoint."""

    def __init__(self, http: EndpointProject, folder: Path) -> None:
        self.http = http
        self.bare = folder / "remote.git"
        self.path = folder / "checkout"
        self.stubs = folder / "stubs"
        self.stubs.mkdir()
        for name, text in (("python", PYTHON), ("gh", GH)):
            (self.stubs / name).write_text(text)
            (self.stubs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{self.stubs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "STUBS": str(self.stubs),
            "CI": "true",
            "PYTHONPATH": os.pathsep.join([str(Path(pytest_ftgate.__file__).parents[1])]),
            "PYTEST_ADDOPTS": " ".join((*ALONE, "-pno:cacheprovider")),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        (folder / ".gitconfig").write_text(
            f'[init]\n\tdefaultBranch = main\n[url "{self.bare.as_uri()}"]\n\tinsteadOf = {PUSH_URL}\n'
            "[user]\n\tname = t\n\temail = t@example.org\n"
        )
        self._write_project()
        self.git("init", "-q", "--bare", str(self.bare), cwd=folder)
        (self.bare / "hooks").mkdir(exist_ok=True)
        (self.bare / "hooks" / "post-receive").write_text(POST_RECEIVE)
        (self.bare / "hooks" / "post-receive").chmod(0o755)
        self.git("config", "receive.advertisePushOptions", "true", cwd=self.bare)
        self.git("init", "-q", cwd=self.http.path)
        self.git("remote", "add", "origin", self.bare.as_uri(), cwd=self.http.path)
        self.publish()

    def _write_project(self) -> None:
        model = {
            "provider": "openai",
            "base_url": self.http.server.url,
            "api_key_env": "OPENAI_API_KEY",
            "retries": 0,
        }
        model["price"] = {"input_per_1m": 1.0, "output_per_1m": 1.0}
        prompted = {**model, "model": "base", "system_file": "prompt.md"}
        models = {"prompted": prompted, "tuned": {**model, "model": "ft"}}
        gate = {**self.http.keys, "baseline": "prompted", "candidate": "tuned"}
        self.http.file(
            "ftgate.yaml",
            yaml.safe_dump({"version": 1, "models": models, "gates": {"support": gate}}),
        )
        self.http.file("prompt.md", "Answer with one label.")
        self.http.file("pytest.ini", INI)
        self.http.file(
            "gates/test_gate.py",
            "import pytest\n@pytest.mark.ftgate('support')\ndef test_gate(): pass\n",
        )
        self.http.file(".gitignore", ".ftgate/\n__pycache__/\nreports/\n")
        for name in ("base.jsonl", "ft.jsonl"):
            (self.http.path / name).unlink()

    def git(self, *args: str, cwd: Path | None = None) -> str:
        environment = {**self.environment, "PATH": os.environ["PATH"]}
        output = subprocess.check_output(
            ["git", *args], cwd=cwd or self.path, env=environment, text=True, timeout=60
        )
        return output.strip()

    def publish(self) -> None:
        """Commit what has changed, and push it to the main branch."""
        self.git("add", "-A", cwd=self.http.path)
        self.git("commit", "-q", "--allow-empty", "-m", "change", cwd=self.http.path)
        self.git("push", "-q", "origin", "HEAD:main", cwd=self.http.path)

    def change(self, name: str, text: str) -> None:
        self.http.file(name, text)
        self.publish()

    def merge_recordings(self) -> None:
        """What a nightly run has proposed goes to the main branch."""
        self.git("pull", "-q", "--ff-only", "origin", "ftgate/recordings", cwd=self.http.path)
        self.publish()

    def run(
        self, script: str, *flags: str, shell: str = "bash", folder: str = ".", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = (
            [str(self.stubs / "python"), "-c", script]
            if shell == "python"
            else ["bash", *flags, "-c", script]
        )
        return subprocess.run(
            command, cwd=self.path / folder, env={**self.environment, **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def checkout(self) -> None:
        """As a runner does: the whole history, at a commit and on no branch."""
        if self.path.exists():
            shutil.rmtree(self.path)
        self.git("clone", "-q", self.bare.as_uri(), str(self.path), cwd=self.bare.parent)
        self.git("checkout", "-q", "--detach")
        self.http.forget()

    def github(self, workflow: Path, secrets: Mapping[str, str], **values: str) -> dict[str, Any]:
        """Run a job as a runner does, with these inputs of our action.

        Returns what became of each step by its name, and the output of all.
        """
        self.checkout()
        (job,) = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
        outcomes: dict[str, Any] = {"output": ""}
        failed = False
        for step, inputs in self._steps(job, values):
            name = step.get("name", step.get("uses"))
            always = "always()" in str(step.get("if")) or "!cancelled()" in str(step.get("if"))
            if "uses" in step or (failed and not always):
                outcomes[name] = None
                continue
            environment = {
                key: self._expanded(value, {**secrets, **inputs})
                for key, value in step.get("env", {}).items()
            }
            environment |= {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "us/repo"}
            environment |= {
                "GITHUB_WORKSPACE": str(self.path),
                "GITHUB_STEP_SUMMARY": str(self.stubs / "summary.md"),
            }
            folder = self._expanded(step.get("working-directory", "."), inputs)
            done = self.run(
                step["run"], "-e", shell=step.get("shell", "bash"), folder=folder, **environment
            )
            outcomes[name] = done.returncode
            outcomes["output"] += done.stdout + done.stderr
            failed = failed or done.returncode != 0
        outcomes["job"] = "failure" if failed else "success"
        return outcomes

    @staticmethod
    def _steps(
        job: Any, values: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, Any], Mapping[str, str]]]:
        """Yield the steps of a job, and those of our action with its inputs, in their order."""
        action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
        for step in job["steps"]:
            if "/actions/ftgate@" not in step.get("uses", ""):
                yield step, {}
                continue
            inputs = (
                {key: values_of["default"] for key, values_of in action["inputs"].items()}
                | step["with"]
                | values
            )
            for inner in action["runs"]["steps"]:
                yield inner, {f"inputs.{key}": value for key, value in inputs.items()}

    @staticmethod
    def _expanded(value: str, values: Mapping[str, str]) -> str:
        defaults = {
            "FTGATE_TOKEN || github.token": values.get("FTGATE_TOKEN", "github-token"),
            "github.action_path": str(ACTION.parent),
            "github.event.merge_group.base_sha || github.base_ref": "main",
            "github.token": "github-token",
            "github.event.pull_request.number": "7",
            "OPENAI_API_KEY": "",
        }
        return re.sub(
            r"\$\{\{ (?:secrets\.)?(.*?) \}\}",
            lambda match: {**defaults, **values}[match[1]],
            value,
        )

    def gitlab(self, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a job as a runner does: all lines in one shell that stops at the first that fails."""
        self.checkout()
        keys = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))[job]
        if job == "ftgate":
            self.git("commit", "-q", "--allow-empty", "-m", "a merge request")
            variables = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", **variables}
        done = self.run("\n".join(keys["script"]), "-eo", "pipefail", **variables)
        for line in keys.get("after_script", ()):
            self.after = self.run(line, "-eo", "pipefail", **variables)
        return done

    def asked(self, stub: str) -> list[str]:
        path = self.stubs / f"{stub}.log"
        return path.read_text().splitlines() if path.exists() else []

    def branches(self) -> set[str]:
        return set(self.git("for-each-ref", "--format=%(refname:short)", cwd=self.bare).split())

    def proposed(self) -> list[str]:
        """Return the files that the nightly branch changes."""
        return self.git(
            "diff", "--name-only", "main", "ftgate/recordings", cwd=self.bare
        ).splitlines()

    def report(self) -> dict[str, Any]:
        (path,) = (self.path / "reports").rglob("ftgate.json")
        (gate,) = json.loads(path.read_text())["gates"]
        return gate  # type: ignore[no-any-return]


@pytest.fixture
def checkout(
    pytester: pytest.Pytester, server: LoopbackServer, tmp_path: Path, no_ambient_settings: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Checkout:  # fmt: skip
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return Checkout(EndpointProject(pytester, server), tmp_path)


def nightly(checkout: Checkout, **secrets: str) -> dict[str, Any]:
    return checkout.github(NIGHTLY, {"OPENAI_API_KEY": KEY, **secrets})


def gitlab_nightly(checkout: Checkout, **variables: str) -> subprocess.CompletedProcess[str]:
    secrets = {"OPENAI_API_KEY": KEY, "FTGATE_TOKEN": "push-token", "CI_SERVER_HOST": "gitlab.example",
             "CI_PROJECT_PATH": "group/project", "CI_DEFAULT_BRANCH": "main"}  # fmt: skip
    return checkout.gitlab("ftgate-nightly", **{**secrets, **variables})


def worse(body: dict[str, Any]) -> str:
    """Return answers of a candidate that got worse over night: it equals the baseline."""
    return answer({**body, "model": "base"})


ANSWERS = ["recordings/support.baseline.jsonl", "recordings/support.candidate.jsonl"]
RECORDED = [*ANSWERS, "recordings/support.green.json"]


# --- GitHub Actions ------------------------------------------------------------------------------------------


def test_github_from_the_first_recording_to_a_miss(checkout: Checkout) -> None:
    """Nothing is recorded; a night records; pull requests are judged without a key; an edited prompt is red."""
    first_run = checkout.github(PULL_REQUEST, {})
    assert (first_run["job"], first_run["Judge the recorded answers"]) == ("failure", 1)
    assert "answers missing" in first_run["output"]

    night = nightly(checkout)
    assert night["job"] == "success", night["output"]
    assert checkout.proposed() == RECORDED
    assert {headers["authorization"] for headers in checkout.http.server.headers} == {
        f"Bearer {KEY}"
    }
    listed, created = checkout.asked("gh")[-2:]
    assert listed.startswith("pr list --head ftgate/recordings")
    assert created == (
        "pr create --head ftgate/recordings --title Recorded answers have changed --body-file reports/ftgate.md"
    )
    assert "✅ support: PASS" in (checkout.path / "reports" / "ftgate.md").read_text()

    checkout.merge_recordings()
    green = checkout.github(PULL_REQUEST, {})
    assert green["job"] == "success", green["output"]
    assert checkout.http.server.requests == []
    assert checkout.report()["verdict"] == "pass"
    assert sorted(path.name for path in (checkout.path / "reports" / "ftgate").iterdir()) == [
        "comment.log", "comment.md", "ftgate.html", "ftgate.json", "ftgate.md", "junit.xml",
    ]  # fmt: skip
    assert "✅ support: PASS" in (checkout.stubs / "summary.md").read_text()
    assert checkout.asked("gh")[-1].startswith("api --method POST repos/us/repo/issues/7/comments ")
    (checkout.stubs / "comments").write_text("12\n34\n")

    checkout.git("branch", "-D", "ftgate/recordings", cwd=checkout.bare)
    calls = checkout.asked("gh")
    second_run = nightly(checkout)  # the same answers open no change
    assert (second_run["job"], "no answer has changed" in second_run["output"]) == ("success", True)
    assert len(checkout.http.server.bodies) == 120
    assert (checkout.branches(), checkout.asked("gh")) == ({"main"}, calls)

    # an open change is brought up to date, also by a red verdict; a pull request of a fork cannot be commented on
    checkout.http.server.answer = worse
    (checkout.stubs / "open").write_text("7\n")
    night = nightly(checkout)
    assert (night["job"], night["Ask the models again"], night["Open a pull request"]) == (
        "failure",
        1,
        0,
    )
    assert checkout.asked("gh")[-1] == "pr edit ftgate/recordings --body-file reports/ftgate.md"
    checkout.merge_recordings()
    (checkout.stubs / "read-only").touch()
    fork = checkout.github(PULL_REQUEST, {})
    assert (fork["job"], checkout.report()["verdict"]) == ("failure", "fail")
    assert fork["Comment on the pull request"] == 0
    assert (
        "::notice::the comment on the pull request could not be written: gh: HTTP 403"
        in fork["output"]
    )
    (checkout.stubs / "read-only").unlink()

    checkout.change("prompt.md", "Answer with one label, and nothing else.")
    assert checkout.github(PULL_REQUEST, {})["job"] == "failure"
    assert checkout.report()["verdict"] == "error"
    assert (
        "support: ERROR"
        in (checkout.stubs / "summary.md").read_text().partition("support: PASS")[2]
    )
    assert checkout.http.server.requests == []
    by_action, by_nightly = (
        f"-m|pip|install|{ROOT}[report]|",
        "-m|pip|install|pytest-ftgate[prices,report]|",
    )
    assert set(checkout.asked("pip")) == {by_action, by_nightly}
    assert checkout.asked("gh")[-1].startswith(
        "api --method PATCH repos/us/repo/issues/comments/12 "
    )
    comment = (checkout.stubs / "comment.md").read_text()
    assert comment.startswith("<!-- pytest-ftgate: ftgate -->\n")
    assert "support: ERROR" in comment


def test_github_inputs_are_split_as_in_a_shell(checkout: Checkout) -> None:
    """A second use in one job has reports of its own; what it installs and asks for may have blanks and lines."""
    for path in [path for path in checkout.http.path.iterdir() if path.name != ".git"]:
        (checkout.http.path / "a project").mkdir(exist_ok=True)
        path.rename(checkout.http.path / "a project" / path.name)
    checkout.publish()
    inputs = {
        "name": 'a "second"',
        "working-directory": "a project",
        "install": "-r 'our tests.txt'\nnumpy",
    }
    done = checkout.github(
        PULL_REQUEST, {}, **inputs, arguments='-k "nothing or else"\n--strict-markers'
    )
    assert checkout.asked("pip") == [f"-m|pip|install|{ROOT}[report]|-r|our tests.txt|numpy|"]
    assert done["Judge the recorded answers"] != 0
    reports = checkout.path / "a project" / "reports" / 'a "second"'
    assert "1 deselected" in done["output"], done["output"]
    assert (reports / "comment.md").read_text().startswith('<!-- pytest-ftgate: a "second" -->\n')
    assert any("startswith(env.MARK)" in command for command in checkout.asked("gh"))


def test_github_what_could_not_be_judged_is_not_recorded(checkout: Checkout) -> None:
    """No key; an answer is missing; too expensive."""
    gates = (checkout.http.path / "ftgate.yaml").read_text()
    for key, missing, price in (("", -1, "1.0"), (KEY, 7, "1.0"), (KEY, -1, "1000000.0")):
        checkout.http.server.answer = lambda body, missing_rows=missing: (
            answer(body) if index_of(body) != missing_rows else 1 / 0
        )  # type: ignore[misc]
        checkout.change("ftgate.yaml", gates.replace("input_per_1m: 1.0", f"input_per_1m: {price}"))
        night = nightly(checkout, OPENAI_API_KEY=key)
        assert (night["job"], night["Open a pull request"]) == ("failure", 1)
        assert "nothing is recorded" in night["output"]
    assert (checkout.branches(), checkout.asked("gh")) == ({"main"}, [])


def test_github_in_a_merge_queue_the_base_is_the_commit_that_it_merges_into(
    checkout: Checkout,
) -> None:
    """The branch may be behind it, and ``github.base_ref`` is empty; other events have no base."""
    checkout.checkout()
    queued = checkout.git("rev-parse", "origin/main")
    checkout.change("gates/test_later.py", "def test_later(): pass\n")
    checkout.checkout()
    (step,) = (
        step
        for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]
        if "BASE" in step.get("env", {})
    )
    candidate = {"CANDIDATE": "ftgate.yaml recordings/*.candidate.jsonl"}
    done = checkout.run(step["run"], shell="python", BASE=queued, **candidate)
    assert done.returncode == 0, done.stderr
    assert not (checkout.path / "gates/test_later.py").exists()
    done = checkout.run(step["run"], shell="python", BASE="", **candidate)
    assert (done.returncode, "pull_request or merge_group" in done.stderr) == (1, True)


# --- GitLab CI -----------------------------------------------------------------------------------------------


def test_gitlab_from_the_first_recording_to_a_miss(checkout: Checkout) -> None:
    """What could not be judged is not proposed, a red verdict is; one note is kept on the merge request."""
    night = gitlab_nightly(checkout, OPENAI_API_KEY="")
    assert (night.returncode, "nothing is recorded" in night.stderr, checkout.branches()) == (
        1,
        True,
        {"main"},
    )
    night = gitlab_nightly(checkout)
    assert night.returncode == 0, night.stdout + night.stderr
    assert checkout.proposed() == RECORDED
    assert (checkout.bare / "options").read_text().splitlines() == [
        "merge_request.create", "merge_request.target=main", "merge_request.title=Recorded answers have changed",
    ]  # fmt: skip
    checkout.merge_recordings()
    calls: list[tuple[str, str, str]] = []
    variables = {**notes_of(checkout, calls), "FTGATE_COMMENT_TOKEN": "note-token"}
    green = checkout.gitlab("ftgate", **variables)
    assert (green.returncode, checkout.after.returncode) == (0, 0), (
        green.stdout + checkout.after.stderr
    )
    assert all(
        "/notes" in request.path or request.path == "/user"
        for request in checkout.http.server.requests
    )
    assert "::error" not in green.stdout
    (checkout.bare / "options").unlink()
    second_run = gitlab_nightly(checkout)
    assert (second_run.returncode, "no answer has changed" in second_run.stdout) == (0, True)
    assert not (checkout.bare / "options").exists()
    checkout.change("prompt.md", "Answer with one label, and nothing else.")
    assert checkout.gitlab("ftgate", **variables).returncode == 1
    assert checkout.report()["verdict"] == "error"
    assert checkout.after.returncode == 0, checkout.after.stderr
    checkout.http.server.answer = worse
    assert gitlab_nightly(checkout).returncode == 1
    assert {*ANSWERS} <= {*checkout.proposed()}
    checkout.gitlab("ftgate", **{**variables, "FTGATE_COMMENT_TOKEN": ""})
    written = [(method, where) for method, where, _ in calls if method != "GET"]
    path = "/projects/3/merge_requests/7/notes"
    assert written == [("POST", path), ("PUT", f"{path}/2")]
    assert {token for *_, token in calls} == {"note-token"}


def notes_of(checkout: Checkout, calls: list[tuple[str, str, str]]) -> dict[str, str]:
    """Serve the notes of a merge request on two pages, ours on the second; return the variables of its job."""
    path = "/projects/3/merge_requests/7/notes"
    strangers = [{"id": 1, "body": "<!-- pytest-ftgate -->\nnot ours", "author": {"id": 5}}]
    notes: list[dict[str, Any]] = []

    def api(request: Request) -> Reply:
        where, _, query = request.path.partition("?")
        calls.append((request.method, where, request.headers["private-token"]))
        if request.method != "GET":
            assert request.body["body"].startswith("<!-- pytest-ftgate -->\n")
            notes[:] = [{"id": 2, "author": {"id": 4}, **request.body}]
        last = query.endswith("&page=2")
        reply: object = {"id": 4} if where == "/user" else notes if last else strangers
        return Reply(body=reply, headers={"X-Next-Page": "" if last or where == "/user" else "2"})

    server = checkout.http.server
    server.replies |= dict.fromkeys(
        ("GET /user", f"GET {path}", f"POST {path}", f"PUT {path}/2"), api
    )
    return {
        "CI_API_V4_URL": server.url.removesuffix("/v1"),
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
    }


# --- what is written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PULL_REQUEST, NIGHTLY, ACTION], ids=lambda path: path.name)
def test_actions_are_pinned_and_no_script_has_an_expression(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for action in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(
            r"actions/[\w-]+@(v\d+|[0-9a-f]{40}  # v\d+\.\d+\.\d+)|"
            r"pytest-ftgate/pytest-ftgate/\.github/actions/ftgate@v[\d.]+",
            action,
        )
    written = yaml.safe_load(text)
    (steps,) = [
        job["steps"]
        for job in ([written["runs"]] if "runs" in written else written["jobs"].values())
    ]
    # an expression in a script is an injection
    assert not any("${{" in step.get("run", "") for step in steps)
    assert steps[-1].get("if", "always()") == "always()"
    known_keys = {"name", "id", "if", "uses", "with", "run", "shell", "env", "working-directory"}
    # GitHub refuses a workflow with another one
    assert {key for step in steps for key in step} <= known_keys
    of_job = {"runs-on", "timeout-minutes", "permissions", "environment", "env", "steps"}
    assert {key for job in written.get("jobs", {}).values() for key in job} <= of_job


@pytest.mark.parametrize(("path", "contents"), [(PULL_REQUEST, "read"), (NIGHTLY, "write")])
def test_a_workflow_has_limits_and_no_right_or_secret_too_many(path: Path, contents: str) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": contents, "pull-requests": "write"}
    assert "concurrency" in workflow
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] > 0
    assert job["steps"][0]["with"]["fetch-depth"] == 0
    assert set(re.findall(r"\$\{\{ (.*?) \}\}", text)) <= {
        "github.ref", "secrets.OPENAI_API_KEY", "secrets.FTGATE_TOKEN || github.token",
        "!cancelled() && steps.gate.outcome != 'skipped'",
    }  # fmt: skip
    if path == PULL_REQUEST:
        # "on" is true in YAML 1.1
        assert workflow[True] == {"pull_request": None, "merge_group": None}
        assert "secrets" not in text


def test_gitlab_jobs_keep_their_reports_and_a_merge_request_has_no_key() -> None:
    jobs = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    assert jobs.keys() == {"ftgate", "ftgate-nightly"}
    for job in jobs.values():
        assert job["artifacts"]["when"] == "always"
        assert job["variables"]["GIT_DEPTH"] == "0"
    assert set(re.findall(r"\w*TOKEN\w*", str(jobs["ftgate"]))) == {"FTGATE_COMMENT_TOKEN", "TOKEN"}
    assert "KEY" not in str(jobs["ftgate"])
