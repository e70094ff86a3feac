from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from raysweep.errors import RaysweepError
from raysweep.store.following import Following
from raysweep.store.store import Store
from raysweep.terminal import watch_store
from raysweep.terminal.snapshot import Row
from tests.store.rows import write_members, write_trial
from tests.verbs.test_cli import good, refused

SOON = (
    "from raysweep.terminal import watch_store; watch_store.SETTLE_S = 0.5; from raysweep.__main__ import main; main()"
)
"""The command, with a shorter time until a sweep counts as over."""
WORDS = ("status", "--watch", "--every", "0.2", "--store")
WATCH = (sys.executable, "-c", SOON, *WORDS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path / "s"), create=True)
    write_members(store, "a", "b", "c")
    write_trial(store, "a", "finished", 10, age_s=100)
    write_trial(store, "b", "failed", 3, error="Traceback\nValueError: bad [/luck]", age_s=100)
    return store


def read_until(stream: int, text: str, seen: str = "") -> str:
    """The output of a terminal until it contains a text, or until it is closed."""
    while text not in seen:
        with suppress(OSError):  # how Linux tells that the other side is closed
            if part := os.read(stream, 65536):
                seen += part.decode()
                continue
        return seen
    return seen


def test_lines_in_a_pipe_until_nothing_is_left(store: Store) -> None:
    write_trial(store, "c", "running", 1)
    with subprocess.Popen([*WATCH, store.uri], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = [process.stdout.readline() for _ in range(2)]
        assert first[0].startswith("b activation/vb seed 0  failed  epoch 3/10")
        assert first[0].endswith("ValueError: bad [/luck]\n")
        assert first[1] == "activation demo  2/3 ended  1 running, 1 finished, 1 failed  ETA 0:18\n"
        write_trial(store, "c", "running", 9)
        assert "c activation/vc seed 0  running  epoch 9/10  1,000 images/s  top-1 45.0 %" in process.stdout.readline()
        write_trial(store, "c", "finished", 10, age_s=100)
        rest = process.stdout.read()
    assert process.returncode == 0, "it ends at the end of the sweep"
    assert rest.splitlines()[0].startswith("c activation/vc seed 0  finished  epoch 10/10")
    assert rest.splitlines()[1:] == ["activation demo  3/3 ended  2 finished, 1 failed  ETA -"]


def test_a_sweep_that_is_over_is_shown_once(store: Store) -> None:
    write_trial(store, "c", "diverged", 2, age_s=100)
    began = time.monotonic()
    assert "3/3 ended  1 finished, 1 diverged, 1 failed" in good(*WORDS, store.uri)
    assert time.monotonic() - began < 60


def test_a_table_on_a_terminal_and_ctrl_c(store: Store) -> None:
    write_trial(store, "c", "running", 5)
    outer, inner = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "140", "LINES": "40"}
    process = subprocess.Popen([*WATCH, store.uri], stdout=inner, stderr=subprocess.PIPE, env=environment)
    os.close(inner)
    seen = read_until(outer, "epoch 5/10")
    write_trial(store, "c", "running", 6)
    seen = read_until(outer, "epoch 6/10", seen)
    process.send_signal(signal.SIGINT)
    seen = read_until(outer, "never", seen)
    assert process.stderr
    complaint = process.stderr.read().decode()
    process.stderr.close()
    os.close(outer)
    assert (process.wait(), complaint.strip()) == (130, "stopped")
    for text in (
        "study",
        "2/3",
        "activation/vc seed 0 (c)",
        "top-1 30.0 %",
        "failed  activation/vb seed 0 (b)  ValueError: bad [/luck]",
    ):
        assert text in seen
    assert "\x1b[?25l" in seen, "the cursor is hidden while tables are drawn"
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "and shown again at the end"


def test_a_store_that_cannot_be_reached_for_a_while_is_read_again(store: Store, tmp_path: Path) -> None:
    write_trial(store, "c", "running", 5)
    process = subprocess.Popen([*WATCH, store.uri], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    (tmp_path / "s/trials").rename(tmp_path / "away")
    (tmp_path / "s/trials").write_text("no folder")
    assert "cannot list trials" in process.stderr.readline()
    (tmp_path / "s/trials").unlink()
    (tmp_path / "away").rename(tmp_path / "s/trials")
    write_trial(store, "c", "finished", 10, age_s=100)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert "3/3 ended" in out


def test_a_store_that_cannot_be_reached_at_first_is_not_taken_for_an_empty_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = Following(store)
    answers = [RaysweepError("away"), following.refresh]

    def refresh() -> list[Row]:
        answer = answers.pop(0)
        if isinstance(answer, RaysweepError):
            raise answer
        return answer()

    monkeypatch.setattr(following, "refresh", refresh)
    refreshes = (changed for _, changed in watch_store.refreshes(following, store, 0.0))
    assert next(refreshes) == []
    assert store.problems[0].endswith("away")
    assert {row["trial"] for row in next(refreshes)} == {"a", "b"}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("--every", "3"), ("--every 3", "--watch")),
        (("--watch", "--json"), ("--watch", "--json")),
        (("--watch", "--every", "0"), ("--every", "0.2")),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    words: tuple[str, ...], values: tuple[str, ...], store: Store
) -> None:
    message = refused("status", "--store", store.uri, *words)
    assert all(value in message for value in values), message
