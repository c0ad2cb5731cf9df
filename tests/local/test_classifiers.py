"""Gates on a small BERT that is fine-tuned here as a classifier, in this process and on its CPU."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from gate_project import Project, mentions, passed, stopped, write_jsonl

for name in ("torch", "transformers", "peft"):
    pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[test,local]'")

import torch  # noqa: E402
from small_model import LABELS, make_tokenizer, rows  # noqa: E402
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, pipeline  # noqa: E402
from transformers import BertForSequenceClassification as Bert  # noqa: E402

N = 60


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier that learned the labels, and of one, ``raw``, that did not."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    names = dict(enumerate(LABELS))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        pad_token_id=tokenizer.pad_token_id, id2label=names, label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    model = Bert(config)
    for where in ("raw", "tuned"):
        if where == "tuned":
            _train(model, tokenizer)
        model.eval().save_pretrained(folder / where)
        tokenizer.save_pretrained(folder / where)
    return folder


def _train(model: Bert, tokenizer: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    lessons = rows(210, 1000)
    inputs = tokenizer(
        [row["input"] for row in lessons], return_tensors="pt", padding=True, padding_side="right"
    )
    gold = torch.tensor([LABELS.index(row["expected"]) for row in lessons])
    for _ in range(40):
        optimizer.zero_grad()
        model(**inputs, labels=gold).loss.backward()
        optimizer.step()


@pytest.fixture
def classified(project: Project, bert: Path) -> Project:
    write_jsonl(project.path / "test.jsonl", rows(N, 5000))
    write_jsonl(project.path / "train.jsonl", rows(210, 1000))
    local = {"provider": "transformers", "task": "text-classification"}
    project.keys.update(
        baseline={**local, "model": str(bert / "raw")}, candidate={**local, "model": str(bert / "tuned")},
        checks={"weak_baseline": "warn"},
    )  # fmt: skip
    return project


def test_a_classifier_is_judged_by_the_names_of_its_labels(classified: Project, bert: Path) -> None:
    gate = passed(classified.judge())
    tokenizer = AutoTokenizer.from_pretrained(bert / "tuned")
    model = AutoModelForSequenceClassification.from_pretrained(bert / "tuned").eval()
    right = 0
    for row in rows(N, 5000):
        with torch.inference_mode():
            index = model(**tokenizer(row["input"], return_tensors="pt")).logits.argmax().item()
        right += model.config.id2label[index] == row["expected"]
    assert gate["candidate"]["value"] == right / N


def test_real_pipelines_are_candidates(classified: Project, bert: Path) -> None:
    pipelines = [
        pipeline("text-classification", model=str(bert / "tuned"), device="cpu", **options)
        for options in ({}, {"top_k": None})
    ]
    values = {classified.judge(candidate=pipeline)["candidate"]["value"] for pipeline in pipelines}
    assert values == {passed(classified.judge())["candidate"]["value"]}


@pytest.mark.parametrize("key", ["system", "few_shot", "max_new_tokens", "adapter", "template"])
def test_what_only_texts_need_is_refused(classified: Project, key: str) -> None:
    values: dict[str, Any] = {"few_shot": 2, "max_new_tokens": 5, "template": "{input}"}
    candidate = {**classified.keys["candidate"], key: values.get(key, "x")}
    mentions(stopped(classified.judge(candidate=candidate)), key, "task: text-classification")


def test_labels_without_names_are_those_of_an_encoder(
    classified: Project, bert: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bert / "tuned", tmp_path / "unnamed")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): f"LABEL_{i}" for i in range(3)}
    (folder / "config.json").write_text(json.dumps(config))
    candidate = {**classified.keys["candidate"], "model": str(folder)}
    mentions(stopped(classified.judge(candidate=candidate), called=True), "LABEL_", "id2label")


def test_a_classifier_without_its_task_lacks_the_weights_that_write_text(
    classified: Project, bert: Path
) -> None:
    candidate = {"provider": "transformers", "model": str(bert / "tuned")}
    mentions(stopped(classified.judge(candidate=candidate), called=True), "weights", "cls.")


def test_a_batch_is_asked_at_once(bert: Path) -> None:
    from pytest_ftgate.models.transformers import Classifier

    ask = Classifier(
        model=str(bert / "tuned"), version="1", dtype="auto", device="cpu", batch_size=64
    )
    texts = [row["input"] for row in rows(64, 9000)]
    alone = [ask([text])[0].text for text in texts]
    start = time.perf_counter()
    assert [answer.text for answer in ask(texts)] == alone
    assert all(answer.latency_s <= time.perf_counter() - start for answer in ask(texts[:2]))
