from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from raysweep.process.machine import Memory
from raysweep.verbs import doctor as module
from raysweep.verbs.doctor import doctor


def line(output: str, what: str) -> str:
    return next(line for line in output.splitlines() if line.startswith(what))


def test_the_cores_and_memory_that_it_shows_are_those_that_a_sweep_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(module, "_gpus", lambda: "none")
    monkeypatch.setattr(module, "_reader", lambda: "ok")
    monkeypatch.setattr(module, "usable_cores", lambda: 3)
    monkeypatch.setattr(module, "usable_memory", lambda: Memory(12 * 2**30, 2.5 * 2**30))
    result = CliRunner().invoke(doctor)
    assert result.exit_code == 0
    assert [word for word in line(result.output, "cores").split() if word.strip(":").isdigit()] == ["3", "96:"]
    assert "12 GiB" in line(result.output, "memory")
    assert "2.5 GiB" in line(result.output, "memory")
