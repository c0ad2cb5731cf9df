"""How reports call models that nobody has named."""

import json
import shutil

import pytest


def names(project, **keys):
    gate = project.judge(**keys)
    assert gate["verdict"] == "pass", gate["checks"]
    return gate["baseline"]["name"], gate["candidate"]["name"]


@pytest.mark.parametrize(
    ("places", "called"),
    [
        (("base.jsonl", "ft.jsonl"), ("base.jsonl", "ft.jsonl")),
        (("base/out.jsonl", "ft/out.jsonl"), ("base/out.jsonl", "ft/out.jsonl")),
        # as few folders as tell them apart
        (("x/base/out/a.jsonl", "x/ft/out/a.jsonl"), ("base/out/a.jsonl", "ft/out/a.jsonl")),
        (("a.jsonl", "ft/a.jsonl"), ("a.jsonl", "ft/a.jsonl")),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(project, places, called):
    keys = {}
    for role, name, place in zip(
        ("baseline", "candidate"), ("base.jsonl", "ft.jsonl"), places, strict=True
    ):
        (project.path / place).parent.mkdir(parents=True, exist_ok=True)
        if place != name:
            shutil.copy(project.path / name, project.path / place)
        keys[role] = f"recorded:{place}"
    assert names(project, **keys) == called


def test_the_model_that_made_recorded_answers_is_named(project):
    for name, model in (("base.jsonl", "gpt"), ("ft.jsonl", "ft:gpt")):
        rows = [json.loads(line) for line in (project.path / name).read_text().splitlines()]
        for row in rows:
            row["model"] = model
        text = "\n".join(map(json.dumps, rows))
        (project.path / name).write_text(text, encoding="utf-8")
    assert names(project) == ("base.jsonl (gpt)", "ft.jsonl (ft:gpt)")

    # A name that somebody wrote stays, and several models are none.
    rows[0]["model"] = "gpt"
    text = "\n".join(map(json.dumps, rows))
    (project.path / "ft.jsonl").write_text(text, encoding="utf-8")
    baseline = {"provider": "recorded", "path": "base.jsonl", "name": "mine"}
    assert names(project, baseline=baseline) == ("mine", "ft.jsonl")
