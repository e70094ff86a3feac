"""Every verb with random arguments: status 0, 1 or 2 and a sentence, whatever they are. Nothing is trained."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysweep.errors import RaysweepError
from raysweep.pace import Pace
from raysweep.verbs.entry import call, raysweep

ODD = (
    *("", " ", "-", "--", ",", ",,", "=", "a=b", "x=", ":", "%s", "{}", "[/x]", "\0", "\n", "\x1b[31m", "é", "\ud800"),
    *("nan", "inf", "-inf", "1e400", "-1", "0", "0.0", "1e-320", "1.5", "2", "99999999999", "9" * 400, "9" * 5000),
    *("a" * 5000, "..", "../../x", "/nonexistent/x", "/dev/null", "~nobody/x", "s3:/x", "x://y", "file://x"),
)
"""Texts for any argument."""
NAMES = (
    "activation",
    "joint",
    "all",
    "demo",
    "cifar10",
    "random",
    "nasnet",
    "caffenet",
    "vgg16",
    "cpu",
    "elu,tanh",
    "json",
)
"""Names that are valid somewhere."""
FIELDS = (
    "solver.lr",
    "network.width",
    "data.side",
    "training.epochs",
    "training.batch_size",
    "network.outputs",
    "seed",
)
TEXTS = st.one_of(st.sampled_from(ODD), st.sampled_from(NAMES), st.text(max_size=8))
VALUES = st.one_of(TEXTS, st.builds("{}={}".format, st.sampled_from(FIELDS), TEXTS))
FOLLOWING = ("watched", "live")
"""Options with which a verb goes on until a sweep is over."""
STORE = str(Path(__file__).parents[2] / "docs/study/store")
IMAGES = "images"
TRAINING = ("--protocol", "demo", "--data", IMAGES)
ORDINARY: dict[str, tuple[str, ...]] = {
    "list": ("studies",),
    "plan": ("activation", "--variants", "elu", *TRAINING),
    "run": ("activation", "--variants", "elu", *TRAINING),
    "decide": ("activation", "--variants", "elu", "--budget", "1h", *TRAINING),
    "nas": ("random", "--space", "nasbench201", "--budget", "2", *TRAINING),
    "status": ("--store", STORE),
    "results": ("activation", "--store", STORE),
    "report": ("activation", "--store", "no-store"),
    "compare": (STORE, "no-store"),
    "show": ("f2f2ce6f7bc9", "--store", STORE),
    "trial": ("f2f2ce6f7bc9", "--store", STORE, "--into", "other", "--data", IMAGES),
    "export": ("f2f2ce6f7bc9", "--store", STORE, "--out", "exported"),
    "predict": ("exported", IMAGES),
    "new": ("study", "my_study"),
    "init-stats": ("--inits", "he", "--activations", "relu", "--norms", "none", *TRAINING),
    "bench networks": ("caffenet",),
    "data write": (IMAGES, "out"),
    "data check": (IMAGES,),
    "compact": ("--store", "no-store"),
}
"""Verb -> arguments that it can carry out, or nearly."""


def commands(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


COMMANDS = {" ".join(words): command for words, command in commands(raysweep)}


@st.composite
def lines(draw: st.DrawFn, name: str) -> list[str]:
    """A command line of a verb: its ordinary arguments or any, and some of its options with any values."""
    words = name.split()
    params = COMMANDS[name].params
    if draw(st.booleans()):
        words += ORDINARY[name]
    else:
        words += draw(st.lists(TEXTS, max_size=3))
    options = [param for param in params if isinstance(param, click.Option) and param.name not in FOLLOWING]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else ():
        words.append(draw(st.sampled_from([*option.opts, *option.secondary_opts])))
        words += [draw(VALUES) for _ in range(0 if option.is_flag else option.nargs)]
    return words


def status_of(words: list[str]) -> tuple[int, str]:
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), pytest.raises(SystemExit) as ended:
        call(raysweep, words)
    return int(ended.value.code or 0), output.buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.fixture
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch, small_images: Path) -> None:
    from raysweep.orchestrate.events import Outcome

    Path(IMAGES).symlink_to(small_images)

    def refuse(*anything: object, **more: object) -> NoReturn:
        raise RaysweepError("nothing is measured here")

    for sweep in ("study_sweep", "space_sweep", "decide.sweep", "nas_sweep", "supernet_sweep"):
        monkeypatch.setattr(f"raysweep.sweeps.{sweep}.carry_out", lambda *args, **more: Outcome())
    pace = Pace(3000.0, 6000.0, 0.1, 1_000_000, 2, "2026-01-01")
    monkeypatch.setattr("raysweep.sweeps.measured_pace.pace_here", lambda *args: pace)
    monkeypatch.setattr("raysweep.verbs.init_stats.measure", refuse)
    monkeypatch.setattr("raysweep.train.run_trial.run_trial", refuse)
    monkeypatch.setattr("raysweep.verbs.bench.ask", lambda *args: {"error": "not measured"})
    monkeypatch.setattr("raysweep.sweeps.study_sweep.generate_missing", lambda *args: False)

    def fail(error: Exception) -> str:
        raise AssertionError from error

    monkeypatch.setattr("raysweep.verbs.crash.report", fail)


def test_every_verb_is_tried() -> None:
    assert {*COMMANDS} - {*ORDINARY} == {"doctor"}, "which takes no arguments"


@pytest.mark.parametrize("examples", [5, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", [*ORDINARY])
def test_a_verb_answers_any_arguments_with_a_sentence(name: str, examples: int, nothing_is_trained: None) -> None:
    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(lines(name))
    def check(words: list[str]) -> None:
        status, output = status_of(words)
        assert status in (0, 1, 2), words
        assert output.strip() or not status, words
        assert "Traceback" not in output

    check()


@pytest.mark.parametrize("name", [*COMMANDS])
def test_every_number_of_a_command_has_a_range(name: str) -> None:
    for param in COMMANDS[name].params:
        kind = param.type
        assert kind not in (click.INT, click.FLOAT), param.name
        if isinstance(kind, click.IntRange | click.FloatRange):
            assert None not in (kind.min, kind.max), param.name
            assert param.metavar, f"{param.name}: in which unit?"
            for text in ("99999999999999999999", "nan", "-1e9"):
                with pytest.raises(click.BadParameter):
                    kind.convert(text, param, None)


@pytest.mark.parametrize("number", [0, 99_999_999_999, float("nan"), float("inf")])
def test_a_number_of_a_notebook_has_the_range_of_the_command_line(number: float) -> None:
    import raysweep as package

    with pytest.raises(RaysweepError, match=str(number)):
        package.plan("activation", protocol="demo", seeds=number)
    with pytest.raises(RaysweepError, match=str(number)):
        package.run("activation", protocol="demo", inline=True, attempts=number)
