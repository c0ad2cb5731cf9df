"""Gates on a small Llama and LoRA adapters that are trained here, in this process and on its CPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate_project import ALONE, Project, check, ends, mentions, passed, stopped, write_jsonl

for name in ("torch", "transformers", "peft"):
    pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[test,local]'")

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from small_model import LABELS, make_adapter, make_base, rows  # noqa: E402

from pytest_ftgate.models import transformers as provider  # noqa: E402

# peft reads an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

N = 60
LESSONS = rows(210, 1000)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder with ``base``, and adapters that learned the right labels and wrong ones."""
    folder = tmp_path_factory.mktemp("weights")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    make_base(folder / "base")
    make_adapter(folder / "base", folder / "right", LESSONS[:90])
    wrong = [{**row, "expected": LABELS[LABELS.index(row["expected"]) - 1]} for row in LESSONS[:90]]
    make_adapter(folder / "base", folder / "wrong", wrong)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def adapters(project: Project, weights: Path) -> Project:
    """Return a project whose candidate is the adapter in ``lora``, and whose baseline is its base."""
    shutil.copytree(weights / "base", project.path / "base")
    shutil.copytree(weights / "right", project.path / "lora")
    write_jsonl(project.path / "test.jsonl", rows(N, 5000))
    write_jsonl(project.path / "train.jsonl", LESSONS)
    local = {"provider": "transformers", "model": "base", "max_new_tokens": 8}
    project.keys.update(baseline=local, candidate={**local, "adapter": "lora"})
    return project


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the models that were loaded into memory, none before this test."""
    provider.load.cache_clear()
    loaded: list[str] = []
    load = provider.Weights.__init__

    def noted(self: provider.Weights, base: Any) -> None:
        loaded.append(base.name_or_path)
        load(self, base)

    monkeypatch.setattr(provider.Weights, "__init__", noted)
    return loaded


def test_an_adapter_beats_its_base_and_shares_its_weights(
    adapters: Project, loads: list[str]
) -> None:
    gate = passed(adapters.judge())
    assert gate["candidate"]["value"] > 0.9
    assert gate["baseline"]["value"] < 0.8
    assert gate["candidate"]["input_tokens"] == gate["baseline"]["input_tokens"] > N
    assert gate["candidate"]["output_tokens"] == 2 * N  # the label and the end
    assert len(loads) == 1


def test_the_base_answers_alike_before_and_after_adapters(
    adapters: Project, weights: Path, loads: list[str]
) -> None:
    def generator(adapter: str | None = None) -> provider.Generator:
        folder = str(weights / adapter) if adapter else None
        return provider.Generator(
            model=str(weights / "base"),
            adapter=folder,
            versions=("base", adapter or ""),
            max_new_tokens=8,
        )

    base, right, wrong = generator(), generator("right"), generator("wrong")
    questions = [[{"role": "user", "content": row["input"]}] for row in rows(12, 5000)]

    def texts(model: provider.Generator) -> list[str]:
        return [completion.text for completion in model(questions)]

    alone = [texts(base), texts(right), texts(wrong)]
    assert alone == [texts(base), texts(right), texts(wrong)]
    assert alone[0] != alone[1] != alone[2]
    assert len(loads) == 1


def test_new_weights_are_never_judged_by_old_answers(adapters: Project, weights: Path) -> None:
    assert adapters.judge(stored=True)["verdict"] == "pass"
    second_gate = adapters.judge(stored=True)
    assert (second_gate["candidate"]["n_stored"], second_gate["baseline"]["n_stored"]) == (N, N)
    shutil.copytree(weights / "wrong", adapters.path / "lora", dirs_exist_ok=True)
    gate = ends(adapters.judge(stored=True), "fail")
    assert gate["candidate"]["value"] < 0.1
    assert (gate["candidate"]["n_stored"], gate["baseline"]["n_stored"]) == (0, N)


def test_a_moved_folder_and_what_training_leaves_change_no_key(adapters: Project) -> None:
    folder = adapters.path / "lora"
    first_digest = provider.fingerprint(folder)
    (folder / "trainer_state.json").write_text("{}")
    (folder / "README.md").write_text("a model card")
    (folder / "checkpoint-7").mkdir()
    assert provider.fingerprint(folder.rename(adapters.path / "moved")) == first_digest
    (adapters.path / "moved" / "adapter_config.json").write_text("{}")
    assert provider.fingerprint(adapters.path / "moved") != first_digest


def changed(adapters: Project, **keys: Any) -> dict[str, Any]:
    """Judge a candidate with these keys."""
    return adapters.judge(
        candidate={**adapters.keys["candidate"], **keys}, checks={"baseline_prompt": "warn"}
    )


def test_batches_change_no_answer_and_prompts_and_limits_are_kept(adapters: Project) -> None:
    plain = adapters.judge()["candidate"]
    assert [changed(adapters, batch_size=size)["candidate"]["value"] for size in (1, 7)] == [
        plain["value"]
    ] * 2
    prompted = changed(adapters, system="the", few_shot=2)["candidate"]
    assert prompted["input_tokens"] > plain["input_tokens"] + 2 * N
    assert changed(adapters, max_new_tokens=1)["diagnosis"]["candidate"]["cut_off"] > 0


def test_a_gate_in_pytest_has_no_noise(adapters: Project) -> None:
    adapters.gate_test()
    result = adapters.pytester.runpytest(*ALONE, "-Werror", "-s")
    result.assert_outcomes(passed=1)
    assert "Loading weights" not in result.stderr.str() + result.stdout.str()


# --- what is refused --------------------------------------------------------------------------------------------


def test_an_adapter_that_is_not_there_or_of_another_model(adapters: Project) -> None:
    candidate = {**adapters.keys["candidate"], "adapter": "lorra"}
    mentions(stopped(adapters.judge(candidate=candidate, offline=True)), "lorra", "adapter")
    path = adapters.path / "lora" / "adapter_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "target_modules": ["no_such_layer"]})
    )
    mentions(
        check(ends(adapters.judge(), "error"), "candidate_answers"),
        "lora",
        "does not fit",
        "base model",
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "role"),
    [
        ("base/model.safetensors", "model.norm.weight", None, "baseline"),
        (
            "base/model.safetensors",
            "layers.0.mlp.up_proj.weight",
            "layers.0.mlp.gate_up.weight",
            "baseline",
        ),
        ("lora/adapter_model.safetensors", "layers.0", "layers.7", "candidate"),
        ("lora/adapter_model.safetensors", "q_proj", None, "candidate"),
    ],
)
def test_weights_that_are_missing_or_fit_nothing_are_named(
    adapters: Project, loads: list[str], file: str, old: str, new: str | None, role: str
) -> None:
    path = adapters.path / file
    tensors = load_file(path)
    assert any(old in name for name in tensors)
    named = {
        name.replace(old, new or ""): tensor
        for name, tensor in tensors.items()
        if new or old not in name
    }
    save_file(named, path, metadata={"format": "pt"})
    for _ in range(2):  # what did not fit is no better when it is loaded
        finding = check(ends(adapters.judge(), "error"), f"{role}_answers")
        mentions(finding, old)
        assert finding["observed"] == 0


def test_messages_for_a_model_without_a_chat_template(adapters: Project) -> None:
    (adapters.path / "base" / "chat_template.jinja").unlink()
    gate = ends(changed(adapters, system="Name the topic."), "error")
    mentions(check(gate, "candidate_answers"), "chat template", "template")


# --- tools ------------------------------------------------------------------------------------------------------

TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]


def test_tools_of_a_row_reach_the_chat_template(adapters: Project) -> None:
    gate = adapters.judge()["candidate"]["input_tokens"]
    questions = [
        {**row, "input": [{"role": "user", "content": row["input"]}], "tools": TOOLS}
        for row in rows(N, 5000)
    ]
    write_jsonl(adapters.path / "test.jsonl", questions)
    problem = ends(adapters.judge(), "error")
    mentions(check(problem, "baseline_answers"), "chat template", "weather")
    path = adapters.path / "base" / "chat_template.jinja"
    path.write_text(
        "{% for t in tools %}{{ t['function']['name'] }} {% endfor %}" + path.read_text()
    )
    assert adapters.judge()["candidate"]["input_tokens"] == gate + N


def test_arguments_of_earlier_calls_reach_the_template_as_objects() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    taken = provider._with_arguments_as_objects({"role": "assistant", "tool_calls": [call]})
    assert taken["tool_calls"] == [{**call, "function": {"name": "f", "arguments": {"a": 1}}}]
