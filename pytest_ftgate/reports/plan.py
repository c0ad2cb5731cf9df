"""A plan or a preview of a gate as lines of text. All lines are safe to print."""

from collections.abc import Iterator, Sequence

from pytest_ftgate import text
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.unlabeled import inputs_sentence, makes_ties
from pytest_ftgate.data import expected_text
from pytest_ftgate.gate.plan import (
    CHARACTERS_PER_TOKEN,
    Asked,
    Calls,
    Plan,
    Prompt,
    Prospects,
)
from pytest_ftgate.reports import tables
from pytest_ftgate.reports.sentences import headline
from pytest_ftgate.reports.text import Line, finding_lines, heading
from pytest_ftgate.result import RED
from pytest_ftgate.runs.measure import is_right, rightness, shown_input
from pytest_ftgate.statistics.planning import Chances

_LONGEST, _SHORT = 20_000, 68
"""The most characters of a prompt or an answer, with ``-v`` and without."""
_FINISHES = {"refusal": "refused", "filtered": "filtered", "cut_off": "cut off"}
_FIRST_MESSAGES = 2
"""The messages at the start of a prompt that are shown without ``-v``, beside the last."""


def plan_lines(plan: Plan, *, full: bool) -> list[Line]:
    """Return the title and the lines of a plan; ``full`` prints prompts and answers whole."""
    lines = [_title(plan), *finding_lines(plan.checks)]
    if plan.gate is None:
        return [*lines, Line("no model was called")]

    lines += map(Line, _scope(plan, len(plan.gate.test)))
    for number in range(plan.preview):
        lines += _example(plan, number, full=full)
    if plan.preview:
        lines.append(Line(""))

    lines += map(Line, _calls(plan))
    for check in plan.checks:
        if (check.kind, check.status) == ("data", "note"):
            lines += map(Line, text.wrapped(check.message))
    if plan.prospects is not None:
        lines += map(Line, ("", *_chances(plan.gate, plan.prospects)))
    for model in plan.models:
        lines += _first_prompt(model, full=full)
    return lines


def plan_headline(plan: Plan) -> str:
    """Return why a plan fails, for pytest's summary; empty if it does not."""
    if any(check.status in RED for check in plan.checks):
        return headline(plan.checks)
    if plan.n_missing:
        return f"{text.plural(plan.n_missing, 'answer')} of the preview missing"
    return ""


def _title(plan: Plan) -> Line:
    """Return ``ftgate intents: PLAN``, and what went wrong."""
    outcome = "PREVIEW" if plan.preview else "PLAN"
    if plan.n_missing:
        outcome += ", a call failed"
    elif plan.failed:
        outcome += ", a check already fails"
    return Line(heading(plan.name, outcome), "red" if plan.failed else "yellow")


def _scope(plan: Plan, n: int) -> Iterator[str]:
    """Yield what the models were asked; ``n`` is the size of the test set."""
    if not plan.preview:
        yield "no model was called"
        return
    sentence = f"the first {plan.preview:,} of {text.plural(n, 'example')}"
    if plan.calls:
        sentence = f"the models were asked about {sentence}"
    if plan.unscored:
        sentence += f"; {plan.unscored}"
    yield sentence


def _calls(plan: Plan) -> Iterator[str]:
    """Yield the calls that each model needs."""
    if not plan.calls:
        yield "no calls are needed: all answers are recorded in files"
        return

    rows = tuple(_cells(model) for model in plan.calls)
    columns = tables.columns([""], ("calls", "tokens in", "tokens out", "cost"))
    yield from tables.Table("", columns, rows).lines()
    yield _needed(plan.calls)

    # What holds for several models is said once.
    remarks: dict[str, None] = {}
    for model in plan.calls:
        if model.outputs:
            remarks[f"estimate: {CHARACTERS_PER_TOKEN} characters a token, {model.outputs}"] = None
        if model.usd is None and model.unknown:
            remarks[f"cost unknown: {model.unknown}"] = None
    for remark in remarks:
        yield from text.wrapped(remark)


def _needed(models: Sequence[Calls]) -> str:
    """Return how many calls the run needs, and what they cost."""
    calls = sum(model.calls for model in models)
    not_stored = sum(model.left for model in models)
    sentence = f"this run needs {not_stored:,} of {text.plural(calls, 'call')}"

    # A sum without the unknown costs would be too low.
    costs = [model.left_usd for model in models if model.left_usd is not None]
    if not_stored and len(costs) == len(models):
        cost = text.show_usd(sum(costs))
        if any(model.outputs for model in models):
            cost = f"about {cost}"
        sentence += f" ({cost})"
    if not_stored < calls:
        sentence += ": the other answers are stored"
    return sentence


def _cells(model: Calls) -> tuple[str, ...]:
    calls = f"{model.calls:,}"
    if model.most:
        calls = f"at most {calls}"
    return (
        text.printable(model.name, 60),
        calls,
        text.show_count(model.input_tokens),
        text.show_count(model.output_tokens),
        text.show_usd(model.usd),
    )


def _chances(gate: Context, prospects: Prospects) -> Iterator[str]:
    """Yield how likely each verdict is, by the true gain."""
    key = "margin" if prospects.margin >= 0 else "max_drop"
    margin = f"{key} {text.show_amount(abs(prospects.margin), share=gate.share)}"
    evidence = f"{prospects.evidence} at {text.show_percent(gate.config.confidence)}"
    examples = text.plural(len(gate.gain_set), "example")
    yield f"{gate.deciding.name}, {examples}, {margin}, {evidence}"
    attempt = gate.facts.get("attempt")
    if attempt is not None:
        yield str(attempt)

    rows = []
    for gain, chance in prospects.chances.items():
        rows.append((text.show_difference(gain, share=gate.share), *_shares(chance)))
    columns = tables.columns((), ("true gain", "pass", "fail", "inconclusive"))
    yield from tables.Table("", columns, tuple(rows)).lines()
    yield prospects.basis
    if prospects.margin > 0 and prospects.evidence != "proven":
        yield "A candidate that gains exactly the margin passes at most half of the time."
    needed = prospects.needed
    if needed is not None and needed.more:
        true_gain = text.show_difference(needed.gain, share=gate.share)
        more = text.plural(needed.more, "more example")
        yield f"80 % power for a true gain of {true_gain} takes about {more}."
        if makes_ties(gate.deciding):
            yield inputs_sentence(needed.more, needed.fewest, needed.most)


def _shares(chances: Chances | None) -> tuple[str, ...]:
    """Return the shares of pass, fail and inconclusive as cells."""
    if chances is None:
        return ("-",) * 3
    return tuple(f"{100 * share:.0f} %" for share in chances)


# --- prompts and answers --------------------------------------------------------------------------


def _first_prompt(model: Asked, *, full: bool) -> Iterator[Line]:
    yield Line("")
    if not model.prompts:
        sentence = f"{model.name}: recorded answers, so the prompt is not known"
        yield Line(text.printable(sentence), "bold")
        return

    size = f"about {text.plural(model.tokens, 'token')}"
    if not full:
        size += ", -v prints all"
    yield Line(text.printable(f"first prompt of {model.name} ({size})"), "bold")
    yield from _prompt(model.prompts[0], full=full)


def _prompt(prompt: Prompt, *, full: bool) -> Iterator[Line]:
    last = len(prompt) - 1
    for number, (role, message) in enumerate(prompt):
        if full or number < _FIRST_MESSAGES or number == last:
            yield from _labelled(role, message, full=full)
        elif number == _FIRST_MESSAGES:
            yield Line("  ...")


def _example(plan: Plan, number: int, *, full: bool) -> Iterator[Line]:
    example = plan.shown[number]
    yield from (Line(""), Line(text.printable(example.name), "bold"))
    yield from _labelled("input", shown_input(example), full=full)
    yield from _labelled("expected", expected_text(example.expected), full=full)
    for model in plan.models:
        prompts = model.prompts
        # The first prompt is shown below; of the others only the last message usually differs.
        if number and prompts and prompts[0][:-1] != prompts[number][:-1]:
            yield Line(text.printable(f"  {model.role} is sent:"))
            for line in _prompt(prompts[number], full=full):
                yield Line(f"  {line.text}")
        yield from _answer(model, number, full=full)


def _answer(model: Asked, number: int, *, full: bool) -> Iterator[Line]:
    assert model.run is not None  # it is a preview
    answer = model.run.predictions[0][number]
    completion = answer.completion
    if completion is None:
        reason = text.one_line(answer.error or "no answer")
        yield Line(text.printable(f"  {model.role}, FAILED: {reason}"), "red")
        return

    words = [model.role]
    if completion.finish in _FINISHES:
        words.append(_FINISHES[completion.finish])
    if completion.finish_reason is not None:
        words.append(f"unknown finish_reason '{completion.finish_reason}'")
    colour = ""
    if model.scored is not None:
        value = float(rightness(model.scored)[number])
        colour = "red"
        mark = "wrong"
        if is_right(model.scored.metric, value):
            colour = "green"
            mark = "right"
        # Ends of the scale read better as words, also of graded metrics.
        if value not in (0.0, 1.0):
            mark = text.show_value(value, share=model.scored.metric.share)
        words.append(mark)
    yield from _labelled(", ".join(words), completion.text or "(empty)", colour, full=full)


def _labelled(label: str, content: str, colour: str = "", *, full: bool) -> Iterator[Line]:
    """Yield a text after its label: an excerpt, or with ``full`` all its lines."""
    lines = content[:_LONGEST].strip("\n").splitlines() or [""]
    if not full:
        excerpt = text.shortened(" ".join(content.split()), _SHORT)
        yield Line(f"  {text.printable(f'{label}: {excerpt}')}", colour)
        return

    if len(lines) == 1:
        yield Line(f"  {text.printable(f'{label}: {lines[0]}', _LONGEST)}", colour)
    else:
        yield Line(f"  {text.printable(label)}:", colour)
        for line in lines:
            yield Line(f"    {text.printable(line, _LONGEST)}")
