"""A project against its version at the merge base, without git: the files of both, and what is found."""

import json
import re

import pytest
from gate_project import NATIVE_TOML, label, write_files

from pytest_ftgate.checks import weaker as project
from pytest_ftgate.errors import HistoryError
from pytest_ftgate.ini_file import ini_paths, used_ini

INI = "[pytest]\nftgate_required = support\nftgate_forbid_weakening = true\n"
GATE = """version: 1
gates:
  support: {test_set: test.jsonl, training_set: train.jsonl, baseline: 'recorded:base.jsonl',
            candidate: 'recorded:ft.jsonl', margin: 0.05}
"""
TOLD = GATE.replace("'recorded:base.jsonl'", "{provider: openai, model: m, system_file: p.md}, metric: {name: rubric, "
    "judge: 'openai:j', rubric_file: r.md, calibration: {path: held.csv, min_kappa: 0.6}}")  # fmt: skip
MOVED = TOLD.replace("r.md", "judge/r.md").replace("held.csv", "judge/held.csv")
READY, OWN = INI.replace("support", "support:ready"), INI.replace("support", "support own")
EASY = GATE.replace("0.05", "0.01")
TWO = GATE + GATE.partition("gates:\n")[2].replace("support", "billing")
ROWS = [f'{{"id": "t{i}", "input": "question {i}", "expected": "{label(i)}"}}\n' for i in range(5)]
SET = "".join(ROWS)
ANSWERS = "".join(f'{{"id": "t{i}", "output": "right"}}\n' for i in range(5))
HARD = '{"id": "h", "input": "a hard one", "expected": "b"}\n'
MORE = SET.replace("}", ', "lang": "de", "note": "x"}')
PLAIN, GROUPED = (
    re.sub('"id": "t.", ', "", SET),
    '{"id": "g", "input": "x", "expected": "y", "group": "a"}\n',
)
SLICED = GATE.replace("0.05", "0.05, slices: [lang]")
PRETTY = '[\n {"id": "x", "input": "a",\n  "expected": "1"},\n {"id": "y", "input": "b",\n  "expected": "2"}\n]'
SPLIT = "id,input,expected\n1,a,x\n2,b,x\n3,c,x\n"
POLICY = "version: 1\ndefaults: {margin: 0.05}\n"
REPEATED = POLICY.replace("0.05", "0.05, repeats: 2")
EXTENDED = GATE.replace(", margin: 0.05", "") + "defaults: {extends: rules.yaml}\n"
BELOW = GATE.replace("'recorded:", "'recorded:../").replace(": t", ": ../t")
ABOVE = "[pytest]\nftgate_config = ../ftgate.yaml\n"
IN_GATES = {"gates/test_gate.py": ""}
USUAL = {"ftgate.yaml": GATE, "pytest.ini": INI, "test.jsonl": SET}


def data(name):
    return GATE.replace("test.jsonl", name)


def talk(greeting, answer):
    turns = ["hi", greeting, f"which of {greeting}", answer]
    messages = [{"role": ["user", "assistant"][i % 2], "content": turns[i]} for i in range(4)]
    return json.dumps({"id": greeting, "messages": messages}) + "\n"


EACH = GATE.replace("test.jsonl", "{path: test.jsonl, turns: each}")
CASES = {  # then, now (with the usual test set), findings
    "nothing": ({}, {}, ()),
    # ini keys and ini files
    "permitted": ({}, {"pytest.ini": INI.replace("true", "no")}, ("ini ftgate_forbid_weakening: true -> no",)),
    "no longer said": ({}, {"pytest.ini": "[pytest]\n"}, ("support -> not set (pytest.ini)", "ing: true -> not set")),
    "less of one": ({}, {"pytest.ini": READY}, ("ini ftgate_required: support -> support:ready (pytest.ini:2)",)),
    "more of one": ({"pytest.ini": READY}, {"pytest.ini": INI}, ()),
    "all of them": ({}, {"pytest.ini": INI.replace("support", "all")}, ()),
    "all of the file": ({"pytest.ini": OWN}, {"pytest.ini": INI.replace("support", "all")}, ("support own -> all",)),
    "another base": ({}, {"pytest.ini": f"{INI}ftgate_base_ref = HEAD\n"}, ("ini ftgate_base_ref: not set -> HEAD",)),
    "another store": ({"pytest.ini": f"{INI}ftgate_state = x\n"}, {"pytest.ini": f"{INI}ftgate_state = y\n"}, ()),
    "an ini file that comes first": (
        {}, {"pytest.toml": ""},
        ("the ini file pytest.ini is no longer used; pytest.toml is used", "-> not set", "true ->")
    ),
    "an ini file that moved": ({}, {"pytest.ini": None, "tox.ini": INI}, ()),
    "an ini file without our keys": ({"pytest.ini": "[pytest]\n"}, {"pytest.ini": None, "tox.ini": "[pytest]\n"}, ()),
    "an ini file that is gone": ({}, {"pytest.ini": None}, ("support -> not set", "true -> not set")),
    "a nearer ini file for the same gate file": (
        IN_GATES, {"gates/pytest.ini": f"{ABOVE}{INI[9:]}"}, ("pytest.ini is no longer used",)),
    "a nearer ini file that requires less": (
        IN_GATES, {"gates/pytest.ini": ABOVE}, ("no longer used", "support -> not set", "true -> not set")),
    "an ini file in the gate file's folder that is gone": (
        {"gates/pytest.ini": INI, "gates/ftgate.yaml": BELOW, "pytest.ini": "[pytest]\n"},
        {"gates/pytest.ini": None, "pytest.ini": "[pytest]\nftgate_config = gates/ftgate.yaml\n"},
        ("support -> not set", "true -> not set")),
    "an ini file beside the gate file, where another one is nearer": (
        {"ml/pytest.ini": INI, "ml/ftgate.yaml": BELOW, "pytest.ini": "[pytest]\nftgate_config = ml/ftgate.yaml\n"},
        {"ml/pytest.ini": None}, ("support -> not set", "true -> not set")),
    "an ini file behind a linked folder": (
        {"conf/test_gate.py": "", "conf/pytest.ini": f"{ABOVE}{INI[9:]}", "pytest.ini": None},
        {"conf/pytest.ini": ABOVE}, ("ini ftgate_required: support -> not set (conf/pytest.ini)", "true -> not set")),
    # gate files and gates
    "another gate file": (
        {"easy.yaml": EASY}, {"pytest.ini": f"{INI}ftgate_config = easy.yaml\n"},
        ("the gate file ftgate.yaml is no longer used; easy.yaml is used instead",
         "support: margin: 0.05 -> 0.01 (easy.yaml:4)")),
    "another path of it, behind a linked folder": (
        {"pytest.ini": f"{INI}ftgate_config = conf/ftgate.yaml\n", "conf/ftgate.yaml": BELOW, "ftgate.yaml": None},
        {"pytest.ini": f"{INI}ftgate_config = easy.yaml\n", "easy.yaml": EASY},
        ("the gate file conf/ftgate.yaml is no longer used; easy.yaml is used instead", "base.jsonl",
         "0.05 -> 0.01 (easy.yaml:4)"),
    ),
    "a gate file that moved with all it asks for": (
        {"pytest.ini": f"{INI}ftgate_config = gates/ftgate.yaml\n", "gates/ftgate.yaml": BELOW, "ftgate.yaml": None},
        {"pytest.ini": f"{INI}ftgate_config = checks/ftgate.yaml\n", "checks/ftgate.yaml": BELOW,
         "gates/ftgate.yaml": None},
        ()),
    "a gate file that moved and asks for less": (
        {"pytest.ini": f"{INI}ftgate_config = gates/ftgate.yaml\n", "gates/ftgate.yaml": BELOW, "ftgate.yaml": None},
        {"pytest.ini": f"{INI}ftgate_config = checks/ftgate.yaml\n", "gates/ftgate.yaml": None,
         "checks/ftgate.yaml": BELOW.replace("0.05", "0.01")},
        ("support: margin: 0.05 -> 0.01 (checks/ftgate.yaml:4)",)),
    "a project that moved to another folder": (
        {"a/pytest.ini": INI, "a/ftgate.yaml": BELOW, "pytest.ini": None, "ftgate.yaml": None,
         "gates/test_gate.py": ""},
        {"a/pytest.ini": None, "a/ftgate.yaml": None, "gates/pytest.ini": "[pytest]\n",
         "gates/ftgate.yaml": BELOW.replace("0.05", "0.01")},
        ("support -> not set", "true -> not set", "support: margin: 0.05 -> 0.01 (gates/ftgate.yaml:4)")),
    "a gate file below is not read": ({"gates/ftgate.yaml": BELOW}, {"gates/ftgate.yaml": None}, ()),
    "a project that moved into a folder": (
        IN_GATES,
        {"pytest.ini": None, "ftgate.yaml": None, "gates/pytest.ini": INI,
         "gates/ftgate.yaml": BELOW.replace("0.05", "0.01")},
        ("base.jsonl", "support: margin: 0.05 -> 0.01 (gates/ftgate.yaml:4)")),
    "the first gate file": ({"ftgate.yaml": None}, {"ftgate.yaml": GATE}, ()),
    "a removed gate": ({"ftgate.yaml": TWO}, {"ftgate.yaml": GATE}, ("billing: the gate billing was removed (ftgate",)),
    "no gates": ({}, {"ftgate.yaml": "version: 1\n"}, ("the gate support was removed (ftgate.yaml:3 at main)",)),
    "no gate file": ({}, {"ftgate.yaml": None}, ("the gate support was removed (ftgate.yaml:3 at",)),
    "a new gate": ({"ftgate.yaml": GATE}, {"ftgate.yaml": TWO}, ()),
    "a renamed gate": (
        {}, {"ftgate.yaml": GATE.replace("support", "easy")},
        ("support: the gate support was removed",)),
    "a looser gate": ({}, {"ftgate.yaml": EASY}, ("support: margin: 0.05 -> 0.01 (ftgate.yaml:4)",)),
    "a key that is gone": (
        {"ftgate.yaml": GATE.replace("0.05", "0.05, repeats: 3")}, {"ftgate.yaml": GATE}, ("-> 1 (ftgate.yaml:4 at",)),
    "a broken gate file": ({}, {"ftgate.yaml": "version: 2\n"}, ("could not compare with main: ftgate.yaml:1: ver",)),
    "a gate file that was broken": ({"ftgate.yaml": "version: 2\n"}, {"ftgate.yaml": GATE}, ("could not compare",)),
    "a looser policy": (
        {"ftgate.yaml": EXTENDED, "rules.yaml": POLICY}, {"rules.yaml": POLICY.replace("0.05", "0.02")},
        ("support: margin: 0.05 -> 0.02 (rules.yaml:2)",)),
    "a policy that git does not have": (
        {"ftgate.yaml": EXTENDED, "rules.yaml": None}, {"rules.yaml": POLICY, "untracked": "rules.yaml"}, ()),
    "a policy that is no longer extended": (
        {"ftgate.yaml": EXTENDED.replace("0.05", "0.01"), "rules.yaml": REPEATED},
        {"ftgate.yaml": EXTENDED.replace("{extends: rules.yaml}", "{margin: 0.05, repeats: 2}")},
        ("weakened: None: extends: rules.yaml -> removed (ftgate.yaml:5 at main)",)),
    "a policy that git does not have is no longer extended": (
        {"ftgate.yaml": EXTENDED, "rules.yaml": None},
        {"rules.yaml": REPEATED, "untracked": "rules.yaml",
         "ftgate.yaml": EXTENDED.replace("{extends: rules.yaml}", "{margin: 0.05}")},
        ("extends: rules.yaml -> removed (ftgate.yaml:5 at main)", "repeats: 2 -> 1 (rules.yaml:2 at main)")),
    "a gate file that is not in git": ({}, {"untracked": "ftgate.yaml"}, ("untracked: None: ftgate.yaml is not",)),
    "prompts with other line endings": (
        {"ftgate.yaml": TOLD, "p.md": "a\nb\n", "r.md": "a", "held.csv": "a"}, {"p.md": "a\r\nb\r\n"}, ()),
    "what baselines and judges are told": (
        {"ftgate.yaml": TOLD, "p.md": "a", "r.md": "a", "held.csv": "a"}, {"p.md": "b", "r.md": "b", "held.csv": "b"},
        ("support: p.md was changed", "support: r.md was changed", "support: held.csv was changed")),
    "a rubric and judged items that moved": (
        {"ftgate.yaml": TOLD, "p.md": "a", "r.md": "a", "held.csv": "a"},
        {"ftgate.yaml": MOVED, "judge/r.md": "a", "judge/held.csv": "a"}, ()),
    "a rubric and judged items that moved and ask for less": (
        {"ftgate.yaml": TOLD, "p.md": "a", "r.md": "a", "held.csv": "a"},
        {"ftgate.yaml": MOVED.replace("0.6", "0.5"), "judge/r.md": "b", "judge/held.csv": "a"},
        ("metric.rubric_file: r.md -> judge/r.md", "metric.calibration.min_kappa: 0.6 -> 0.5")),
    # recorded answers of baselines
    "worse answers": (
        {"base.jsonl": ANSWERS}, {"base.jsonl": ANSWERS.replace("right", "wrong", 2)},
        ("baseline: 5 answers of base.jsonl -> 2 changed (t0, t1 at main) (ftgate.yaml:3)",)),
    "worse answers elsewhere": (
        {"base.jsonl": ANSWERS},
        {"ftgate.yaml": GATE.replace("base.j", "old/base.j"), "old/base.jsonl": ANSWERS.replace("right", "wrong", 1)},
        ("1 changed (t0 at main)",)),
    "lost answers": ({"base.jsonl": ANSWERS}, {"base.jsonl": ANSWERS.partition("\n")[2]}, ("1 removed (t0 at",)),
    "more answers, otherwise written": (
        {"base.jsonl": ANSWERS.partition("\n")[2]}, {"base.jsonl": ANSWERS.replace("}", ', "latency_s": 1}')}, ()),
    "answers of other ids": (
        {"base.jsonl": ANSWERS},
        {"base.jsonl": ANSWERS.replace('"t', '"u'), "test.jsonl": SET.replace('"t', '"u')}, ()),
    # test sets
    "another order and layout": ({"test.jsonl": "".join(reversed(ROWS)).replace(": ", ":") + "\n"}, {}, ()),
    "other line endings": ({"test.jsonl": SET}, {"test.jsonl": SET.replace("\n", "\r\n")}, ()),
    "removed": ({"test.jsonl": SET + HARD}, {}, ("6 examples of test.jsonl -> 1 removed (line 6 at main) (",)),
    "relabelled": ({"test.jsonl": SET.replace('"refund"', '"b"')}, {}, ("2 changed (line 1, line 4 at main)",)),
    "four relabelled": ({"test.jsonl": SET.replace('ed": "', 'ed": "x')}, {}, ("5 changed (line 1, line 2, l",)),
    "another input": ({"test.jsonl": SET.replace("question 2", "why 2")}, {}, ("1 removed (line 3",)),
    "added": ({"test.jsonl": "".join(ROWS[:3])}, {}, ()),
    "new": ({"test.jsonl": None}, {}, ()),
    "turns, of which two begin alike": (
        {"ftgate.yaml": EACH, "test.jsonl": talk("a", "x") + talk("b", "y")},
        {"test.jsonl": talk("a", "x") + talk("b", "z") + talk("c", "y")},
        ("4 examples of test.jsonl -> 1 changed (line 2 at main)",)),
    "that cannot be found": ({}, {"test.jsonl": None}, ()),
    "another file": (
        {"other.jsonl": SET + HARD}, {"ftgate.yaml": data("other.jsonl"), "other.jsonl": SET}, ()),
    "another file with other examples": (
        {"other.jsonl": SET}, {"ftgate.yaml": data("other.jsonl"), "other.jsonl": "".join(ROWS[1:])},
        ("1 removed (line 1",)),
    "other spaces": ({"test.jsonl": SET.replace("question", " question ")}, {}, ()),
    "not in git": ({"test.jsonl": None}, {"untracked": "test.jsonl"}, ("untracked: support: test.jsonl is not",)),
    "removed, with hashes for ids": (
        {"test.jsonl": PLAIN + PLAIN.replace("question", "why")}, {"test.jsonl": PLAIN},
        ("10 examples of test.jsonl -> 5 removed (line 6, line 7, line 8 at main) (",)),
    "unreadable": ({"test.jsonl": "{"}, {}, ("compare with main: test.jsonl cannot be read there: inv",)),
    "a slice": ({"ftgate.yaml": SLICED, "test.jsonl": MORE}, {"test.jsonl": MORE.replace("de", "en", 1)}, ("1 c",)),
    "another field": ({"test.jsonl": MORE}, {"test.jsonl": MORE.replace('"x"', '"y"', 1)}, ("1 changed (line 1",)),
    "other ids": ({"test.jsonl": SET.replace("t0", "x").replace("t1", "t0").replace('"x', '"t1')}, {}, ()),
    "further fields": ({}, {"test.jsonl": MORE}, ()),
    "ids of their own": ({"test.jsonl": PLAIN}, {"test.jsonl": SET}, ()),
    "a slice of their own": ({"ftgate.yaml": SLICED}, {"test.jsonl": MORE}, ()),
    "groups of others": (
        {"test.jsonl": SET + GROUPED}, {"test.jsonl": MORE.replace("lang", "group") + GROUPED}, ("5 changed",)),
    "a group that is gone": ({"test.jsonl": MORE.replace("lang", "group")}, {"test.jsonl": MORE}, ("5 changed",)),
    "groups of their own": ({}, {"test.jsonl": MORE.replace("lang", "group")}, ()),
    "labels exchanged in indented JSON": (
        {"ftgate.yaml": data("t.json"), "t.json": PRETTY},
        {"t.json": PRETTY.replace("1", "0").replace("2", "1").replace("0", "2")},
        ("2 examples of t.json -> 2 changed (line 2, line 4",)),
    "rows quoted away": (
        {"ftgate.yaml": data("t.csv"), "t.csv": SPLIT}, {"t.csv": SPLIT.replace("b,x\n3,c", '"b,x\n3,c"')},
        ("2 removed (line 3, line 4 at main)",)),
    "other first rows": (
        {"ftgate.yaml": data("{path: test.jsonl, limit: 2}"), "test.jsonl": "".join(reversed(ROWS))},
        {}, ("2 removed (line 1, line 2 at",)),
    "of a guard": (
        {"ftgate.yaml": GATE.replace("0.05", "0.05, guards: {a: {test_set: a.jsonl, max_drop: 0.1}}"), "a.jsonl": SET},
        {"a.jsonl": "".join(ROWS[1:])}, ("guards.a.test_set: 5 examples of a.jsonl -> 1 removed (line 1",)),
}  # fmt: skip

PROJECTS_BELOW = {  # beside the usual project, which is still there; then, now, findings
    "a new project below": (
        IN_GATES,
        {"gates/pytest.ini": INI, "gates/ftgate.yaml": BELOW},
        (),
    ),
    "a new project below that requires nothing": (
        IN_GATES,
        {"gates/pytest.ini": "[pytest]\n", "gates/ftgate.yaml": BELOW},
        (),
    ),
    "a project below": (
        {**IN_GATES, "gates/pytest.ini": "[pytest]\n", "gates/ftgate.yaml": BELOW},
        {},
        (),
    ),
}


class Then:
    """The base branch as a mapping of files."""

    name = "main"
    refs = ("refs/heads/main",)

    def __init__(self, root, tracked, untracked):
        self.root = root
        self.kept = {
            root / name: text.encode() for name, text in tracked.items() if text is not None
        }
        self.files, self.untracked = (
            {str(one) for one in self.kept if one.parent.name != "conf"},
            untracked,
        )

    def holds(self, old, new):
        return new.is_file() and self.kept.get(old) == new.read_bytes()

    def content(self, path):
        return self.kept.get(path)

    def changed(self, path):
        return path.read_bytes().replace(b"\r\n", b"\n") != self.kept[path]

    def tracks(self, path):
        return path.name != self.untracked


def compared(root, start):
    """Compare the project of a session that is started in a folder."""
    used = used_ini(ini_paths(start), lambda path: path.read_bytes() if path.is_file() else None)
    home = used.path.parent if used is not None else root
    name = used.ours.get("ftgate_config", "ftgate.yaml") if used is not None else "ftgate.yaml"
    return project.compare((home / name).resolve(), home, used.path if used is not None else None)


@pytest.mark.parametrize(
    ("base_files", "head_files", "fragments"),
    [
        pytest.param(*row, id=name, marks=NATIVE_TOML if "pytest.toml" in row[1] else ())
        for name, row in CASES.items()
    ],
)
def test_what_is_found(tmp_path, monkeypatch, base_files, head_files, fragments):
    monkeypatch.chdir(tmp_path)
    base = Then(tmp_path, {**USUAL, **base_files}, head_files.get("untracked"))
    monkeypatch.setattr(project, "find_base", lambda home, ref, in_ci: base)
    write_files(tmp_path, {**USUAL, **base_files, "test.jsonl": SET})
    write_files(tmp_path, {name: text for name, text in head_files.items() if name != "untracked"})
    start = next(
        (
            tmp_path / folder
            for folder in ("gates", "conf")
            if f"{folder}/test_gate.py" in base_files
        ),
        tmp_path,
    )
    comparison = compared(tmp_path, start)
    findings = [
        f"{finding.name}: {finding.gate}: {finding.text}".replace("weaker than main: ", "")
        for finding in comparison.findings
    ]
    assert len(findings) == len(fragments), findings
    assert [
        fragment for fragment, one in zip(fragments, findings, strict=True) if fragment not in one
    ] == [], findings
    assert comparison.forbade is any(
        "forbid" in (text or "") for text in {**USUAL, **base_files}.values()
    )
    assert any(finding.was_required for finding in comparison.findings) is (
        "gate support was removed" in "".join(findings)
    )


@pytest.mark.parametrize(
    ("base_files", "head_files", "fragments"), PROJECTS_BELOW.values(), ids=PROJECTS_BELOW
)
def test_a_project_in_a_folder_below_another_one_is_a_project_of_its_own(
    tmp_path, monkeypatch, base_files, head_files, fragments
):
    monkeypatch.chdir(tmp_path)
    base = Then(tmp_path, {**USUAL, **base_files}, None)
    monkeypatch.setattr(project, "find_base", lambda home, ref, in_ci: base)
    write_files(tmp_path, {**USUAL, **base_files, **head_files})
    comparison = compared(tmp_path, tmp_path / "gates")
    findings = [
        f"{finding.name}: {finding.gate}: {finding.text}" for finding in comparison.findings
    ]
    assert [fragment in text for fragment, text in zip(fragments, findings, strict=True)] == [
        True
    ] * len(fragments), findings
    assert comparison.forbade is False


def test_ones_own_base_counts_once_the_usual_one_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base_ini, ini = f"{INI}ftgate_base_ref = develop\n", tmp_path / "pytest.ini"
    today = {**USUAL, "ftgate.yaml": EASY, "pytest.ini": base_ini}
    write_files(tmp_path, today)
    for usual, changes in (
        (USUAL, ["base_ref: not set -> develop", "0.05 -> 0.01"]),
        ({**USUAL, "pytest.ini": base_ini}, []),
    ):
        bases = {None: Then(tmp_path, usual, None), "develop": Then(tmp_path, today, None)}
        monkeypatch.setattr(project, "find_base", lambda home, ref, in_ci, bases=bases: bases[ref])
        comparison = project.compare(tmp_path / "ftgate.yaml", tmp_path, ini, "develop").findings
        assert [
            fragment in one.text for fragment, one in zip(changes, comparison, strict=True)
        ] == [True] * len(changes)


def test_what_git_does_not_say(tmp_path, monkeypatch):
    """Of two bases the own one comes second."""
    questions = []

    def fails(home, ref, *, in_ci):
        questions.append(ref)
        raise HistoryError(f"git has no branch {ref}")

    monkeypatch.setattr(project, "find_base", fails)
    comparison = project.compare(tmp_path / "ftgate.yaml", tmp_path, None, "develop")
    (finding,) = comparison.findings
    assert finding.text == "could not compare with the base branch: git has no branch develop"
    assert (comparison.forbade, comparison.absent, questions) == (False, False, [None, "develop"])
    monkeypatch.undo()
    assert project.compare(tmp_path / "ftgate.yaml", tmp_path, None).absent


def test_what_has_no_cure_has_no_advice():
    finding = project.Finding(
        "weakened", None, "could not compare with main: git did not answer within 60 s"
    )
    check = finding.check(forbidden=True)
    assert (check.status, check.cure) == ("fail", None)
