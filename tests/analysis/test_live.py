from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.analysis.load import Line
from raysweep.analysis.page.live import LiveReport
from raysweep.analysis.page.report import write_report
from raysweep.analysis.page.section import Picture
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import fill, write


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that were drawn, in place of their pictures: those take seconds."""
    studies: list[str] = []

    def note(line: Line, out: Path) -> list[Picture]:
        studies.append(line.study)
        return [{"title": "gains", "source": "AAAA"}]

    monkeypatch.setattr("raysweep.analysis.page.drawing.pictures", note)
    return studies


def body(page: Path) -> str:
    """The page without the line of its time and the instruction to reload it."""
    lines = page.read_text().splitlines()
    return "\n".join(line for line in lines if " UTC by raysweep " not in line and "http-equiv" not in line)


def test_only_what_has_changed_is_drawn_again(store: Store, tmp_path: Path, drawn: list[str]) -> None:
    first = fill(store, Request(("activation",), "cifar10", variants=("elu",), seeds=2))
    other = [row | {"study": "other", "trial": f"x{row['trial']}"} for row in store.members().to_pylist()]
    store.write_members(other)
    live = LiveReport(store, ["all"], tmp_path / "out")
    following = live.following
    page = live.update(following.refresh(), 5.0)
    assert 'http-equiv="refresh" content="5"' in page.read_text()
    page.unlink()
    assert live.update(following.refresh(), 5.0) == page
    assert not page.exists(), "nothing has changed, so nothing is written"

    assert drawn == ["activation", "other"]
    write(store, first[0], "diverged", 0.4)
    live.update(following.refresh(), 5.0)
    assert "diverged in epoch 3" in page.read_text()
    assert drawn == ["activation", "other", "activation"]

    last = live.update((), None)
    assert "http-equiv" not in last.read_text()
    assert body(last) == body(write_report(store.uri, ["all"], tmp_path / "again"))
    assert not list((tmp_path / "out").glob("*.part"))


def test_members_that_come_later_are_shown(store: Store, tmp_path: Path, drawn: list[str]) -> None:
    fill(store, Request(("activation",), "demo", variants=("elu",)))
    live = LiveReport(store, ["all"], tmp_path)
    following = live.following
    following.refresh()
    live.update((), 5.0)
    fill(store, Request(("activation",), "demo", variants=("tanh",)), tanh="waiting")
    page = live.update(following.refresh(), 5.0)
    assert "tanh, seed 0" in page.read_text()
    assert drawn == ["activation"] * 2


def test_a_study_that_is_not_there(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "demo", variants=("elu",)))
    live = LiveReport(store, ["pooling"], tmp_path)
    live.following.refresh()
    with pytest.raises(RaysweepError, match="'pooling'"):
        live.update((), 5.0)
