"""Run the recipes of the hook with the real libraries, without a network: nox -s promotion."""

import sqlite3
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec

import pytest
from doc_pages import file_of
from gate_project import Project
from loopback import LoopbackServer, Reply

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries
PAGE = "cookbook.md"
HOOKS = "../examples/hooks/README.md"


def needs(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: nox -s promotion")


def judge(project: Project, recipe: str, page: str = PAGE, **keys: object) -> int:
    """Judge the gate of the page's recipe in a process of its own; return the exit status."""
    project.gate_test(name="intents", **keys)
    text = file_of(page, recipe)
    project.file("conftest.py", text)
    if page == HOOKS:
        assert len([line for line in text.splitlines() if line]) <= 12
    return int(project.run_apart("-p", "no:cacheprovider", "-W", "ignore").ret)


def test_mlflow_moves_the_alias_only_on_a_pass(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("mlflow")
    mlflow = import_module("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.path}/mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    client.create_registered_model("intents")
    for _ in range(2):
        client.create_model_version("intents", source=str(project.path))
    monkeypatch.setenv("MODEL_VERSION", "1")
    assert judge(project, "conftest.py (MLflow)") == 0
    monkeypatch.setenv("MODEL_VERSION", "2")
    assert judge(project, "conftest.py (MLflow)", margin=0.9) == 1
    assert client.get_model_version_by_alias("intents", "champion").version in (1, "1")
    verdicts = [
        client.get_model_version("intents", version).tags["ftgate.verdict"]
        for version in ("1", "2")
    ]
    assert verdicts == ["pass", "fail"]


def test_weights_and_biases_has_a_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert judge(project, "conftest.py (Weights & Biases)", HOOKS) == 0
    (run,) = project.path.glob("wandb/offline-run-*/run-*.wandb")
    content = run.read_bytes()
    assert b"verdict" in content
    assert b"lower_bound" in content


def test_langsmith_gets_a_run(
    project: Project, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("langsmith")
    server.replies["POST /v1/runs"] = Reply(body={})
    monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "none")
    assert judge(project, "conftest.py (LangSmith)", HOOKS, margin=0.9) == 1
    (run,) = [request.body for request in server.requests if request.body]
    assert run["name"] == "ftgate intents"
    assert run["outputs"]["verdict"] == "fail"


def test_mlflow_has_a_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.path}/mlflow.db")
    assert judge(project, "conftest.py (MLflow)", HOOKS) == 0
    # The client would keep what it imported for a test before this one.
    with closing(sqlite3.connect(project.path / "mlflow.db")) as database:
        tags = dict(database.execute("SELECT key, value FROM tags"))
        metrics = dict(database.execute("SELECT key, value FROM metrics"))
    assert tags["ftgate.verdict"] == "pass"
    assert metrics["ftgate.gain"] == pytest.approx(16 / 60)


def test_slack_gets_a_line(
    project: Project, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies["POST /v1"] = Reply(body={})
    monkeypatch.setenv("SLACK_WEBHOOK", server.url)
    assert judge(project, "conftest.py (Slack)", HOOKS) == 0
    (request,) = server.requests
    assert request.body == {"text": "intents: pass, gain +0.267"}
