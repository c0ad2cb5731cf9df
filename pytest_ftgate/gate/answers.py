"""The answers of both models of a gate, without judging them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.checks.training_set import check_test_set
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.gate.inputs import build_models
from pytest_ftgate.models import Surroundings
from pytest_ftgate.result import called
from pytest_ftgate.runs.runner import Job, run_models
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.gate.state import Services


def answers_to_rate(config: GateKeys, services: Services) -> tuple[DataSet, Mapping[str, list[str]]]:
    """Return the test set, and the first answer of baseline and candidate to each example, by role.

    Offline, no endpoint is called for answers that are neither stored nor recorded.

    Raises:
        FtgateError: the gate has no single baseline and candidate, an input cannot be read, or an answer is missing.
    """
    several = next((key for key in ("baselines", "candidates") if len(getattr(config, key)) > 1), None)
    if several is not None or not config.has_candidate:
        key = several or "candidate"
        what = f"two models are compared, and the gate has {f'several {key}' if several else 'no candidate'}"
        raise ConfigError(what, where=config.sources[key].where(key), cure="Name one baseline and one candidate.")
    test = services.load(config.test_set, config.sources["test_set"].at, labeled=False)
    training = services.load(config.training_set, config.sources["training_set"].at)
    check_test_set(test)
    stores = services.stores
    surroundings = Surroundings(training, services.notes(), services.offline, stores.newer_than, test, stores.started)
    models = build_models(config, None, surroundings, services.hook).models
    found: dict[str, list[str]] = {}
    runs = run_models([Job(model, test) for model in models.values()], stores=stores, offline=services.offline)
    for role, run in zip(models, runs, strict=True):
        if run.unanswered:
            reason = f": {run.failure.cause}" if run.failure else ""
            raise ModelError(
                f"{called(role)}: {len(run.unanswered):,} of {plural(len(test), 'answer')} missing{reason}",
                cure="Call the models with --ask, or name the folder of their answers: --state, --recordings.",
            )
        role = "candidate" if role == "candidate" else "baseline"
        found[role] = [one.completion.text for one in run.predictions[0] if one.completion is not None]
    return test, found
