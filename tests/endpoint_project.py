"""A project whose models are asked over HTTP: a loopback server answers for the baseline and the candidate."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from gate_project import Project, label, wrong
from loopback import LoopbackServer

N = 60
MISSED = {"base": frozenset(range(40, 60)), "ft": frozenset((0, 1, 58, 59))}


def answer(body: dict[str, Any]) -> str:
    """As the recorded predictions of :class:`Project`: the baseline is right on 40 of 60, the candidate on 56."""
    index = int(re.findall(r"\d+", body["messages"][-1]["content"])[-1])
    return wrong(index) if index in MISSED[body["model"]] else label(index)


class EndpointProject(Project):
    """A green gate, like :class:`Project`'s, on the models ``base`` and ``ft`` of one server."""

    def __init__(self, pytester: pytest.Pytester, server: LoopbackServer) -> None:
        super().__init__(pytester)
        self.server = server
        server.answer = answer
        self.keys |= {"baseline": self.model("base"), "candidate": self.model("ft")}

    def model(self, name: str, **options: Any) -> dict[str, Any]:
        return {"provider": "openai", "model": name, "base_url": self.server.url, "retries": 0, **options}

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        """How often each model was asked for each last message."""
        return Counter((body["model"], body["messages"][-1]["content"]) for body in self.server.bodies)
