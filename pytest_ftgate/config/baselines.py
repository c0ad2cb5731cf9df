"""The key ``baselines``: models by name, some with a standard of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, model_validator

from pytest_ftgate.config.keys import Amount, Keys, Weaker, names, optional, place
from pytest_ftgate.config.model_keys import OpenAIKeys
from pytest_ftgate.config.models import ModelSpec, Written, read_model, refuse_one
from pytest_ftgate.config.problems import refusal, refusals
from pytest_ftgate.config.requirements import ProvenDrop
from pytest_ftgate.config.source import At


class Standard(NamedTuple):
    """Hold what the candidate must reach against one baseline, and the key that asks for it."""

    path: str  # such as ``margin`` or ``baselines.champion.max_drop``
    gain: float  # the required gain; negative where the candidate may be worse

    @property
    def key(self) -> str:
        """Return ``margin`` or ``max_drop``."""
        return self.path.rpartition(".")[2]

    @property
    def drops(self) -> bool:
        """Return whether the candidate may be worse."""
        return self.key == "max_drop"


def _read_optional(value: Any, info: ValidationInfo) -> ModelSpec | None:
    return None if value is None else read_model(value, info)


class BaselineKeys(Keys):
    """A baseline with its own standard, in place of the gate's margin or max_drop."""

    one_at_most = (("margin", "max_drop"),)

    model: Annotated[ModelSpec | None, PlainValidator(_read_optional, json_schema_input_type=Written | None)] = Field(
        description="The model; null where there is none yet, such as no champion."
    )
    margin: Annotated[Amount, Weaker("lower")] = optional("How much better than this baseline the candidate must be.")
    max_drop: ProvenDrop = optional(
        "How much worse than this baseline the candidate may be: it must be proven to be worse by at most that."
    )

    def standard(self, role: str) -> Standard:
        """Return the standard of the baseline with this name."""
        if self.max_drop is not None:
            return Standard(f"baselines.{role}.max_drop", -self.max_drop)
        return Standard(f"baselines.{role}.margin", self.margin)

    def placed(self, at: At, name: str | None = None) -> BaselineKeys:
        """Return a copy that knows its sources; the model goes by the baseline's name."""
        copy = super().placed(at)
        copy.__dict__["model"] = place(self.model, partial(at, "model"), name)
        return copy

    @classmethod
    def _objection(cls, key: Any, value: Any) -> str | None:
        return None if key == "model" and value is None else super()._objection(key, value)

    @model_validator(mode="after")
    def _has_standard(self) -> BaselineKeys:
        if not self.model_fields_set & {"margin", "max_drop"}:
            raise refusal("must have margin or max_drop beside model; without either, write the model alone")
        if self.model is None and self.max_drop is None:
            cure = "a baseline without a model cannot be beaten: name a model, or write max_drop in place of margin"
            raise refusals([(("margin",), cure)])
        return self


def _read_entry(value: Any, info: ValidationInfo) -> ModelSpec | BaselineKeys:
    """Return a model, or an entry with its own standard: a mapping that is no model."""
    if not isinstance(value, Mapping):
        return read_model(value, info)
    own = [key for key in ("margin", "max_drop") if key in value]
    if value.keys() & {"provider", "extends"}:
        if own:
            raise refusals([((own[0],), f"put the model under model: {{model: {{...}}, {own[0]}: ...}}")])
    elif own or ("model" in value and not (value.keys() - {"model"}) & OpenAIKeys.model_fields.keys()):
        return BaselineKeys.model_validate(value, context=info.context)
    return read_model(value, info)


def has_own_standards(baselines: Any) -> bool:
    """Return whether each of the baselines, as written, has a standard of its own, so that the gate needs none."""
    entries = list(baselines.values()) if isinstance(baselines, Mapping) else []
    return bool(entries) and all(isinstance(one, Mapping) and one.keys() & {"margin", "max_drop"} for one in entries)


def _read_names(values: dict[str, Any]) -> dict[str, Any]:
    if "candidate" in values:
        raise refusals([(("candidate",), "a baseline must not be named candidate")])
    return names(values)


_Written = Written | BaselineKeys
_Entry = Annotated[ModelSpec | BaselineKeys, PlainValidator(_read_entry, json_schema_input_type=_Written)]

if TYPE_CHECKING:
    BaselinesValue = dict[str, ModelSpec]  # once all places are merged
else:
    BaselinesValue = Annotated[
        dict[str, _Entry],
        Field(min_length=1),
        AfterValidator(_read_names),
        BeforeValidator(partial(refuse_one, key="baseline")),
    ]
