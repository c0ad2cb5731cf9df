"""A gate on the voice commands of the example, whose models answer over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkpoints import SYSTEM
from gate_project import Project
from serve import Served

N = 225  # rows of the test set
LIMIT = 12  # tokens of an answer; the longest intent's name has six


class VoiceProject(Project):
    """Green by default: the model ``tuned`` against ``base``, which is the same model before the fine-tuning."""

    def __init__(
        self, pytester: pytest.Pytester, data: Path, served: Callable[[str], Served]
    ) -> None:
        super().__init__(pytester)
        self._served = served
        for name in ("base.jsonl", "ft.jsonl"):
            (self.path / name).unlink()
        for name in ("train.jsonl", "test.jsonl"):
            shutil.copy(data / name, self.path / name)
        self.keys = {
            "hypothesis": "macro-F1 rises from 0.4 to at least 0.8",
            "test_set": "test.jsonl",
            "training_set": "train.jsonl",
            "baseline": self.model("base"),
            "candidate": self.model("tuned"),
            "metric": "f1_macro",
            "margin": 0.2,
            "thresholds": {"accuracy": {"min": 0.8}},
        }

    def model(self, name: str, /, **options: Any) -> dict[str, Any]:
        """Return the keys of a model that is served."""
        return self.at(self._served(name), **options)

    def at(self, served: Served, /, **options: Any) -> dict[str, Any]:
        params = {"temperature": 0, "max_tokens": LIMIT, **options.pop("params", {})}
        address = {"provider": "openai", "base_url": served.base_url, "model": served.name}
        return {**address, "system": SYSTEM, "params": params, "retries": 0, **options}

    def gates(self, **changes: Any) -> None:
        """``ftgate.yaml`` with the gate ``intents``, and a marked test."""
        gate = {name: value for name, value in {**self.keys, **changes}.items() if value is not ...}
        self.gate_file(yaml.safe_dump({"version": 1, "gates": {"intents": gate}}))
        self.file(
            "test_gate.py",
            "import pytest\n\n\n@pytest.mark.ftgate('intents')\ndef test_gate():\n    pass\n",
        )
