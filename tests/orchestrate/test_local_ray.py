"""A Ray that is started for one sweep cannot be reached by others."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from raysweep.orchestrate.events import Event
from raysweep.orchestrate.ray_sweep import run_on_ray
from tests.orchestrate.conftest import RAYS_OWN_WARNINGS
from tests.orchestrate.fakes import Listener, make_tasks, train_nothing
from tests.orchestrate.processes import find_descendants, find_listening

pytestmark = RAYS_OWN_WARNINGS


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@pytest.mark.long
def test_nothing_listens_to_other_machines(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Ray and its metrics, nor the two workers of a trial."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    addresses: dict[int, set[IPv4Address | IPv6Address]] = {}

    def on_event(event: Event) -> None:
        listener.on_event(event)
        if event.kind == "epoch":
            addresses.update({process: find_listening(process) for process in find_descendants(os.getpid())})

    outcome = run_on_ray(
        make_tasks(tmp_path, "a"), on_event, workers_per_trial=2, train=train_nothing, record_end=listener.record_end
    )
    assert outcome.finished == ("a",)
    assert len([process for process, found in addresses.items() if found]) > 5
    assert [address for found in addresses.values() for address in found if not is_loopback(address)] == []
    assert not (tmp_path / ".ray").exists()
