"""The name of a run: what it is for, whose it is, and what recordings call it."""

from typing import Literal, NamedTuple

Purpose = Literal["latency", "test", "unlabeled", "shown", "guard", "half"]


class RunName(NamedTuple):
    """Name a run: what it is for, the role of its model, and the guard that it is over."""

    purpose: Purpose
    role: str
    guard: str = ""

    @property
    def recorded_as(self) -> str:
        """Return the name of the run in recordings: only the candidate's end in ``candidate``.

        The examples that may be shown are recorded with the rest of the test set, and so are the
        inputs of ``unlabeled_set``.
        """
        if self.purpose == "half":
            return "half.candidate"
        subject = {"latency": "latency", "guard": f"guard {self.guard}"}.get(self.purpose, "")
        if self.role == "candidate":
            return f"{subject}.candidate" if subject else self.role
        role = self.role.replace(".candidate", " candidate")
        return f"{role} {subject}".rstrip()


HALF = RunName("half", "candidate_half")
"""The answers of the model that was trained on half of the training set."""
