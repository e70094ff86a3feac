"""Claims on trials: one holder at a time, on folders and on object storage."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from raysweep.errors import ElsewhereError
from raysweep.store import claims
from raysweep.store.claims import EXPIRY_S, Claim, holders, present_status, release_all
from raysweep.store.files import Files

TRIAL = "0123456789ab"


class Clock:
    """Seconds, as a test wants them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(str(tmp_path / "store"))


def age(files: Files, seconds: float) -> None:
    """Let the store have written all claims so long ago."""
    for path in Path(files.root).glob("claims/*"):
        before = path.stat().st_mtime - seconds
        os.utime(path, (before, before))


def test_a_trial_has_one_holder_until_it_is_released(files: Files) -> None:
    first, second = Claim(files, TRIAL), Claim(files, TRIAL)
    assert first.take() == ""
    assert f"process {os.getpid()}" in second.take()
    assert Claim(files, "another trial").take() == ""
    first.check()
    first.release()
    assert holders(files, TRIAL) == {}
    assert second.take() == ""


@pytest.mark.parametrize("with_a_dead_one", [False, True])
def test_of_many_that_claim_a_trial_at_once_exactly_one_gets_it(files: Files, with_a_dead_one: bool) -> None:
    if with_a_dead_one:
        assert Claim(files, TRIAL).take() == ""
        age(files, EXPIRY_S)
    many = 8
    together = Barrier(many)

    def take(claim: Claim) -> str:
        together.wait()
        return claim.take()

    rivals = [Claim(files, TRIAL) for _ in range(many)]
    with ThreadPoolExecutor(many) as threads:
        answers = list(threads.map(take, rivals))
    assert answers.count("") == 1
    assert len(list(Path(files.root).glob("claims/*.json"))) == 1
    rivals[answers.index("")].check()


TAKE = """
import sys
from raysweep.store.claims import Claim
from raysweep.store.files import Files
claim = Claim(Files.at(sys.argv[1]), "0123456789ab")
print(claim.take() or "mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def another() -> Iterator[Callable[[Files], subprocess.Popen[str]]]:
    """Starts a process that claims the trial and holds it until it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(files: Files) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", TAKE, files.uri]
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout
        assert started[-1].stdout.readline() == "mine\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_claim_of_a_killed_process_on_this_machine_is_taken_over_at_once(
    files: Files, another: Callable[[Files], subprocess.Popen[str]]
) -> None:
    process = another(files)
    assert f"process {process.pid}" in Claim(files, TRIAL).take()
    process.kill()
    process.wait()
    assert Claim(files, TRIAL).take() == ""
    assert holders(files, TRIAL)[TRIAL].pid == os.getpid()


def test_the_claim_of_a_stopped_process_expires_and_it_gives_the_trial_up(files: Files) -> None:
    clock = Clock()
    stopped = Claim(files, TRIAL, clock=clock)
    assert stopped.take() == ""
    age(files, EXPIRY_S - 60)
    assert Claim(files, TRIAL).take() != ""
    age(files, 60)
    other = Claim(files, TRIAL)
    assert other.take() == ""
    clock.now += EXPIRY_S
    for _ in range(2):
        with pytest.raises(ElsewhereError, match=f"process {os.getpid()}") as raised:
            stopped.check()
        assert raised.value.lost
    stopped.renew()
    stopped.release()
    other.check()


def test_a_stopped_process_gives_up_a_trial_that_ended_in_the_meantime(files: Files) -> None:
    clock = Clock()
    stopped = Claim(files, TRIAL, clock=clock)
    assert stopped.take() == ""
    age(files, EXPIRY_S)
    other = Claim(files, TRIAL)
    assert other.take() == ""
    other.release()
    clock.now += EXPIRY_S
    with pytest.raises(ElsewhereError):
        stopped.check()
    assert holders(files) == {}


def test_a_claim_that_could_not_be_renewed_in_time_goes_on_if_nobody_took_the_trial(files: Files) -> None:
    clock = Clock()
    claim = Claim(files, TRIAL, clock=clock)
    assert claim.take() == ""
    age(files, 2 * EXPIRY_S)
    clock.now += 2 * EXPIRY_S
    claim.renew()
    assert holders(files) == {}
    claim.check()
    assert set(holders(files)) == {TRIAL}
    assert len(list(Path(files.root).glob("claims/*.json"))) == 1
    claim.release()


def test_a_renewal_keeps_a_claim_alive(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEW_S", 0.01)
    claim = Claim(files, TRIAL)
    assert claim.take() == ""
    age(files, 2 * EXPIRY_S)
    deadline = time.monotonic() + 30
    while not holders(files) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(holders(files)) == {TRIAL}
    claim.release()
    assert not list(Path(files.root).glob("claims/*"))


def test_a_later_attempt_of_a_sweep_replaces_the_earlier_one_but_not_the_other_way_round(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PAUSE_S", 0)
    first, second, third = (Claim(files, TRIAL, "sweep", attempt) for attempt in (1, 2, 3))
    assert first.take() == ""
    assert third.take() == ""
    with pytest.raises(ElsewhereError):
        first.check()
    assert second.take() != ""
    third.check()
    assert holders(files, but="sweep") == {}
    release_all(files, "another sweep")
    third.check()
    release_all(files, "sweep")
    with pytest.raises(ElsewhereError):
        third.check()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"host": "\x1b[2J"}'])
def test_a_damaged_claim_counts_until_it_expires(files: Files, content: bytes) -> None:
    files.write(f"claims/{TRIAL}.someone.1.abc.json", content)
    files.write("claims/notes.json", b"not a claim")
    assert "unknown" in Claim(files, TRIAL).take()
    assert set(holders(files)) == {TRIAL}
    age(files, EXPIRY_S)
    claim = Claim(files, TRIAL)
    assert claim.take() == ""
    claim.release()


def test_the_name_of_a_host_cannot_control_a_terminal(files: Files) -> None:
    claim = Claim(files, TRIAL)
    assert claim.take() == ""
    (path,) = Path(files.root).glob("claims/*.json")
    path.write_text(path.read_text().replace(socket.gethostname(), "\\u001b[2Jnode"))
    assert holders(files)[TRIAL].host == "[2Jnode"
    claim.release()


def test_on_object_storage_one_of_two_gets_a_trial(uri: str) -> None:
    files = Files.at(uri)
    first, second = Claim(files, TRIAL), Claim(files, TRIAL)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(Claim.take, (first, second)))
    assert answers.count("") == 1
    winner, loser = (first, second) if answers[0] == "" else (second, first)
    winner.renew()
    winner.check()
    winner.release()
    assert holders(files) == {}
    assert loser.take() == ""
    loser.release()


@pytest.mark.parametrize(
    ("status", "claimed", "present"),
    [
        ("running", True, "running"),
        ("running", False, "interrupted"),
        ("failed", True, "running"),
        ("failed", False, "failed"),
        ("waiting", True, "running"),
        ("finished", True, "finished"),
    ],
)
def test_a_status_says_running_only_while_the_trial_is_claimed(status: str, claimed: bool, present: str) -> None:
    assert present_status(status, claimed) == present
