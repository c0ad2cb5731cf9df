"""Validate and build the judges before any model is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import unwrap
from posixpath import normpath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_ftgate.config.model_keys import PROMPT_KEYS
from pytest_ftgate.data.lines import written_at
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.judges import Judge, Judging
from pytest_ftgate.judges.agreement import read_items
from pytest_ftgate.judges.people import agreement_check, read_ratings
from pytest_ftgate.metrics.judged import HumanPreference, by_model, by_people
from pytest_ftgate.result import Check, called

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.metrics.judged import ModelJudged
    from pytest_ftgate.models import Model, Surroundings

_OPERATION = ("name", "price", "concurrency", "timeout_s", "retries", "api_key_env", "revision", "served_as", "params")
_PORTS = {"http": 80, "https": 443}


def prepare_judging(
    config: GateKeys,
    test: DataSet,
    metrics: Mapping[str, Metric],
    asked: Mapping[str, Sequence[tuple[ModelSpec, Model | None]]],
    surroundings: Surroundings,
    hook: Any | None,
) -> Judging:
    """Read the ratings of people and build the judges; reject a judge that is also being judged.

    ``asked`` are the judged models by role, each as configured and, if available, as built. ``surroundings`` are those
    of the gate's models, and ``hook`` provides models of other providers.
    """
    from pytest_ftgate.models import build_model

    judges: dict[str, Judge] = {}
    people = None
    bare = replace(surroundings, training=None, asked=None)
    for name, metric in metrics.items():
        if metric.pairwise:
            _check_pairwise(config, name)
        if by_people(metric):
            _check_people(config, metric)
            with written_at(_where(config, name, "path")):
                people = read_ratings(metric.path, metric.source, test, key=metric.key)
        elif by_model(metric):
            alone = [replace(metric, judges=(spec,)) for spec in metric.judges]
            for one in alone:
                _check_judge(one)
                _refuse_same(one, None, asked)
            _refuse_twice(metric)
            with written_at(_where(config, name, "calibration.path")):
                items = read_items(metric)
            for number, one in enumerate(alone, 1):
                model = build_model(one.judge, bare, hook)
                _refuse_same(one, model, asked)
                judges[name if number == 1 else f"{name}_{number}"] = Judge(one, model, items)
    return Judging(judges, people)


def _where(config: GateKeys, metric: str, option: str) -> Where:
    """Return the place of an option of a judged metric."""
    source = config.judged_metrics[metric].source
    return source.where(f"{source.key}.{option}")


def _check_pairwise(config: GateKeys, name: str) -> None:
    def refused(key: str, what: str, cure: str) -> ConfigError:
        return ConfigError(what, where=config.sources[key].where(key), cure=cure)

    if config.stage == "ready":
        cure = "With stage: ready, use a metric that scores a single model, such as rubric."
        raise refused("stage", f"{name} compares two models, and before training there is only one", cure)
    if config.decided_by.name != name:
        return
    if config.matches:
        what = f"max_drop needs a metric that scores a single model, and {name} compares two"
        raise refused("metric", what, "Use a metric that scores each answer, such as rubric.")
    if config.margin is not None and config.margin >= 0.5:
        raise ConfigError(
            f"margin {config.margin:g} ({config.sources['margin']}) is impossible: the gain is the win rate minus 0.5, "
            "so it is at most 0.5",
            cure="Write 0.05 for a win rate of 55 %.",
        )


def _check_people(config: GateKeys, metric: HumanPreference) -> None:
    """Refuse a gate with several baselines or repeats."""
    if len(config.baselines) > 1 or config.repeats > 1:
        key = "baselines" if len(config.baselines) > 1 else "repeats"
        raise ConfigError(
            f"human_preference compares one answer each of two models, and the gate has several {key}",
            where=config.sources[key].where(key),
            evidence=metric.source,
            cure="Use a separate gate with one baseline, one candidate and repeats: 1.",
        )


def _check_judge(metric: ModelJudged) -> None:
    """Refuse a judge with a prompt of its own."""
    spec = metric.judge
    own = [key for key in PROMPT_KEYS if key in spec.options]
    if spec.provider == "openai" and own:
        raise ConfigError(
            f"the judge {spec.name} has its own prompt ({', '.join(own)}), and a judge is prompted with the rubric",
            where=spec.source.where(own[0]),
            evidence=f"judge of {metric.name} ({metric.source})",
            cure="Remove it, and put what matters into the rubric.",
        )


def _refuse_same(
    metric: ModelJudged, model: Model | None, asked: Mapping[str, Sequence[tuple[ModelSpec, Model | None]]]
) -> None:
    """Reject a judge that is also being judged (self-preference bias)."""
    for role, models in asked.items():
        for spec, built in models:
            if _identity(metric.judge) == _identity(spec) or _one_function(model, built):
                raise ConfigError(
                    f"the judge of {metric.name} is the {called(role)} itself ({spec.spelling})",
                    where=Where(metric.source, key="metric.judge"),
                    evidence=f"{called(role)}: {spec.source}",
                    cure="Use a third model as the judge: models prefer their own answers (self-preference bias).",
                )


def _refuse_twice(metric: ModelJudged) -> None:
    """Reject a model that judges the same metric twice: its judgement would count twice in the majority."""
    for number, spec in enumerate(metric.judges):
        twin = next((one for one in metric.judges[:number] if _identity(one) == _identity(spec)), None)
        if twin is not None:
            raise ConfigError(
                f"two judges of {metric.name} are the same model: {twin.name} and {spec.name} ({spec.spelling})",
                where=Where(metric.source, key="metric.judge"),
                cure="Use different models: the same one would count twice in the majority.",
            )


def _identity(spec: ModelSpec) -> tuple[Any, ...]:
    """Return the identity of a model, independent of its name, prompt and parameters."""
    from pytest_ftgate.models.openai_api.endpoint import PUBLIC_ENDPOINT

    options = spec.options
    if spec.provider == "openai":
        name = str(options["model"])
        return spec.provider, _place(str(options.get("base_url") or PUBLIC_ENDPOINT)), name.strip().lower()
    if spec.provider in ("python", "recorded"):
        return spec.provider, options.get("target") or options.get("path")
    return spec.provider, *((key, value) for key, value in sorted(options.items()) if key not in _OPERATION)


def _place(url: str) -> tuple[Any, ...]:
    """Return the location of an endpoint, independent of the spelling of its URL."""
    parts = urlsplit(url.lower())
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.startswith("127.") or host == "::1":
        host = "localhost"
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, host, port, normpath(f"/{unquote(parts.path).lstrip('/')}")


def _one_function(one: Model | None, other: Model | None) -> bool:
    """Return whether two models call the same function."""
    if one is None or other is None or one.function is None or other.function is None:
        return False
    return bool(unwrap(one.function) == unwrap(other.function))


def free_judging_checks(judging: Judging) -> list[Check]:
    """Return the checks of the judges that need no model."""
    found: list[Check] = []
    if judging.people is not None:
        found.append(agreement_check(judging.people))
    advice = "Add at least 20 items judged by people: calibration: {path: ..., min_kappa: 0.6}."
    for metric in (judge.metric for judge in judging.judges.values() if not judge.items):
        message = (
            f"the judge {metric.judge.name} is not calibrated against human labels; LLM judges are biased and can be "
            "manipulated"
        )
        found.append(Check(f"calibration.{metric.name}", "note", message, source=metric.source, advice=advice))
    return found
