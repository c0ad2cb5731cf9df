"""A project whose models are asked over HTTP: a loopback server answers for the baseline and the candidate."""

import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from gate_project import ALONE, Project, label, wrong
from loopback import LoopbackServer, Reply

N = 60
EVERY_REQUEST = Counter(
    (model, f"customer question {i}") for model in ("base", "ft") for i in range(N)
)
TIMED = {"latency_p50_s", "latency_p95_s", "n_stored", "n_retries"}
_MISSED = {"base": frozenset(range(40, 60)), "ft": frozenset((0, 1, 58, 59))}


def index_of(body: dict[str, Any]) -> int:
    """Return the number of the test example that a request is about."""
    (number,) = re.findall(r"question (\d+)", body["messages"][-1]["content"])
    return int(number)


def answer(body: dict[str, Any]) -> str:
    """As the recorded answers of :class:`Project`: the baseline is right on 40 of 60, the candidate on 56."""
    index = index_of(body)
    return wrong(index) if index in _MISSED[body["model"]] else label(index)


def untimed(gate: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a gate without those that differ from run to run."""

    def bare(model: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in model.items() if name not in TIMED}

    baselines = {role: bare(model) for role, model in gate["baselines"].items()}
    models = {role: bare(gate[role]) for role in ("baseline", "candidate")}
    return {**gate, **models, "baselines": baselines}


class Meeting:
    """Holds all answers back until callers with ``n`` different keys have asked, so that they work at the same time."""

    def __init__(self, server: LoopbackServer, n: int = 2) -> None:
        self._server = server
        self._n = n
        self._complete = threading.Event()

    def __call__(self, body: dict[str, Any]) -> Reply:
        if len(self.keys) >= self._n:
            self._complete.set()
        return Reply(
            answer({**body, "model": body["model"].replace("told", "ft")}), until=self._complete
        )

    @property
    def keys(self) -> Counter[str]:
        """Return how often each key was shown."""
        return Counter(headers["authorization"] for headers in self._server.headers)


class EndpointProject(Project):
    """A green gate, as :class:`Project` has one, on the models ``base`` and ``ft`` of one server."""

    def __init__(self, home: pytest.Pytester | Path, server: LoopbackServer) -> None:
        super().__init__(home)
        self.server = server
        server.answer = answer
        self.keys |= {"baseline": self.model("base"), "candidate": self.model("ft")}

    def model(self, name: str, /, **options: Any) -> dict[str, Any]:
        """Return a model with a revision, so that its answers are kept; ``...`` leaves a key out."""
        usual = {
            "provider": "openai",
            "model": name,
            "base_url": self.server.url,
            "retries": 0,
            "revision": "1",
        }
        return {key: value for key, value in {**usual, **options}.items() if value is not ...}

    def gates(self, models: Mapping[str, Any] | None = None, **changes: Any) -> None:
        """``gates/ftgate.yaml`` with the gate ``support`` and models, named in the ini file, and a marked test."""
        gate = {
            **self.keys,
            "test_set": "../test.jsonl",
            "training_set": "../train.jsonl",
            **changes,
        }
        gate = {key: value for key, value in gate.items() if value is not ...}
        file = {"version": 1, "models": dict(models or {}), "gates": {"support": gate}}
        self.file("gates/ftgate.yaml", yaml.safe_dump(file))
        self.file("tox.ini", "[pytest]\nftgate_config = gates/ftgate.yaml\n")
        self.ini["ftgate_config"] = "gates/ftgate.yaml"
        self.file(
            "test_gate.py",
            "import pytest\n\n\n@pytest.mark.ftgate('support')\ndef test_gate():\n    pass\n",
        )

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        """Return how often each model was asked for each last message."""
        return Counter(
            (body["model"], body["messages"][-1]["content"]) for body in self.server.bodies
        )

    def forget(self) -> None:
        """Count requests anew."""
        self.server.requests.clear()

    def start(self, *args: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start pytest in a process of its own, and do not wait for it."""
        streams = {"stdin": subprocess.DEVNULL, **streams}
        return self.pytester.popen([sys.executable, "-m", "pytest", *ALONE, *args], **streams)
