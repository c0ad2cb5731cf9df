"""The fixtures: what they give, and what overriding them does."""

from typing import Any

import pytest
from gate_project import OWN, Project, check, mentions, passed, stopped

EXAMPLES = "({'id': f't{i}', 'input': f'customer question {i}', 'expected': LABELS[i % 3]} for i in range(60))"


def test_any_callable_is_a_model_and_any_iterable_of_examples_a_data_set(project: Project) -> None:
    project.file(
        "conftest.py",
        f"import pytest\n{OWN}"
        "@pytest.fixture\ndef ftgate_baseline(): return lambda text: weak(text)\n"
        "@pytest.fixture(scope='session')\ndef ftgate_candidate():\n"
        "    async def model(text): return good(text)\n    return model\n"
        f"@pytest.fixture\ndef ftgate_test_set(): return {EXAMPLES}\n"
        "@pytest.fixture\ndef ftgate_training_set():\n"
        "    return [(f'training question {i}', LABELS[i % 3]) for i in range(150)]\n",
    )
    fixtures = dict.fromkeys(("baseline", "candidate", "test_set", "training_set"), ...)
    project.gate_test(**fixtures, min_training_examples=150)
    gate = passed(project.gate())
    assert (gate["candidate"]["value"], gate["candidate"]["n_stored"]) == (1.0, 0)
    assert gate["test_set"] == {"path": None, "sha256": gate["test_set"]["sha256"], "examples": 60}
    assert gate["training"]["usable"] == 150


def test_a_fixture_is_nearer_than_the_file(green: Project) -> None:
    fixture = (
        "import pytest\n\n@pytest.fixture\ndef ftgate_training_set(): return [('a', 'refund')]\n"
    )
    green.file("conftest.py", fixture)
    assert check(green.gate(), "min_training_examples")["observed"] == 1


def test_the_default_fixtures_give_models_and_examples_and_evaluate_runs_any_model(
    project: Project,
) -> None:
    project.own("def shout(text): return text.upper()\n")
    project.gate_test(
        "def test_gate(ftgate_baseline, ftgate_test_set, ftgate_training_set):\n"
        "    assert len(ftgate_test_set) == 60 and len(ftgate_training_set) == 200\n"
        "    assert ftgate_test_set[0].input == 'customer question 0'\n"
        "    assert ftgate_baseline('hello') == 'HELLO'\n"
        "import pytest_ftgate\n"
        "def test_run(ftgate_evaluate):\n"
        "    run = ftgate_evaluate('recorded:ft.jsonl', 'test.jsonl')\n"
        "    assert run.metrics['accuracy'] == 56 / 60\n"
        "    run = ftgate_evaluate(lambda text: 'refund', 'test.jsonl', metric='f1_macro')\n"
        "    assert 0.1 < run.metrics['f1_macro'] < 0.2\n"
        "    with pytest.raises(pytest_ftgate.FtgateError) as caught:\n"
        "        ftgate_evaluate('large.jsonl', 'test.jsonl')\n"
        "    assert 'candidate: unknown model' in str(caught.value)\n",
        baseline="python:own:shout",
        candidate="python:own:good",
        checks={"weak_baseline": "warn", "formatting_gain": "warn"},
    )
    project.run().assert_outcomes(passed=2)


def test_an_override_may_wrap_what_the_gate_says(project: Project) -> None:
    project.filed()
    project.gate_file(
        (project.path / "ftgate.yaml").read_text().replace("recorded:ft.jsonl", "python:own:quote")
    )
    project.own("def quote(text): return f'<{good(text)}>'\n")
    wrapped = (
        "def ftgate_candidate(ftgate_candidate): return lambda text: ftgate_candidate(text)[1:-1]\n"
    )
    project.file("conftest.py", f"import pytest\n@pytest.fixture\n{wrapped}")
    gate = project.gate()
    assert gate["candidate"]["value"] == 1.0, gate["wrong"]


def test_the_fixture_needs_the_mark_and_overriding_it_does_not_override_the_verdict(
    project: Project,
) -> None:
    project.file("test_run.py", "def test_run(ftgate): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture ftgate needs the mark*"])
    project.file("conftest.py", "import pytest\n@pytest.fixture\ndef ftgate(): return None\n")
    project.gate_test("def test_gate(ftgate): pass\n", margin=0.3)
    project.run("test_gate.py").assert_outcomes(failed=1)


RELABELLED = f"""import json, pytest
from pytest_ftgate import Example
{OWN}
ROWS, EXAMPLES = [], []
@pytest.fixture(params=[0, 1], ids=['as it was', 'relabelled'])
def data(request):
    rows = [{{'id': f't{{i}}', 'input': f'customer question {{i}}', 'expected': LABELS[(i + request.param) % 3]}}
            for i in range(60)]
    ROWS[:], EXAMPLES[:] = rows, [Example(**row) for row in rows]
    with open('made.jsonl', 'w') as file:
        file.writelines(json.dumps(row) + '\\n' for row in rows)
"""
IN_PLACE = "@pytest.fixture\ndef ftgate_test_set(data):\n    return {}\n"
ONCE = f"@pytest.fixture(scope='session')\ndef ftgate_test_set():\n    return {EXAMPLES}\n"


@pytest.mark.parametrize(
    ("source", "test_set", "verdict"),
    [
        ("", "made.jsonl", "fail"),
        *((IN_PLACE.format(name), ..., "fail") for name in ("ROWS", "EXAMPLES")),
        (ONCE, ..., "pass"),  # an iterator is read once for all gates of a session
    ],
)
def test_data_that_changed_meanwhile_are_read_again(
    project: Project, source: str, test_set: Any, verdict: str
) -> None:
    project.file("conftest.py", RELABELLED + source)
    project.gate_test("def test_gate(data):\n    pass\n", test_set=test_set)
    first, second = project.report()["gates"]
    assert (first["verdict"], second["verdict"]) == ("pass", verdict)
    second_gate = verdict == "pass"
    assert first["candidate"]["value"] > 0.9
    assert (second["candidate"]["value"] > 0.1) is second_gate
    assert (first["test_set"]["sha256"] == second["test_set"]["sha256"]) is second_gate


GIVEN = "@pytest.fixture(params=['a', 'b'])\ndef "
NEEDED = "@pytest.fixture\ndef ftgate_candidate(checkpoint): return lambda text: checkpoint\n"


@pytest.mark.parametrize(
    ("fixtures", "n", "message"),
    [
        (
            "\n@pytest.fixture\ndef ftgate_candidate(): pass\n",
            1,
            ["the fixture ftgate_candidate, conftest.py:3 returned None"],
        ),
        (
            f"{GIVEN}ftgate_candidate(request): return lambda text: request.param\n",
            2,
            ["test_gate.py", "requested fixture has no parameter", "'ftgate_candidate'"],
        ),
        (  # as pytest says it
            f"{GIVEN}checkpoint(request): return request.param\n{NEEDED}",
            2,
            ["test_gate.py", "requested fixture has no parameter", "'checkpoint'"],
        ),
    ],
    ids=["nothing", "itself", "what it needs"],
)
def test_a_fixture_without_a_value_or_request(
    project: Project, fixtures: str, n: int, message: Any
) -> None:
    project.file("conftest.py", f"import pytest\n{fixtures}")
    project.gate_test(candidate=...)
    mentions(check(project.gate(), "configuration"), *message)
    project.gate_test("def test_gate(ftgate_candidate):\n    pass\n", candidate=...)
    assert len(project.report()["gates"]) == n


# --- fixtures that give no value --------------------------------------------------------------------------------


def with_fixture(project: Project, fixture: str) -> None:
    """``test_gate.py`` with a fixture, and a gate whose marker has no candidate."""
    project.file(
        "test_gate.py",
        f"import pytest\n{fixture}{project.mark(candidate=...)}\ndef test_gate(): pass\n",
    )


def test_a_marker_without_keys_has_a_place(green: Project) -> None:
    green.file("test_gate.py", "import pytest\n@pytest.mark.ftgate\ndef test_gate(): pass\n")
    mentions(stopped(green.gate()), "test_gate.py:2", "test_set", "gate file")


def test_a_fixture_that_takes_the_input_is_an_error(project: Project) -> None:
    with_fixture(project, "@pytest.fixture\ndef ftgate_candidate(text): return len\n")
    assert stopped(project.gate())["name"] == "configuration"
    project.result.stdout.fnmatch_lines(["E * fixture 'text' not found"])


def test_an_exception_of_a_fixture_is_told(project: Project) -> None:
    with_fixture(project, "@pytest.fixture\ndef ftgate_candidate(): raise OSError('no GPU')\n")
    assert check(project.gate(), "configuration")["message"] == "OSError: no GPU"


def test_a_test_that_is_ended_while_its_gate_is_judged_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pytest-timeout ends it."""

    def judge_gate(*_: object, **__: object) -> None:
        pytest.fail("Timeout (>3.0s)")

    monkeypatch.setattr("pytest_ftgate.plugin.outcome.judge_gate", judge_gate)
    project.gate_test()
    refused = stopped(project.gate())
    assert (refused["name"], refused["kind"]) == ("interrupted", "models")
    mentions(refused, "Timeout (>3.0s)")


def test_a_misspelt_metric_shows_no_frame_of_ours(project: Project) -> None:
    project.gate_test("def test_gate(ftgate): assert ftgate.candidate.score('acuracy') > 0")
    text = project.run().stdout.str()
    assert "not measured, only accuracy; did you mean 'accuracy'?" in text
    assert "ModelResult(" not in text


def test_a_gate_that_a_fixture_skips_is_said_to_be_unjudged(project: Project) -> None:
    with_fixture(project, "@pytest.fixture\ndef ftgate_candidate(): pytest.skip('no GPU')\n")
    result = project.run()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["gate test_gate.py::test_gate was not judged: its test was skipped: no GPU"]
    )
    assert result.ret == 0


def test_a_body_that_skips_under_a_green_gate_is_said(project: Project) -> None:
    project.gate_test("def test_gate(): pytest.skip('no GPU')\n")
    result = project.run()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["gate * passed, but the body of its test was skipped: no*"])


@pytest.mark.parametrize(
    "fixture",
    ["ftgate", "ftgate_baseline", "ftgate_candidate", "ftgate_test_set", "ftgate_training_set"],
)
def test_the_fixtures_of_a_gate_need_its_marker(green: Project, fixture: str) -> None:
    green.file("test_gate.py", f"def test_a({fixture}): pass\n")
    result = green.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"the fixture {fixture} needs the marker @pytest.mark.ftgate(*"])
    result.stdout.no_fnmatch_line("*Error*")


SUBTESTS = """
    for value in range(3):
        with subtests.test(value=value):
            assert value != 2
"""


def test_subtests_have_outcomes_of_their_own(project: Project) -> None:
    """The block of a red gate stands at the test alone."""
    if pytest.version_tuple < (9,):
        pytest.skip("pytest 9 has subtests")
    project.gate_test(f"def test_gate(subtests):{SUBTESTS}", margin=0.9)
    result = project.run("-rA")
    text = result.stdout.str()
    assert (result.parseoutcomes()["failed"], text.count("SUBFAILED")) == (2, 1)
    assert text.count("ftgate test_gate.py::test_gate: FAIL") == 1
