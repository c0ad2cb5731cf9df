"""Read the ratings of people, and build the judges of a gate: none of them is also being judged."""

from collections.abc import Mapping
from typing import Any

from pytest_ftgate import errors, result
from pytest_ftgate.config import GateKeys, model_keys
from pytest_ftgate.data import DataSet, lines
from pytest_ftgate.metrics import Metric, judged
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.runs.judging import Judge, Judging, read_items


def read_judging(
    config: GateKeys,
    test: DataSet,
    metrics: Mapping[str, Metric],
    hook: Any | None,
    *,
    offline: bool,
) -> Judging | None:
    """Read the ratings of people and build the judges; None if no metric is judged.

    ``hook`` provides models of other providers.

    Raises:
        ConfigError: a judge is also being judged, or the gate cannot use a judged metric.
    """
    judges: dict[str, Judge] = {}
    people = None
    for name, metric in metrics.items():
        if metric.pairwise:
            _check_pairwise(config, name)
        if isinstance(metric, judged.HumanPreference):
            _check_people(config, metric)
            with lines.written_at(_where(config, name, "path")):
                people = judged.read_ratings(metric, test)
        elif isinstance(metric, judged.Rubric | judged.Preference):
            _check_judge(metric)
            # Before the judge is built, which may take long.
            _refuse_self(metric, config)
            with lines.written_at(_where(config, name, "calibration.path")):
                items = read_items(metric)
            model = build_model(metric.judge, Surroundings(offline=offline), hook)
            judges[name] = Judge(metric, model, items)

    return Judging(judges, people) if judges or people is not None else None


def _where(config: GateKeys, metric: str, option: str) -> errors.Where:
    """Return the place of an option of a judged metric."""
    source = config.judged_metrics[metric].source
    return source.where(f"{source.key}.{option}")


def _check_pairwise(config: GateKeys, name: str) -> None:
    """Refuse a gate that needs a value of a single model."""
    if config.stage == "ready":
        raise errors.ConfigError(
            f"{name} compares two models, and before training there is only one",
            where=config.sources["stage"].where("stage"),
            cure="With stage: ready, use a metric that scores a single model, such as rubric.",
        )
    if config.decided_by.name != name:
        return
    if config.matches:
        raise errors.ConfigError(
            f"max_drop needs a metric that scores a single model, and {name} compares two",
            where=config.sources["metric"].where("metric"),
            cure="Use a metric that scores each answer, such as rubric.",
        )
    if config.margin is not None and config.margin >= 0.5:
        message = f"margin {config.margin:g} is impossible: "
        message += "the gain is the win rate minus 0.5, so it is at most 0.5"
        where = errors.Where(config.sources["margin"].at)
        cure = "Write 0.05 for a win rate of 55 %."
        raise errors.ConfigError(message, where=where, cure=cure)


def _check_people(config: GateKeys, metric: judged.HumanPreference) -> None:
    """Refuse a gate with several baselines or repeats."""
    for key, number in (("baselines", len(config.baselines)), ("repeats", config.repeats)):
        if number > 1:
            message = "human_preference compares one answer each of two models, "
            message += f"and the gate has several {key}"
            raise errors.ConfigError(
                message,
                where=config.sources[key].where(key),
                evidence=metric.source,
                cure="Use a separate gate with one baseline, one candidate and repeats: 1.",
            )


def _check_judge(metric: judged.ModelJudged) -> None:
    """Refuse a judge with a prompt of its own."""
    spec = metric.judge
    fields = spec.kind.model_fields
    keys = [key for key in model_keys.PROMPT_KEYS if key in spec.options and key in fields]
    if keys:
        message = f"the judge {spec.name} has its own prompt ({', '.join(keys)}), "
        message += "and a judge is prompted with the rubric"
        raise errors.ConfigError(
            message,
            where=spec.source.where(keys[0]),
            evidence=f"judge of {metric.name} ({metric.source})",
            cure="Remove it, and put what matters into the rubric.",
        )


def _refuse_self(metric: judged.ModelJudged, config: GateKeys) -> None:
    """Refuse a judge that is also being judged (self-preference bias)."""
    for role, spec in config.asked.items():
        if metric.judge.identity != spec.identity:
            continue

        model = result.called(role)
        raise errors.ConfigError(
            f"the judge of {metric.name} is the {model} itself ({spec.spelling})",
            where=errors.Where(metric.source, key="metric.judge"),
            evidence=f"{model}: {spec.source}",
            cure="Use a third model as the judge: models prefer their own answers "
            "(self-preference bias).",
        )
