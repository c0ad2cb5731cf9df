"""A project whose candidate is named by the fine-tuning job that made it: a loopback server has the job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from endpoint_project import EndpointProject
from gate_project import label, write_jsonl
from loopback import LoopbackServer, Reply, error

JOB = "ftjob-abc123"
FILE = "file-train"
JOB_ROUTE = f"GET /v1/fine_tuning/jobs/{JOB}"
CHECKPOINTS_ROUTE = f"{JOB_ROUTE}/checkpoints"
FILE_ROUTE = f"GET /v1/files/{FILE}/content"


def job(**changes: Any) -> dict[str, Any]:
    """Return the job as OpenAI tells it, succeeded."""
    return {
        "object": "fine_tuning.job",
        "id": JOB,
        "model": "base-2025-04-14",
        "created_at": 1,
        "finished_at": 2,
        "fine_tuned_model": "ft",
        "organization_id": "org-1",
        "result_files": ["file-results"],
        "status": "succeeded",
        "validation_file": None,
        "training_file": FILE,
        "hyperparameters": {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.8},
        "trained_tokens": 5768,
        "seed": 7,
        "error": None,
        **changes,
    }


def checkpoint(step: int, model: str, **metrics: Any) -> dict[str, Any]:
    """Return a checkpoint as OpenAI tells it."""
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": f"ftckpt_{step}",
        "created_at": 1,
        "fine_tuned_model_checkpoint": model,
        "fine_tuning_job_id": JOB,
        "metrics": {"step": step, "train_loss": 0.1, **metrics},
        "step_number": step,
    }


def page(*rows: Mapping[str, Any], more: bool = False) -> Reply:
    """Return a page of a list."""
    return Reply(body={"object": "list", "data": list(rows), "has_more": more})


class JobProject(EndpointProject):
    """A green gate: the job made the model ``ft`` of the server, on the chat file that is the training set."""

    def __init__(self, home: pytest.Pytester | Path, server: LoopbackServer) -> None:
        super().__init__(home, server)
        write_jsonl(self.path / "train.jsonl", [chat(f"training question {i}", label(i)) for i in range(200)])
        self.keys["candidate"] = self.job()
        server.replies = {
            JOB_ROUTE: Reply(body=job()),
            FILE_ROUTE: Reply(body=self.trained(), headers={"Content-Type": "application/octet-stream"}),
            "GET /v1/fine_tuning/jobs": page(),
            "GET /v1/files": page(),
        }

    def job(self, **options: Any) -> dict[str, Any]:
        return {"provider": "openai", "job": JOB, "base_url": self.server.url, "retries": 0, **options}

    def trained(self) -> bytes:
        """Return the bytes of the training set."""
        return (self.path / "train.jsonl").read_bytes()

    def tell(self, **changes: Any) -> None:
        """Change what the server says of the job."""
        self.server.replies[JOB_ROUTE] = Reply(body=job(**changes))

    def lack(self, *routes: str) -> None:
        """Take routes away, as a server has it that never had them."""
        for route in routes:
            self.server.replies[route] = error(404, message="Not Found")

    @property
    def read(self) -> list[str]:
        """Return what was read from the server, in order; but for whether models are about to be shut down."""
        paths = [request.path for request in self.server.requests if request.method == "GET"]
        return [f"GET {path}" for path in paths if not path.startswith("/v1/models/")]


def chat(question: str, answer: str) -> dict[str, Any]:
    """One row of a chat file."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
