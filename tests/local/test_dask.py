"""A gate whose functions run on the workers of a Dask cluster, as docs/cookbook.md says."""

from __future__ import annotations

import os

import pytest
from doc_pages import file_of
from gate_project import Project, passed

distributed = pytest.importorskip(
    "distributed", reason="distributed is not installed: pip install distributed"
)

pytestmark = pytest.mark.filterwarnings("ignore")

FUNCTION = """
import os

LABELS = ("refund", "invoice", "shipping")


def answer(text):
    with open("calls.txt", "a") as log:
        log.write(f"{os.getpid()}\\n")
    return LABELS[int(text.split()[-1]) % 3]
"""


def test_a_function_runs_on_the_workers_of_a_cluster(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.file("on_dask.py", FUNCTION)
    monkeypatch.chdir(project.path)
    monkeypatch.syspath_prepend(str(project.path))
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    project.gate_test(candidate={"provider": "python", "target": "on_dask:answer", "workers": 2})
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        page = file_of("cookbook.md", "conftest.py (Dask)")
        project.file("conftest.py", page.replace("tcp://scheduler:8786", cluster.scheduler_address))
        gate = passed(project.gate())
        workers = {str(pid) for pid in client.run(os.getpid).values()}
    assert gate["candidate"]["value"] == 1
    assert set((project.path / "calls.txt").read_text(encoding="utf-8").split()) == workers
