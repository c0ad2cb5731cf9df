"""Callables as models: how they are called, given up, and known; what is none."""

import asyncio
import functools
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models import Completion, Surroundings, build_model, protocol
from pytest_ftgate.models.protocol import Question
from pytest_ftgate.models.python import is_async
from pytest_ftgate.models.transformers import Weights

MESSAGES = ({"role": "user", "content": "hello"},)
E1 = Example("e1", "hello", "x")


def upper(text):
    return text.upper()


async def upper_later(text):
    await asyncio.sleep(0)
    return text.upper()


class Greeter:
    def greet(self, text):
        return f"hi {text}"

    async def greet_later(self, text):
        return f"hi {text}"

    def __call__(self, text):
        return f"called {text}"


class AsyncGreeter:
    @classmethod
    def greet(cls, text):
        return f"hi {text}"

    async def __call__(self, text):
        return f"hi {text}"


@pytest.fixture
def model(build):
    """Return the model that a fixture's callable becomes."""
    return lambda function: build("callable", function=function)


@pytest.fixture
def failure(model, ask):
    """Return the error of a callable's only call."""

    def of(function):
        with pytest.raises(ModelError) as caught:
            ask(model(function))
        return caught.value

    return of


# --- calling -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "answer", "is_awaited"),
    [
        (upper, "HELLO", False),
        (upper_later, "HELLO", True),
        (lambda text: text + "!", "hello!", False),
        (Greeter().greet, "hi hello", False),
        (Greeter().greet_later, "hi hello", True),
        (Greeter(), "called hello", False),
        (AsyncGreeter(), "hi hello", True),
        (functools.partial(lambda a, text: a + text, "a "), "a hello", False),
        (functools.partial(functools.partial(upper_later)), "HELLO", True),
        (functools.partial(AsyncGreeter()), "hi hello", False),  # awaited all the same
        (str.title, "Hello", False),
        (AsyncGreeter.greet, "hi hello", False),
        (lambda text: upper_later(text), "HELLO", False),
        (
            lambda text: Completion("x", 1, 2, 0, "cut_off", 0.5),
            Completion("x", 1, 2, 0, "cut_off", 0.5),
            False,
        ),
    ],
)
def test_all_sorts_of_callables(model, ask, function, answer, is_awaited):
    assert is_async(function) is is_awaited
    model_made = model(function)
    completion = ask(model_made)
    assert answer in (completion, completion.text)
    assert model_made.concurrency == (16 if is_awaited else 1)
    assert model_made.abandons is not is_awaited


def test_messages_arrive_as_dicts_of_the_callables_own(model, ask):
    def spoil(messages):
        (content,) = messages[0].pop("content")
        messages.clear()
        return content.pop("text")

    messages_given = ({"role": "user", "content": [{"type": "text", "text": "hello"}]},)
    assert ask(model(spoil), messages_given).text == "hello"
    assert messages_given == ({"role": "user", "content": [{"type": "text", "text": "hello"}]},)


# --- threads, and giving up ----------------------------------------------------------------------------------


class Blocking:
    """A function that waits at the input "stuck", and notes its threads."""

    def __init__(self, answer=lambda text: text):
        self.answer, self.release, self.threads = answer, threading.Event(), []

    def __call__(self, text):
        self.threads.append(threading.current_thread())
        if text == "stuck":
            self.release.wait(30)
        return self.answer(text)

    async def give_up(self, model_made):
        """Cancel a call that is stuck."""
        stuck = asyncio.ensure_future(model_made.complete(Example("a", "stuck", "x")))
        while not self.threads:
            await asyncio.sleep(0)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck


def test_a_synchronous_callable_runs_in_one_daemon_thread_call_after_call(model):
    note = Blocking()

    async def three():
        model_made = model(note)
        for _ in range(3):
            await model_made.complete(E1)
        await model_made.aclose()

    asyncio.run(three())
    (thread,) = set(note.threads)
    assert (thread.daemon, thread.name) == (True, "ftgate tuned")
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("answer", [lambda text: text, upper_later])
def test_a_blocked_call_is_abandoned_the_next_one_answered_and_what_comes_too_late_dropped(
    model, answer, is_closed
):
    block = Blocking(answer)

    async def leave():
        model_made = model(block)
        await block.give_up(model_made)
        assert (await model_made.complete(Example("b", "next", "x"))).text.lower() == "next"
        assert len({*block.threads}) == 2
        await model_made.aclose()
        if not is_closed:
            block.release.set()
            block.threads[0].join(10)
            await asyncio.sleep(0)

    asyncio.run(leave())
    block.release.set()
    # what goes wrong in a thread, or a coroutine left alone, is a warning: it fails
    block.threads[0].join(10)
    assert not block.threads[0].is_alive()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="cannot tell who cancelled")
def test_a_coroutine_that_cancels_itself_has_failed_and_one_that_is_cancelled_is_cancelled(
    model, failure
):
    async def give_up(_):
        raise asyncio.CancelledError

    async def wait(_):
        await asyncio.Event().wait()

    async def call():
        for function in (wait, lambda text: wait(text)):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(model(function).complete(E1), 0.05)

    assert "CancelledError" in failure(give_up).what
    asyncio.run(call())


def test_weights_in_memory_have_one_user_at_a_time():
    """A call that was given up may still generate in its thread, with its own adapter, when the next gate asks."""
    weights, order = Weights("base"), []

    def use(name):
        with weights.using(None, ""):
            order.append(name)

    with weights.using(None, ""):
        second_thread = threading.Thread(target=use, args=("other",), daemon=True)
        second_thread.start()
        second_thread.join(0.1)
        order.append("first")
    second_thread.join(10)
    assert order == ["first", "other"]


# --- failing -------------------------------------------------------------------------------------------------


def raising(error):
    def function(_):
        raise error

    return function


def raising_later(error):
    async def function(_):
        raise error

    return function


PASSING = [ConnectionError("reset"), TimeoutError(), asyncio.TimeoutError(), OSError(110, "x")]
LASTING = [
    FileNotFoundError("weights.bin"),
    PermissionError("weights.bin"),
    KeyError("x"),
    SystemExit(2),
]
LASTING += [pytest.skip.Exception("not today"), RecursionError("deep"), StopAsyncIteration()]


@pytest.mark.parametrize("wrap", [raising, raising_later])
@pytest.mark.parametrize(
    ("error", "retryable"), [*((e, True) for e in PASSING), *((e, False) for e in LASTING)]
)
def test_whatever_a_callable_raises_is_a_failed_call(failure, wrap, error, retryable):
    found = failure(wrap(error))
    assert type(error).__name__ in found.what
    assert (found.retryable, found.fatal, found.__cause__) == (retryable, False, error)


def test_what_has_no_lines_of_its_own_and_stop_iteration_are_quoted(failure):
    assert "invalid literal" in failure(int).what
    assert "StopIteration" in failure(raising(StopIteration("done"))).what
    assert "RuntimeError" in failure(raising_later(StopIteration("done"))).what


@pytest.mark.parametrize("wrap", [raising, raising_later])
def test_a_model_error_of_the_callable_and_ctrl_c_pass_as_they_are(model, failure, ask, wrap):
    error = ModelError("no credit", fatal=True)
    assert failure(wrap(error)) is error
    with pytest.raises(KeyboardInterrupt):
        ask(model(wrap(KeyboardInterrupt())))


# --- the key of an answer ------------------------------------------------------------------------------------


def held(value):
    return lambda text: (value, text)[1]


class Slotted:  # it cannot be weakly referenced
    __slots__ = ()

    def __call__(self, text):
        return text


def test_a_function_is_known_by_itself_for_this_session_and_what_holds_an_object_never(model):
    assert model(upper).key(E1) == model(upper).key(E1) != model(str.upper).key(E1)
    assert model(held("a constant")).key(E1) != model(held("a constant")).key(E1)  # two functions
    assert not model(upper).persistent
    one, slotted = Greeter(), Slotted()
    for given in (
        one.greet,
        one.greet_later,
        functools.partial(one.greet),
        held(one),
        held(one.greet),
        slotted,
    ):
        assert model(given).key(E1) != model(given).key(E1)
    # freed at once: ids are used again
    assert len({model(lambda text: text).key(E1) for _ in range(100)}) == 100


def test_a_function_is_known_by_the_parameters_of_the_fixture_that_gave_it(spec):
    def key(function, provider="callable", /, **parameters):
        options = {
            name: parameters.pop(name) for name in ("base_url", "revision") if name in parameters
        }
        given = spec(provider, **options, **({"function": function} if function else {}))
        source = replace(given.source, parameters=parameters)
        return build_model(replace(given, source=source), Surroundings(None)).key(E1)

    thing = object()
    assert key(upper, ckpt="a") == key(upper, ckpt="a")
    assert (
        len({key(upper), *(key(upper, ckpt=value) for value in ("a", "b", 1, thing, object()))})
        == 6
    )
    assert len({key(None, "openai", base_url="http://h", ckpt=value) for value in "ab"}) == 2
    assert (
        len({key(None, "openai", base_url="http://h", revision="1", ckpt=value) for value in "ab"})
        == 1
    )
    assert key(upper, a=thing, b=[1]) == key(upper, b=[1], a=thing)
    assert key(upper, ckpt="a") != key(upper, other="a")


def test_functions_of_one_object_use_it_alone(model):
    one = Greeter()
    uses = [
        model(given).exclusive
        for given in (one.greet, held(one), functools.partial(Greeter.greet, one))
    ]
    assert all(used == frozenset([id(one)]) for used in uses)
    assert model(held([one].__iter__)).exclusive
    assert not model(upper).exclusive
    assert not model(one.greet_later).exclusive  # coroutines take turns by themselves


def test_the_input_and_the_repeat_are_in_the_key_and_nothing_else_is(model):
    model_made = model(upper)
    assert model_made.key(E1) == model_made.key(
        Example("e2", "hello", "y", group="g", fields={"a": 1})
    )
    examples = [Example("e1", "hullo", "x"), Example("e1", MESSAGES, "x")]
    assert len({model_made.key(E1), model_made.key(E1, 1), *map(model_made.key, examples)}) == 4


# --- what is no model ----------------------------------------------------------------------------------------


class Predictor:
    def predict(self, texts):
        return [{"hello": "greeting"}[text] for text in texts]


@pytest.mark.parametrize("class_given", [Greeter, Predictor, AsyncGreeter])
def test_a_class_is_no_model_and_its_object_is(model, class_given):
    with pytest.raises(ConfigError) as caught:
        model(class_given)
    assert caught.value.what.startswith(f"{class_given.__name__} is a class")
    assert f"give {class_given.__name__}()" in caught.value.cure


def test_a_class_whose_objects_are_answers_is_a_function(ask, model):
    assert ask(model(str)).text == "hello"
    assert ask(model(Completion)).text == "hello"


@pytest.mark.parametrize(
    ("function", "called"),
    [
        (lambda text, k: text, "<lambda>(text, k)"),
        (lambda: "x", "<lambda>()"),
        (lambda *, text: text, "<lambda>(*, text)"),
        (SimpleNamespace(predict=lambda: "x"), "<lambda>()"),
    ],
)
def test_a_function_takes_the_input_alone(model, function, called):
    with pytest.raises(ConfigError) as caught:
        model(function)
    assert caught.value.what == f"{called} cannot be called with the input alone"


def test_what_a_decorator_wraps_may_take_more(ask, model):
    def greet(greeting, text):
        return f"{greeting} {text}"

    @functools.wraps(greet)
    def wrapped(text):
        return greet("hi", text)

    assert ask(model(wrapped)).text == "hi hello"
    assert ask(model(functools.partial(greet, "hi"))).text == "hi hello"


def test_an_exception_of_predict_has_its_cure(failure):
    def predict(texts):
        raise MemoryError

    assert (
        failure(SimpleNamespace(predict=predict)).cure
        == "fix the exception: it is not scored as a wrong answer"
    )


def test_a_function_without_return_is_told_so(failure):
    error = failure(lambda text: None)
    assert error.what.endswith("returned None")
    assert "return" in error.cure


# --- python:pkg.module:function ------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Yield a module under a name of its own, importable in this test."""

    def write(source, name="ftgate_target_under_test"):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in [name for name in sys.modules if name.startswith("ftgate_target")]:
        del sys.modules[name]


def test_a_target_is_imported_and_called(build, ask, module):
    name = module(
        "class Model:\n    @staticmethod\n    def answer(text):\n        return text[::-1]\n"
    )
    model = build("python", target=f"{name}:Model.answer")
    assert ask(model).text == "olleh"
    assert (model.concurrency, model.timeout_s, model.retries, model.persistent) == (
        1,
        60.0,
        5,
        False,
    )
    assert (model.name, model.spelling, model.endpoint, model.verified) == (
        "tuned",
        "python:m",
        False,
        None,
    )


def test_a_revision_makes_answers_last(build):
    def made(function, revision):
        return build("python", target=f"os.path:{function}", revision=revision)

    keys = {
        made(*parameters).key(E1)
        for parameters in (("basename", "v1"), ("basename", "v2"), ("dirname", "v1"))
    }
    assert len(keys) == 3
    assert made("basename", "v1").persistent
    # committed recordings are found by a key that is the same in every version
    assert "511049e71fc7f9a43532783c821811dd63ba1a97e1bada19cf11948cd83365fd" in keys


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("{m}:anwser", "'anwser'"),
        ("{m}:answer.x.y", "'x'"),
        ("{m}:VALUE", "int"),
        *((target, "pythonpath") for target in ("ftgate_no_such:f", "{m}.sub:f")),
        ("ftgate_target_broken:f", "ZeroDivisionError"),
        ("ftgate_target_exit:f", "SystemExit: 3"),
    ],
)
def test_a_target_that_is_not_there(build, module, target, word):
    module("1 / 0", "ftgate_target_broken")
    module("raise SystemExit(3)", "ftgate_target_exit")
    target = target.format(m=module("VALUE = 1\n\ndef answer(text):\n    return text\n"))
    with pytest.raises(ConfigError, match=word) as caught:
        build("python", target=target)
    assert str(caught.value.where) == "ftgate.yaml:7: target"
    assert target.partition(":")[0] in caught.value.what


# --- objects, and providers of hooks -------------------------------------------------------------------------


class Whole:
    name = spelling = "mine"
    concurrency, timeout_s, retries, persistent = 1, None, 0, False

    def key(self, example, repeat=0):
        return "k"

    async def complete(self, example, repeat=0):
        return Completion("x")


def test_an_object_with_the_parts_of_a_model_gets_the_defaults_of_what_it_leaves_out(model):
    class Known(Whole):
        requests_per_minute = 60

        def __init__(self):
            self.ids = ["1"]

    class Declared(Whole, protocol.Model):
        pass

    declared, made = Declared(), model(Known())
    assert model(declared) is declared
    assert (made.name, made.key(None), asyncio.run(made.complete(None)).text) == ("mine", "k", "x")
    assert (made.requests_per_minute, made.ids, made.verified, made.price) == (
        60,
        ["1"],
        None,
        None,
    )
    assert (made.endpoint, made.batch_size, made.latency_sample, dict(made.params)) == (
        False,
        1,
        0,
        {},
    )
    assert (made.ready(), made.characters(Example("e", "four", ""))) == (None, 4)
    assert asyncio.run(made.aclose()) is None
    with pytest.raises(AttributeError):
        _ = made.nonsense


def test_an_object_with_predict_is_called_with_lists(model, ask):
    asked = []
    given = SimpleNamespace(
        predict=lambda inputs: asked.append(inputs) or np.array([len(text) for text in inputs])
    )
    conversation = ({"role": "system", "content": "s"}, {"role": "user", "content": "bb"})
    questions = [Question("", Example(one, one, 1), 0) for one in ("a", conversation)]

    async def call(made):
        try:
            return await made.complete_many(questions)
        finally:
            await made.aclose()

    assert [answer.text for answer in asyncio.run(call(model(given)))] == ["1", "2"]
    assert asked == [["a", "bb"]]
    assert model(given).batch_size > 1
    assert ask(model(given), "ccc").text == "3"


def test_a_revision_is_one_models_alone_and_the_keys_of_every_provider_hold(spec):
    """Two models of a provider that differ in a key of its own share no answers; what changes no answer is no part."""
    hook = SimpleNamespace(pytest_ftgate_model=lambda spec: upper)

    def hooked(**options):
        return build_model(spec("echo", **options), Surroundings(), hook)

    kept = {hooked(size=size, revision=name).key(E1) for size in (1, 2) for name in ("v1", "v2")}
    assert len(kept) == 4
    limits = {
        "concurrency": 4,
        "timeout_s": 1.5,
        "retries": 1,
        "price": {"input_per_1m": 2.0},
        "strip_reasoning": False,
        "name": "x",
    }
    model = hooked(size=1, revision="v1", **limits)
    assert model.key(E1) in kept
    assert (model.concurrency, model.timeout_s, model.retries) == (4, 1.5, 1)
    assert (model.price.input_per_1m, model.persistent) == (2.0, True)
    # it cannot be written down
    with pytest.raises(ConfigError, match="echo:m beside its revision"):
        hooked(size=object(), revision="v1")
