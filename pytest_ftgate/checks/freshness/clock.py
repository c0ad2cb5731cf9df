"""What the name of a model says of its weights: a snapshot, an alias that may move, or a fine-tune of a base model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.drift import check_name, drift_check, incomparable, measure_drift, replaced_check
from pytest_ftgate.checks.freshness.evidence import Evidence, age_check, oldest_prediction
from pytest_ftgate.checks.freshness.last_green import KeptModel, LastGreen, asked_hash, metric_text, pack_scores
from pytest_ftgate.checks.freshness.shutdown import Served, shutdowns
from pytest_ftgate.result import STATUS_AT, Check, Clock, Drift, GateResult, called, closed
from pytest_ftgate.text import DAY_S, day, excerpt, timestamp

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.checks.freshness.shutdown import Listings
    from pytest_ftgate.config import GateConfig, ModelSpec


_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(?=-|$)")

# Families of which OpenAI publishes dated snapshots, and their undated names move from one to the next. A name that
# is none of these is not called an alias: some models have one name and no snapshots.
_FAMILY = re.compile(
    r"(gpt-\d+(\.\d+)?o?|o\d+)(-(mini|nano|pro|turbo|preview|instruct|codex|16k|32k|audio|realtime|search))*"
)


def base_in_name(model: str) -> str | None:
    """``gpt-4.1-mini-2025-04-14`` of ``ft:gpt-4.1-mini-2025-04-14:acme::abc123``; None where the name holds no base."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def is_alias(model: str, *, revision: str | None, public: bool) -> bool:
    """Whether the name is known to stand for whatever weights are the newest.

    Args:
        model: its name at the endpoint.
        revision: what the gate says of the state of the weights, which pins those of an endpoint of one's own.
        public: the endpoint is OpenAI's own, which moves its aliases whatever the gate says.
    """
    if base_in_name(model) is not None or (revision is not None and not public):
        return False
    if re.search(r"[-:]latest$", model):
        return True
    return public and _FAMILY.fullmatch(model) is not None and _SNAPSHOT.search(model) is None


_PIN = "Name the dated snapshot."

_REBASED = "If it was meant: judge it once with clock: {base_changed: warn}; that green verdict is then the reference."


def free_clock_checks(prepared: Prepared, last: LastGreen | None) -> list[Check]:
    """Names that may be moved to other weights, and what is another one than at the last green verdict."""
    if last is None:
        return list(_alias_checks(prepared))
    return [*_alias_checks(prepared), *_changed_checks(prepared, last), *_test_set_checks(prepared, last)]


def _alias_checks(prepared: Prepared) -> Iterator[Check]:
    from pytest_ftgate.models.openai_api.endpoint import PUBLIC_ENDPOINT, endpoint_of

    clock, told = prepared.config.clock, set()
    if clock.alias == "ignore":
        return
    for role in prepared.models:
        spec = prepared.asked(role)
        model, revision = _served_as(spec), spec.options.get("revision")
        if model is None or model in told:
            continue
        public = endpoint_of(spec, model).base_url == PUBLIC_ENDPOINT
        if is_alias(model, revision=revision, public=public):
            told.add(model)
            yield Check(
                check_name("alias", role),
                STATUS_AT[clock.alias],
                f"{called(role)} {excerpt(model)} is an alias: it may be moved to another model, and what is measured "
                "today does not hold for that one",
                observed=model,
                source=clock.source("alias"),
                advice=_PIN if public else "Name a version that stays, or give the model a revision.",
            )


def today_models(prepared: Prepared) -> dict[str, KeptModel]:
    """The models that are asked, by role, as far as what is beneath them is known."""
    return {role: _today(prepared, role) for role in prepared.models}


def _today(prepared: Prepared, role: str) -> KeptModel:
    spec = prepared.asked(role)
    model, revision, tuned = _served_as(spec), spec.options.get("revision"), prepared.tuned.get(role)
    base = tuned.job.base_model if tuned is not None else None
    if model is None:
        return KeptModel(spec.spelling, base_model=base)
    served_as = f"{model} (revision {revision})" if revision else model
    return KeptModel(spec.spelling, served_as, base or base_in_name(model))


def _served_as(spec: ModelSpec) -> str | None:
    """The model's name at an endpoint; None where it has none, or which checkpoint it is is not known yet."""
    return spec.options.get("model") if spec.provider == "openai" else None


def _kept_role(config: GateConfig, role: str) -> str:
    """Under what a model is kept: of several candidates each under its own name."""
    if role != "candidate" or not config.candidates:
        return role
    return next((f"candidate {name}" for name, spec in config.candidates.items() if spec is config.candidate), role)


def _beneath(role: str, model: KeptModel | None) -> str | None:
    """What must stay the same: a candidate is trained anew, on the same base; a baseline is the same model."""
    if model is None:
        return None
    return model.base_model if role == "candidate" else model.served_as


def _changed_checks(prepared: Prepared, last: LastGreen) -> Iterator[Check]:
    clock = prepared.config.clock
    if clock.base_changed == "ignore":
        return
    for role, model in today_models(prepared).items():
        then = _beneath(role, last.models.get(_kept_role(prepared.config, role)))
        now = _beneath(role, model)
        if then is None or now is None or then == now:
            continue
        what = f"the base model of {called(role)}" if role == "candidate" else called(role)
        yield Check(
            check_name("base_changed", role),
            STATUS_AT[clock.base_changed],
            f"{what} is {excerpt(now)}; at the last green verdict ({day(last.judged_at)}) it was {excerpt(then)}",
            observed=now,
            required=then,
            source=clock.source("base_changed"),
            advice=_REBASED if clock.base_changed == "fail" else None,
        )


def _test_set_checks(prepared: Prepared, last: LastGreen) -> Iterator[Check]:
    """A gate is read as one story over time, which another test set ends."""
    if (last.test_set, last.examples) != (prepared.test.sha256, len(prepared.test)):
        message = f"the test set is another one than at the last green verdict ({day(last.judged_at)})"
        yield Check("test_set_changed", "note", message, observed=prepared.test.sha256, required=last.test_set)


def judge_clock(
    result: GateResult,
    prepared: Prepared,
    evidence: Evidence,
    last: LastGreen | None,
    listings: Listings,
    *,
    offline: bool,
    refreshed: bool,
    now: float,
) -> GateResult:
    """The result with the age of its evidence, announced shutdowns, and what moved since the last green verdict.

    Args:
        result: judged in all other respects.
        prepared: what the models were called with.
        evidence: what they answered.
        last: the last green verdict before this one, where one is known.
        listings: what endpoints say of their models.
        offline: no endpoint may be asked.
        refreshed: stored predictions were asked for anew.
        now: seconds since the epoch.
    """
    config = prepared.config
    oldest = oldest_prediction(evidence)
    clock = known_clock(prepared, last, now)
    clock = replace(clock, evidence_age_days=None if oldest is None else _days(now - oldest))
    if not evidence.scored:
        return replace(result, clock=clock)
    checks: list[Check] = []
    if config.max_age_days is not None:
        checks.append(age_check(config, evidence, oldest, now))
    if config.clock.shutdown != "ignore":
        served = _served(prepared, evidence, offline=offline)
        dates, found = shutdowns(config, served, last, listings, now)
        checks += found
        clock = replace(clock, shutdown_dates=dates)
    if refreshed:
        drifts, found = _drifts(prepared, evidence, last)
        checks += found
        clock = replace(clock, drift=tuple(drifts))
    return closed(replace(result, clock=clock), (*result.checks, *checks))


def _served(prepared: Prepared, evidence: Evidence, *, offline: bool) -> Iterator[Served]:
    """The models at endpoints. Only who was asked for answers is asked for dates."""
    from pytest_ftgate.models.openai_api.endpoint import endpoint_of

    for role, today in today_models(prepared).items():
        spec = prepared.asked(role)
        model = _served_as(spec)
        if model is not None:
            ask = evidence.asked_anew(role) and not offline
            yield Served(role, model, today.base_model, endpoint_of(spec, model), ask)


def known_clock(prepared: Prepared, last: LastGreen | None, now: float) -> Clock:
    """What the clock says before any call; ``now`` in seconds since the epoch."""
    today = {role: known for role, one in today_models(prepared).items() if (known := _beneath(role, one))}
    clock = Clock(base_models=today)
    if last is None:
        return clock
    then = {role: _beneath(role, last.models.get(_kept_role(prepared.config, role))) for role in prepared.models}
    return replace(
        clock,
        last_green=timestamp(last.judged_at),
        last_green_age_days=_days(now - last.judged_at),
        last_measured=None if last.measured_at is None else timestamp(last.measured_at),
        last_base_models={role: known for role, known in then.items() if known},
    )


def _days(seconds: float) -> float:
    return round(max(seconds, 0.0) / DAY_S, 3)


def _drifts(prepared: Prepared, evidence: Evidence, last: LastGreen | None) -> tuple[list[Drift], list[Check]]:
    config, test = prepared.config, prepared.test
    why = incomparable(last, test.sha256, len(test), metric_text(config))
    if why is not None or last is None:
        return [], [Check("drift", "note", why or "")]
    drifts, checks = [], []
    for role, measured in evidence.scored.items():
        before, run = last.models.get(_kept_role(config, role)), measured.run
        if before is None:
            continue
        spelling = prepared.asked(role).spelling
        if before.model != spelling:
            checks.append(replaced_check(role, before, spelling, last.since))
            continue
        scored = measured.scores[config.metric.name]
        drift = measure_drift(role, before, scored, confidence=config.confidence, groups=prepared.groups)
        if drift is None:
            continue
        alike = not run.model.persistent or before.asked == asked_hash(run)
        drifts.append(drift)
        checks.append(drift_check(drift, last.since, scored, asked_alike=alike, asked_anew=evidence.asked_anew(role)))
    if not checks:
        checks.append(Check("drift", "note", "no answers of the last green verdict are known to compare today's with"))
    return drifts, checks


def green_verdict(result: GateResult, prepared: Prepared, evidence: Evidence, now: float) -> LastGreen:
    """What is kept of a green verdict."""
    from pytest_ftgate.runs.measure import rightness

    config, models = prepared.config, {}
    for role, today in today_models(prepared).items():
        measured = evidence.scored[role]
        scored = measured.scores[config.metric.name]
        kept = {"asked": asked_hash(measured.run), "value": scored.value, "scores": pack_scores(rightness(scored))}
        models[_kept_role(config, role)] = replace(today, **kept)  # type: ignore[arg-type]
    return LastGreen(
        judged_at=now,
        measured_at=oldest_prediction(evidence),
        test_set=prepared.test.sha256,
        examples=len(prepared.test),
        metric=metric_text(config),
        models=models,
        shutdown=dict(result.clock.shutdown_dates) if result.clock is not None else {},
    )
