"""The free checks of judges: none is also being judged, and each should be calibrated with human labels."""

from collections.abc import Iterator, Mapping
from inspect import unwrap
from typing import Any

from pytest_ftgate import errors, result
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import GateKeys, ModelSpec, model_keys
from pytest_ftgate.data import DataSet, lines
from pytest_ftgate.metrics import Metric, judged
from pytest_ftgate.models import Model, Surroundings, build_model
from pytest_ftgate.models.openai_api.endpoint import is_same
from pytest_ftgate.runs.judging import Judge, Judging, read_items
from pytest_ftgate.statistics import evidence

ADAPTER = model_keys.ADAPTER


def prepare_judging(
    config: GateKeys,
    test: DataSet,
    metrics: Mapping[str, Metric],
    models: Mapping[str, Model],
    hook: Any | None,
    *,
    offline: bool,
) -> Judging | None:
    """Read the ratings of people and build the judges; None if no metric is judged.

    ``models`` are those of the gate by role, and ``hook`` provides models of other providers.

    Raises:
        ConfigError: a judge is also being judged, or the gate cannot use a judged metric.
    """
    judges, people = dict[str, Judge](), None
    for name, metric in metrics.items():
        if metric.pairwise:
            _check_pairwise(config, name)
        if isinstance(metric, judged.HumanPreference):
            _check_people(config, metric)
            with lines.written_at(_where(config, name, "path")):
                people = judged.read_ratings(metric, test)
        elif isinstance(metric, judged.Rubric | judged.Preference):
            _check_judge(metric)
            _refuse_same(metric, None, config, models)
            with lines.written_at(_where(config, name, "calibration.path")):
                items = read_items(metric)
            judges[name] = Judge(
                metric, build_model(metric.judge, Surroundings(offline=offline), hook), items
            )
            _refuse_same(metric, judges[name].model, config, models)
    return Judging(judges, people) if judges or people is not None else None


def _where(config: GateKeys, metric: str, option: str) -> errors.Where:
    """Return the place of an option of a judged metric."""
    source = config.judged_metrics[metric].source
    return source.where(f"{source.key}.{option}")


def _check_pairwise(config: GateKeys, name: str) -> None:
    def refused(key: str, what: str, cure: str) -> errors.ConfigError:
        return errors.ConfigError(what, where=config.sources[key].where(key), cure=cure)

    if config.stage == "ready":
        cure = "With stage: ready, use a metric that scores a single model, such as rubric."
        raise refused(
            "stage", f"{name} compares two models, and before training there is only one", cure
        )
    if config.decided_by.name != name:
        return
    if config.matches:
        what = f"max_drop needs a metric that scores a single model, and {name} compares two"
        raise refused("metric", what, "Use a metric that scores each answer, such as rubric.")
    if config.margin is not None and config.margin >= 0.5:
        what = f"margin {config.margin:g} ({config.sources['margin']}) is impossible: the gain is the win rate minus "
        raise errors.ConfigError(
            f"{what}0.5, so it is at most 0.5", cure="Write 0.05 for a win rate of 55 %."
        )


def _check_people(config: GateKeys, metric: judged.HumanPreference) -> None:
    """Refuse a gate with several baselines or repeats."""
    if len(config.baselines) > 1 or config.repeats > 1:
        key = "baselines" if len(config.baselines) > 1 else "repeats"
        what = f"human_preference compares one answer each of two models, and the gate has several {key}"
        cure = "Use a separate gate with one baseline, one candidate and repeats: 1."
        raise errors.ConfigError(
            what, where=config.sources[key].where(key), evidence=metric.source, cure=cure
        )


def _check_judge(metric: judged.ModelJudged) -> None:
    """Refuse a judge with a prompt of its own."""
    spec = metric.judge
    own = [
        key
        for key in model_keys.PROMPT_KEYS
        if key in spec.options and key in spec.kind.model_fields
    ]
    if own:
        what = f"the judge {spec.name} has its own prompt ({', '.join(own)}), and a judge is prompted with the rubric"
        where, evidence = spec.source.where(own[0]), f"judge of {metric.name} ({metric.source})"
        raise errors.ConfigError(
            what,
            where=where,
            evidence=evidence,
            cure="Remove it, and put what matters into the rubric.",
        )


def _refuse_same(
    metric: judged.ModelJudged, model: Model | None, config: GateKeys, models: Mapping[str, Model]
) -> None:
    """Reject a judge that is also being judged (self-preference bias); ``model`` is None before it is built."""
    for role, spec in config.asked.items():
        one, other = (None if of is None else of.function for of in (model, models[role]))
        same_function = one is not None and other is not None and unwrap(one) == unwrap(other)
        if same_function or is_one_model(metric.judge, spec):
            what = (
                f"the judge of {metric.name} is the {result.called(role)} itself ({spec.spelling})"
            )
            where, evidence = (
                errors.Where(metric.source, key="metric.judge"),
                f"{result.called(role)}: {spec.source}",
            )
            cure = "Use a third model as the judge: models prefer their own answers (self-preference bias)."
            raise errors.ConfigError(what, where=where, evidence=evidence, cure=cure)


def is_one_model(one: ModelSpec, other: ModelSpec) -> bool:
    """Return whether two models are one, whatever their names in the gate, prompts, and spellings of URL and model.

    A name without the provider or folder before it may be the other name; two with different ones
    are two models.
    """
    if one.identity != other.identity:
        return False
    name, other_name = (spec.kind.name_sent(spec.options) for spec in (one, other))
    if name is None or other_name is None:
        return True

    folders = [sent.rpartition("/")[0] for sent in (name, other_name)]
    alike = folders[0] == folders[1] or "" in folders
    return alike and is_same(name, other_name) and is_same(other_name, name)


def check(gate: Context) -> Iterator[result.Check]:
    """Note which judges are not calibrated with human labels."""
    if gate.judging is None:
        return
    advice = "Add at least 20 items judged by people: calibration: {path: ..., min_kappa: 0.6}."
    for metric in (judge.metric for judge in gate.judging.judges.values() if not judge.items):
        message = f"the judge {metric.judge.name} is not calibrated against human labels; LLM judges are biased and "
        yield result.Check(
            "evidence", "note", f"{message}can be manipulated", source=metric.source, advice=advice
        )


def check_raters(gate: Context) -> Iterator[result.Check]:
    """Check that the gain is no taste of a few raters, where most pairs have several ratings by enough people.

    The gain is tested again with the raters as the observations. With one rating a pair they are
    its groups.
    """
    metric = gate.scored["candidate"].scores[gate.deciding.name].metric
    ratings = metric.ratings if isinstance(metric, judged.Preferred) else None
    if ratings is None or ratings.few_raters or ratings.mostly_single:
        return
    if gate.config.evidence == "observed" or not gate.comparisons[gate.best].reached:
        return

    required = 0.0
    if gate.config.evidence == "proven":
        required = gate.config.standard_of(gate.best).gain
    p = ratings.rater_p_value(required)
    message = f"with the {ratings.raters:,} raters as the observations the gain is not chance (p = {p:.2g})"
    numbers = gate.requirement("evidence", required=required)
    if evidence.is_sure(p, evidence.level(gate.config.confidence)):
        yield result.Check("evidence", "pass", message, **numbers)
        return

    message = f"with the {ratings.raters:,} raters as the observations the gain could be chance (p = {p:.2g}, sign "
    message += "flips): some prefer the candidate and some the baseline"
    advice = "Let more people rate, about as many pairs each."
    yield result.Check("evidence", "inconclusive", message, **numbers, advice=advice)
