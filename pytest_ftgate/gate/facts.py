"""A result's facts beside its judgement: what a gate asks for, what its data and models are, and what is advised."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.advice.facts import Facts
from pytest_ftgate.checks.advice.rules import advise
from pytest_ftgate.checks.guards import described as described_guard
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import GateResult, ModelResult, TestSetResult, TrainingResult

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.config import GateConfig


def described(config: GateConfig, nodeid: str) -> GateResult:
    """A gate as it is written; in error until it is judged."""
    baselines = {role: ModelResult(spec.name, spec.spelling) for role, spec in config.baselines.items()}
    return GateResult(
        name=config.name,
        nodeid=nodeid,
        verdict="error",
        metric=config.metric.name,
        margin=config.margin,
        objective=config.objective,
        max_drop=config.max_drop,
        evidence=config.evidence,
        confidence=config.confidence,
        baseline=next(iter(baselines.values())),
        baselines=baselines,
        candidate=ModelResult(config.candidate.name, config.candidate.spelling if config.has_candidate else None),
        hypothesis=None if config.hypothesis is None else str(config.hypothesis),
        gate=config.gate,
        stage=config.stage,
    )


def with_data(result: GateResult, prepared: Prepared) -> GateResult:
    """The result with what is known of data and models before any is called."""
    test, metric = prepared.test, prepared.deciding
    baselines = {role: prepared.described(role, facts) for role, facts in result.baselines.items()}
    return replace(
        result,
        training=_training_result(prepared.audit),
        test_set=TestSetResult(test.path, test.sha256, len(test)),
        metric_range=(metric.low, metric.high),
        guards=tuple(map(described_guard, prepared.guards.values())),
        baselines=baselines,
        baseline=next(iter(baselines.values())),
        candidate=prepared.described("candidate", result.candidate),
    )


def _training_result(audit: TrainingAudit) -> TrainingResult:
    return TrainingResult(
        audit.path,
        audit.sha256,
        audit.rows,
        audit.usable,
        audit.duplicates,
        audit.conflicts,
        audit.leaked,
        near_duplicates=len(audit.near_rows),
        leaked_near=len(audit.leaked_near_rows),
        truncated=len(audit.unfinished),
        chat_errors=len(audit.chat_errors),
        too_long=len(audit.long_rows),
        imbalance=audit.labels.imbalance,
        suspicious=len(audit.doubts.rows),
    )


def with_advice(result: GateResult, prepared: Prepared) -> GateResult:
    """The result with what would lead to a better one."""
    if result.passed:  # there is nothing to advise, and a long training set need not be counted for that
        return result
    labels = Counter(expected_text(example.expected).strip() for example in prepared.training)
    return replace(result, advice=advise(Facts(result, labels)))
