"""Jobs of a server that others wrote: aimock, which serves files and fine-tuning jobs as OpenAI documents them.

Runs where AIMOCK names the module that starts it: ``npm install @copilotkit/aimock``, then
``AIMOCK=node_modules/@copilotkit/aimock/dist/cli.js``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from endpoint_project import answer
from gate_project import Project, check, label, refused, write_jsonl
from job_project import chat

AIMOCK = os.environ.get("AIMOCK", "")

pytestmark = [
    pytest.mark.usefixtures("no_ambient_settings"),
    pytest.mark.skipif(not Path(AIMOCK).is_file(), reason="AIMOCK does not name aimock's module dist/cli.js"),
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
]


def fixtures() -> list[dict[str, Any]]:
    """Return what aimock answers. A question is found by its beginning, so that the longer numbers come first."""
    found = []
    for index in reversed(range(60)):
        question = f"customer question {index}"
        for model in ("base", "ft"):
            body = {"model": model, "messages": [{"role": "user", "content": question}]}
            match = {"userMessage": question, **({"model": "base"} if model == "base" else {})}
            found.append({"match": match, "response": {"content": answer(body)}})
    return found


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Yield the base URL of a running aimock."""
    path = tmp_path / "fixtures.json"
    path.write_text(json.dumps({"fixtures": fixtures()}), encoding="utf-8")
    command = ["node", AIMOCK, "--port", "0", "--strict", "--fixtures", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "listening on" in line)
            address = re.search(r"http://\S+", said)
            assert address
            yield f"{address[0]}/v1"
        finally:
            process.terminate()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


class AimockProject(Project):
    """A gate whose training file and job were made at aimock."""

    def __init__(self, pytester: pytest.Pytester, client: openai.OpenAI) -> None:
        super().__init__(pytester)
        self.client = client
        self.url = str(client.base_url)
        path = write_jsonl(self.path / "train.jsonl", [chat(f"training question {i}", label(i)) for i in range(200)])
        self.file_id = client.files.create(file=path, purpose="fine-tune").id
        job = client.fine_tuning.jobs.create(
            model="base", training_file=self.file_id, hyperparameters={"n_epochs": 3}, suffix="support"
        )
        self.job_id = job.id
        self.keys |= {"baseline": self.named(model="base"), "candidate": self.named(job=self.job_id)}
        self.gate_test()

    def named(self, **options: Any) -> dict[str, Any]:
        return {"provider": "openai", "base_url": self.url, **options}

    def train(self) -> None:
        """Each look at a job takes it a step further: queued, running, succeeded."""
        while self.client.fine_tuning.jobs.retrieve(self.job_id).status != "succeeded":
            pass


@pytest.fixture
def project(pytester: pytest.Pytester, client: openai.OpenAI) -> AimockProject:
    return AimockProject(pytester, client)


def test_a_job_is_judged(project: AimockProject) -> None:
    project.train()
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    candidate = gate["candidate"]
    assert candidate["model"] == f"openai:ft:base:aimock:support:{project.job_id[-6:]}"
    assert (candidate["base_model"], candidate["hyperparameters"]) == ("base", {"n_epochs": 3})
    assert isinstance(candidate["trained_tokens"], int)
    assert (gate["baseline"]["value"], candidate["value"]) == (40 / 60, 56 / 60)
    assert check(gate, "training_file")["status"] == "pass"


def test_its_state_is_told_until_it_has_succeeded(project: AimockProject) -> None:
    states = [refused(project).rpartition(" ")[2] for _ in range(2)]
    assert states == ["queued", "running"]
    assert project.gate()["verdict"] == "pass"


def test_a_cancelled_job(project: AimockProject) -> None:
    project.client.fine_tuning.jobs.cancel(project.job_id)
    assert refused(project).endswith(f"the fine-tuning job {project.job_id} has not succeeded: its state is cancelled")


def test_another_training_set(project: AimockProject) -> None:
    project.train()
    project.file("train.jsonl", (project.path / "train.jsonl").read_text() + json.dumps(chat("new", "refund")) + "\n")
    assert refused(project, "fail").endswith("1 row only in the training set (the first: line 201)")


def test_an_unknown_job(project: AimockProject) -> None:
    project.gate_test(candidate=project.named(job="ftjob-nope"))
    assert refused(project).endswith("the endpoint knows no fine-tuning job ftjob-nope")


def test_a_deleted_training_file(project: AimockProject) -> None:
    project.train()
    project.client.files.delete(project.file_id)
    assert f"no longer has the training file {project.file_id}" in refused(project)


def test_it_lacks_checkpoints(project: AimockProject) -> None:
    project.train()
    project.gate_test(candidate=project.named(job=project.job_id, checkpoint="last"))
    assert "this endpoint lacks the API of checkpoints" in refused(project)
