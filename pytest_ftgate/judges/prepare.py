"""Who may judge, and on what: settled before any model is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import unwrap
from posixpath import normpath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pytest_ftgate.data.lines import written_at
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.judges.calibration import Item, read_items
from pytest_ftgate.judges.people import Ratings, agreement_check, read_ratings
from pytest_ftgate.metrics.judged import HumanPreference, ModelJudged, by_model, by_people
from pytest_ftgate.result import Check, called

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model, Surroundings

_OWN_PROMPT = ("system", "system_file", "few_shot", "retrieval", "template")
_OPERATION = ("name", "price", "concurrency", "timeout_s", "retries", "api_key_env", "revision", "params")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Judge:
    """A model that judges.

    Attributes:
        metric: that it scores.
        model: to be called.
        items: what it is held to first; empty: nothing.
    """

    metric: ModelJudged
    model: Model
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Judging:
    """All that a gate has judged: the models that do it by the name of the metric, and what people said."""

    judges: Mapping[str, Judge] = field(default_factory=dict)
    people: Ratings | None = None

    @property
    def models(self) -> list[Model]:
        return [judge.model for judge in self.judges.values()]


def prepare_judging(
    config: GateKeys,
    test: DataSet,
    metrics: Mapping[str, Metric],
    asked: Mapping[str, Sequence[tuple[ModelSpec, Model | None]]],
    surroundings: Surroundings,
    hook: Any | None,
) -> Judging:
    """Read what people have said, and build the judges.

    Args:
        config: the gate.
        test: the test set.
        metrics: of the gate, by name.
        asked: the models that are judged, by role: as they are asked, and built where they are.
        surroundings: of the gate's models.
        hook: for the providers of others.

    Raises:
        ConfigError: a judge is one of the models that it would judge, or the gate cannot be judged in this way.
        DataError: a file of people's judgements cannot be used.
    """
    from pytest_ftgate.models import Surroundings, build_model

    judges: dict[str, Judge] = {}
    people = None
    bare = Surroundings(None, surroundings.notes, surroundings.offline, surroundings.newer_than)
    for name, metric in metrics.items():
        if metric.pairwise:
            _check_pairwise(config, name)
        if by_people(metric):
            _check_people(config, metric)
            with written_at(_where(config, name, "path")):
                people = read_ratings(metric.path, metric.source, test)
        elif by_model(metric):
            _check_judge(metric)
            _refuse_same(metric, None, asked)
            model = build_model(metric.judge, bare, hook)
            _refuse_same(metric, model, asked)
            with written_at(_where(config, name, "calibration.path")):
                judges[name] = Judge(metric, model, read_items(metric))
    return Judging(judges, people)


def _where(config: GateKeys, metric: str, option: str) -> Where:
    """Return the place of an option of a judged metric."""
    source = config.judged_metrics[metric].source
    return source.where(f"{source.key}.{option}")


def _check_pairwise(config: GateKeys, name: str) -> None:
    if config.stage == "ready":
        raise ConfigError(
            f"{name} compares two models, and before training there is one",
            where=config.sources["stage"].where("stage"),
            cure="At the stage ready decide by a metric that scores the baseline by itself, as rubric.",
        )
    if config.metric.name != name:
        return
    if config.objective == "match":
        raise ConfigError(
            f"objective: match cannot be judged by {name}, which does not score one model by itself",
            where=config.sources["metric"].where("metric"),
            cure="Decide by a metric that scores each answer, as rubric.",
        )
    if config.margin is not None and config.margin >= 0.5:
        raise ConfigError(
            f"margin {config.margin:g} ({config.sources['margin']}) is impossible: the gain is the win rate less 0.5, "
            "and no win rate is above 1",
            cure="Write 0.05 for a win rate of 55 %.",
        )


def _check_people(config: GateKeys, metric: HumanPreference) -> None:
    """Refuse a gate of more than one candidate, one baseline, and one answer of each."""
    several = next((key for key in ("baselines", "candidates") if len(getattr(config, key)) > 1), None)
    if several is not None or config.repeats > 1:
        key = several or "repeats"
        raise ConfigError(
            f"human_preference is about one answer each of two models, and the gate has several {several or 'repeats'}",
            where=config.sources[key].where(key),
            evidence=metric.source,
            cure="Make it a gate of its own with one baseline, one candidate and repeats: 1.",
        )


def _check_judge(metric: ModelJudged) -> None:
    """Refuse a judge that would be asked another question than ours."""
    spec = metric.judge
    own = [key for key in _OWN_PROMPT if key in spec.options]
    if spec.provider == "openai" and own:
        raise ConfigError(
            f"the judge {spec.name} has a prompt of its own ({', '.join(own)}), in place of which it is asked by the "
            "rubric",
            where=spec.source.where(own[0]),
            evidence=f"judge of {metric.name} ({metric.source})",
            cure="Name the model without it, and write what matters into the rubric.",
        )
    if "job" in spec.options:
        raise ConfigError(
            f"the judge {spec.name} is named by a fine-tuning job",
            where=spec.source.where("job"),
            evidence=f"judge of {metric.name} ({metric.source})",
            cure="Name the model itself.",
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
                    cure="Let a third model judge: one that is neither of the two.",
                )


def _identity(spec: ModelSpec) -> tuple[Any, ...]:
    """Return what one model is under whatever name, prompt and parameters it is asked."""
    from pytest_ftgate.models.openai_api.endpoint import PUBLIC_ENDPOINT

    options = spec.options
    if spec.provider == "openai":
        name = str(options.get("model") or options.get("job"))
        return spec.provider, _place(str(options.get("base_url") or PUBLIC_ENDPOINT)), name.strip().lower()
    if spec.provider in ("python", "recorded"):
        return spec.provider, options.get("target") or options.get("path")
    return spec.provider, *((key, value) for key, value in sorted(options.items()) if key not in _OPERATION)


def _place(url: str) -> tuple[Any, ...]:
    """Return where an endpoint is, in whatever way its URL is written."""
    parts = urlsplit(url.lower())
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.startswith("127.") or host == "::1":
        host = "localhost"
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, host, port, normpath(f"/{unquote(parts.path).lstrip('/')}")


def _one_function(one: Model | None, other: Model | None) -> bool:
    if one is None or other is None or one.function is None or other.function is None:
        return False
    return bool(unwrap(one.function) == unwrap(other.function))


def free_judging_checks(judging: Judging, metrics: Mapping[str, Metric]) -> list[Check]:
    """Return what can be said of the judges before a model is called."""
    found: list[Check] = []
    if judging.people is not None:
        name = next(name for name, metric in metrics.items() if by_people(metric))
        found.append(agreement_check(name, judging.people))
    for judge in judging.judges.values():
        if not judge.items:
            found.append(
                Check(
                    f"calibration.{judge.metric.name}",
                    "note",
                    f"the judge {judge.metric.judge.name} is not held to human labels",
                    source=judge.metric.source,
                    advice="Give 20 or more items that people have judged: calibration: {path: ..., min_kappa: 0.6}.",
                )
            )
    return found
