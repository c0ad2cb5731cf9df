"""Promote a model by the recipe of docs/cookbook.md with the real library, without a network: nox -s promotion."""

from importlib import import_module
from importlib.util import find_spec

import pytest
from doc_pages import file_of
from gate_project import Project

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries
PAGE = "cookbook.md"


def needs(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: nox -s promotion")


def judge(project: Project, recipe: str, **keys: object) -> int:
    """Judge the gate of the page's recipe in a process of its own; return the exit status."""
    project.gate_test(name="intents", **keys)
    project.file("conftest.py", file_of(PAGE, recipe))
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
