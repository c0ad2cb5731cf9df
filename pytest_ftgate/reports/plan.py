"""A plan or a preview of a gate as lines of text. All lines are safe to print."""

from collections.abc import Iterator

from pytest_ftgate import text
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.gate.plan import (
    CHARACTERS_PER_TOKEN,
    Asked,
    Calls,
    Plan,
    Prompt,
    Prospects,
)
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.text import Line, finding_lines
from pytest_ftgate.runs.measure import is_right, rightness, shown_input
from pytest_ftgate.statistics.planning import Chances

_LONGEST, _SHORT = 20_000, 68
"""The most characters of a prompt or an answer, with ``-v`` and without."""
_LEFT_OUT = ("guards", "slices", "thresholds", "cheaper_by", "faster_by", "economics")
"""The keys of a gate whose verdicts are not among the chances."""
_MESSAGES = 3
"""The number of messages of a prompt that are shown without ``-v``: the first ones and the last."""


def plan_lines(plan: Plan, *, full: bool) -> list[Line]:
    """Return the title and the lines of a plan; ``full`` prints prompts and answers whole."""
    failed = (
        ", a call failed" if plan.n_missing else ", a check already fails" if plan.failed else ""
    )
    what = f"{'PREVIEW' if plan.preview else 'PLAN'}{failed}"
    lines = [
        Line(f"ftgate {text.printable(plan.name)}: {what}", "red" if plan.failed else "yellow")
    ]
    lines += finding_lines(plan.checks)
    if plan.gate is None:
        return [*lines, Line("no model was called")]
    lines += map(Line, _calls(plan, len(plan.gate.test)))
    for check in plan.checks:
        if check.name == "min_wins" and check.status == "note":
            lines += map(Line, text.wrapped(check.message))
    if plan.prospects is not None:
        lines += map(Line, ("", *_chances(plan.gate, plan.prospects)))
    for model in plan.models:
        lines += _first_prompt(model, full=full)
    for number in range(plan.preview):
        lines += _example(plan, number, full=full)
    return lines


def _calls(plan: Plan, n: int) -> Iterator[str]:
    """Yield the calls that each model needs; ``n`` is the size of the test set."""
    unscored = f"; {plan.unscored}" if plan.unscored else ""
    asked = f"the models were asked about the first {plan.preview:,} of {text.plural(n, 'example')}{unscored}"
    yield asked if plan.preview else "no model was called"
    if not plan.calls:
        yield "no calls are needed: all answers are recorded in files"
        return

    rows = tuple(_cells(model) for model in plan.calls)
    columns = tables.columns([""], ("calls", "tokens in", "tokens out", "cost"))
    yield from tables.Table("", columns, rows).lines()

    calls = sum(model.calls for model in plan.calls)
    left = sum(model.left for model in plan.calls)
    costs = [model.left_usd for model in plan.calls if model.left_usd is not None]
    is_known = left > 0 and len(costs) == len(plan.calls)
    about = "about " if any(model.outputs for model in plan.calls) else ""
    money = f" ({about}{text.show_usd(sum(costs))})" if is_known else ""
    stored = ": the other answers are stored" if left < calls else ""
    yield f"this run needs {left:,} of {text.plural(calls, 'call')}{money}{stored}"
    for outputs in dict.fromkeys(model.outputs for model in plan.calls if model.outputs):
        names = ", ".join(model.name for model in plan.calls if model.outputs == outputs)
        estimate = f"estimate for {names}: {CHARACTERS_PER_TOKEN} characters a token, {outputs}"
        yield from text.wrapped(f"{estimate} (--ftgate-preview=3 measures both)")
    for why in dict.fromkeys(
        model.unknown for model in plan.calls if model.usd is None and model.unknown
    ):
        names = ", ".join(model.name for model in plan.calls if model.unknown == why)
        yield from text.wrapped(f"cost of {names} unknown: {why}")


def _cells(model: Calls) -> tuple[str, ...]:
    most = "at most " if model.most else ""
    return (
        text.printable(model.name, 60),
        f"{most}{model.calls:,}",
        text.show_count(model.input_tokens),
        text.show_count(model.output_tokens),
        text.show_usd(model.usd),
    )


def _chances(gate: Context, prospects: Prospects) -> Iterator[str]:
    """Yield how likely each verdict is, by the real gain."""
    metric = gate.deciding.name
    attempt = gate.facts.get("attempt")
    key = "margin" if prospects.margin >= 0 else "max_drop"
    margin = f"{key} {text.show_amount(abs(prospects.margin), share=gate.share)}"
    evidence = f"{prospects.evidence} at {text.show_percent(gate.config.confidence)}"
    yield f"{metric}, {text.plural(len(gate.test), 'example')}, {margin}, {evidence}"
    if attempt is not None:
        yield str(attempt)

    rows = tuple(
        (text.show_difference(gain, share=gate.share), *_shares(chance))
        for gain, chance in prospects.chances.items()
    )
    columns = tables.columns(["real gain"], ("pass", "fail", "inconclusive"))
    yield from tables.Table("", columns, rows).lines()
    yield from prospects.basis
    left_out = [key for key in _LEFT_OUT if getattr(gate.config, key)]
    if left_out:
        yield f"not included: {', '.join(left_out)}"
    if prospects.detectable is not None:
        yield f"a real gain of {text.show_difference(prospects.detectable, share=gate.share)} passes 4 times in 5"
    if prospects.margin > 0 and prospects.evidence != "proven":
        yield "A candidate that gains exactly the margin passes at most half of the time."


def _shares(chances: Chances | None) -> tuple[str, ...]:
    """Return the shares of pass, fail and inconclusive as cells."""
    if chances is None:
        return ("-",) * 3
    return tuple(f"{100 * share:.0f} %" for share in chances)


def _first_prompt(model: Asked, *, full: bool) -> Iterator[Line]:
    yield Line("")
    if not model.prompts:
        yield Line(
            text.printable(f"{model.name}: recorded answers, so the prompt is not known"), "bold"
        )
        return
    size = f"about {text.plural(model.tokens, 'token')}{'' if full else ', -v prints all'}"
    yield Line(text.printable(f"first prompt of {model.name} ({size})"), "bold")
    yield from _prompt(model.prompts[0], full=full)


def _prompt(prompt: Prompt, *, full: bool) -> Iterator[Line]:
    for number, (role, said) in enumerate(prompt):
        left_out = not full and _MESSAGES - 1 <= number < len(prompt) - 1
        if not left_out:
            yield from _labelled(role, said, full=full)
        elif number == _MESSAGES - 1:
            yield Line("  ...")


def _example(plan: Plan, number: int, *, full: bool) -> Iterator[Line]:
    example = plan.shown[number]
    yield from (Line(""), Line(text.printable(example.name), "bold"))
    yield from _labelled("input", shown_input(example), full=full)
    yield from _labelled("expected", expected_text(example.expected), full=full)
    for model in plan.models:
        prompts = model.prompts
        # not only the last message differs
        if number and prompts and prompts[0][:-1] != prompts[number][:-1]:
            yield Line(text.printable(f"  {model.role} is sent:"))
            yield from (Line(f"  {line.text}") for line in _prompt(prompts[number], full=full))
        yield from _answer(plan, model, number, full=full)


def _answer(plan: Plan, model: Asked, number: int, *, full: bool) -> Iterator[Line]:
    assert model.run is not None  # it is a preview
    answer, scored = model.run.predictions[0][number], model.scored
    if answer.completion is None:
        yield Line(
            text.printable(f"  {model.role}, FAILED: {text.one_line(answer.error or 'no answer')}"),
            "red",
        )
        return
    right, score, why = None, "" if plan.unscored else "not scored", None
    if scored is not None:
        value, why = (
            float(rightness(scored)[number]),
            scored.notes[number] if scored.notes else None,
        )
        right = is_right(scored.metric, value)
        plain = value in (0.0, 1.0)
        score = (
            ("right" if right else "wrong")
            if plain
            else text.show_value(value, share=scored.metric.share)
        )
    label = ", ".join(
        filter(None, [model.role, sentences.FINISHES.get(answer.completion.finish), score])
    )
    colour = {True: "green", False: "red", None: ""}[right]
    yield from _labelled(label, answer.completion.text or "(empty)", colour, full=full)
    if why:
        yield Line(text.printable(f"    {text.one_line(why)}"))


def _labelled(label: str, said: str, colour: str = "", *, full: bool) -> Iterator[Line]:
    """Yield a text after its label: one line of it, or with ``full`` all its lines below the label."""
    lines = said[:_LONGEST].strip("\n").splitlines() or [""]
    if not full:
        short = text.shortened(" ".join(said.split()), _SHORT)
        yield Line(f"  {text.printable(f'{label}: {short}')}", colour)
    elif len(lines) == 1:
        yield Line(f"  {text.printable(f'{label}: {lines[0]}', _LONGEST)}", colour)
    else:
        yield Line(f"  {text.printable(label)}:", colour)
        yield from (Line(f"    {text.printable(line, _LONGEST)}") for line in lines)
    if full and len(said) > _LONGEST:
        yield Line(f"    ... ({len(said) - _LONGEST:,} more characters)")
