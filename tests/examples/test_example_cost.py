"""What ``--ftgate-plan`` says that an example costs, beside what it then costs."""

import re
import shutil

import pytest
from endpoint_project import EndpointProject
from gate_project import Project
from loopback import Reply
from test_examples import EXAMPLES, modules_of

FOLDER = EXAMPLES / "voice_commands"
LARGE = "price: {input_per_1m: 2.5, output_per_1m: 10}"
SMALL = "price: {input_per_1m: 0.4, output_per_1m: 1.6}"


def planned_usd(project: Project, name: str) -> float:
    """Return the cost of a model's calls by the plan."""
    lines = project.run("--ftgate-plan").outlines
    (line,) = [line for line in lines if line.startswith(f"{name}  ")]
    return float(line.rpartition("$")[2])


def test_the_plan_is_within_20_percent_of_what_the_example_costs(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = modules_of(FOLDER, "stand_ins", "server").server
    models = {server.BASE: server.base_answer, server.TUNED: server.fine_tuned(server.TRAIN)}
    http.server.answer = lambda body: Reply(body=server.complete(models, body))

    for name in ("data", "prompts"):
        shutil.copytree(FOLDER / name, http.path / name)
    gates = (FOLDER / "ftgate.yaml").read_text(encoding="utf-8")
    gates = re.sub(r"base_url: \S+", f"base_url: {http.server.url}", gates)
    gates = gates.replace("few_shot: 52", f"few_shot: 52\n    {LARGE}", 1)
    gates = gates.replace('revision: "1"\n', f'revision: "1"\n    {SMALL}\n', 1)
    http.file("ftgate.yaml", gates)
    http.file(
        "test_gate.py",
        "import pytest\n\n\n@pytest.mark.ftgate('intents')\ndef test_gate():\n    pass\n",
    )

    # The chances are simulated, which takes half a minute.
    monkeypatch.setattr("pytest_ftgate.gate.plan._prospects", lambda *_: None)
    planned = [planned_usd(http, "baseline prompted"), planned_usd(http, "candidate fine_tuned")]
    assert not http.server.requests

    http.run("--ftgate-report=json:report.json")
    gate = http.gate()
    assert planned == pytest.approx(
        [gate[role]["cost_usd"] for role in ("baseline", "candidate")], rel=0.2
    )
