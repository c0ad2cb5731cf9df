"""A gate whose local models run on the workers of a Dask cluster, as docs/howto/local-adapters.md says."""

from __future__ import annotations

import joblib
import pytest
from gate_project import Project
from test_adapters import adapters, weights  # noqa: F401  # fixtures

distributed = pytest.importorskip("distributed", reason="distributed is not installed: pip install distributed")

pytestmark = pytest.mark.filterwarnings("ignore")


def loads() -> tuple[int, int]:
    """In a worker: its process, and how many models it has loaded."""
    import os

    from pytest_ftgate.models import transformers as provider

    return os.getpid(), len(provider._loaded)


def test_each_worker_of_a_cluster_loads_the_model_once(adapters: Project) -> None:  # noqa: F811
    both = {name: {**adapters.keys[name], "workers": 2, "batch_size": 5} for name in ("baseline", "candidate")}
    here = adapters.judge()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        there = adapters.judge(**both)
        loaded = client.run(loads)
    assert there["verdict"] == here["verdict"] == "pass"
    assert there["candidate"]["value"] == here["candidate"]["value"]
    assert len({process for process, _ in loaded.values()}) == 2
    assert [n for _, n in loaded.values()] == [1, 1]  # base and adapter share one
