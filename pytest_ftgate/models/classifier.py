"""Fine-tuned classifiers in this process: ``provider: transformers`` with ``task: text-classification``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_ftgate import clock
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import canonical_json, expected_text
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models import transformers
from pytest_ftgate.models.protocol import Completion, Surroundings
from pytest_ftgate.models.python import FunctionModel, question
from pytest_ftgate.models.workers import CALLS_AT_ONCE
from pytest_ftgate.text import listed

TASK = "text-classification"
_OF_TEXT = ("adapter", "max_new_tokens", "params", "system", "few_shot", "template")
_NUMBERED = re.compile(r"LABEL_\d+")


@dataclass(frozen=True)
class Classifier:
    """Answer texts with the label of the largest score, as ``id2label`` of the model names it."""

    model: str  # a folder
    version: str  # a hash of its files
    dtype: str
    device: str | None
    batch_size: int

    def __call__(self, texts: Sequence[str]) -> list[Completion]:
        """Return the label of each text. Texts of similar length are classified together, which need little padding."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found: dict[int, Completion] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            found.update(zip(rows, self._classified([texts[row] for row in rows]), strict=True))
        return [found[row] for row in range(len(texts))]

    def _classified(self, texts: list[str]) -> list[Completion]:
        """Return the label of each text; of models for several labels, a JSON list of those above 0.5."""
        import torch

        weights = transformers.load(self.model, self.version, self.dtype, self.device, "SequenceClassification")
        tokenizer = transformers.load_tokenizer(self.model, self.model, self.version)
        start = clock.perf_counter()
        encoded = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right", truncation=True)
        with weights.using(None, "") as model, torch.inference_mode():
            scores = model(**encoded.to(model.device)).logits
        names = model.config.id2label
        if model.config.problem_type == "multi_label_classification":
            labels = [canonical_json([names[i] for i, score in enumerate(row) if score > 0]) for row in scores.tolist()]
        else:
            labels = [names[i] for i in scores.argmax(dim=-1).tolist()]
        latency_s = clock.perf_counter() - start
        sizes = encoded["attention_mask"].sum(dim=1).tolist()
        return [
            Completion(label, input_tokens=size, output_tokens=0, latency_s=latency_s)
            for label, size in zip(labels, sizes, strict=True)
        ]


def build_classifier(spec: ModelSpec, surroundings: Surroundings) -> FunctionModel:
    """Return a classifier. Raise :class:`ConfigError` for keys and labels that do not suit it."""
    options, where = spec.options, spec.source.where
    unfit = [key for key in _OF_TEXT if key in options]
    if unfit:
        what = f"{listed(unfit)} has no meaning with task: {TASK}"
        cure = "Remove it; an adapter is merged into its model before that is saved."
        raise ConfigError(what, where=where(unfit[0]), cure=cure)
    folder = transformers.find_folder(spec, "model", surroundings)
    config = transformers.config_in(folder)
    names = [str(name) for name in (config.get("id2label") or {"0": "LABEL_0"}).values()]
    asked = () if surroundings.asked is None else surroundings.asked.expected
    if config and all(map(_NUMBERED.fullmatch, names)) and not {expected_text(one) for one in asked} & {*names}:
        what = f"the labels of {options['model']} have no names: id2label of its config.json has {listed(names[:3])}"
        cure = "Save them with the model: model.config.id2label = dict(enumerate(encoder.classes_))."
        raise ConfigError(what, where=where("model"), cure=cure)
    version, dtype = transformers.fingerprint(folder), options.get("dtype", "auto")
    batch_size = options.get("batch_size", transformers.BATCH_SIZE)
    classifier = Classifier(str(folder), version, dtype, options.get("device"), batch_size)
    facts = {"task": TASK, "files": version, "dtype": dtype}
    model = transformers.local_model(spec, classifier, facts, uses=classifier, given=question)
    return replace(model, batch_size=batch_size * CALLS_AT_ONCE)
