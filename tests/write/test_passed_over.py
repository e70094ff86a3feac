from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysweep.data.manifest import Manifest, read_manifest
from raysweep.data.passed_over import PassedOver, Tally, lines
from raysweep.errors import RaysweepError
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.sources.subset import Subset
from raysweep.write.write_sets import write_images


@pytest.fixture
def source() -> GeneratedSource:
    tally = Tally()
    for name in ("a.txt", "b.txt", "c.txt", "d.txt", "e.txt"):
        tally.add("files with the suffix .txt", name)
    tally.add("devices", "null")
    source = GeneratedSource(20, 10, side=16)
    source.passed_over = tally.account()
    return source


def test_items_are_counted_by_reason_with_the_first_names(source: GeneratedSource) -> None:
    assert source.passed_over == {
        "devices": PassedOver(1, ("null",)),
        "files with the suffix .txt": PassedOver(5, ("a.txt", "b.txt", "c.txt")),
    }
    assert list(lines(source.passed_over)) == [
        "devices: 1 (null)",
        "files with the suffix .txt: 5 (a.txt, b.txt, c.txt and 2 more)",
    ]


def test_the_manifest_keeps_the_account(source: GeneratedSource, tmp_path: Path) -> None:
    manifest = write_images(Subset(source, 2, 1), tmp_path / "out", workers=1)
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest.passed_over == source.passed_over


def test_a_manifest_without_an_account_stays_readable(source: GeneratedSource, tmp_path: Path) -> None:
    value = json.loads(write_images(source, tmp_path / "out", workers=1).to_json())
    del value["passed_over"]
    assert Manifest.from_json(json.dumps(value)).passed_over is None
    for damaged in ([], {"x": {"count": 1}}, {"x": {"count": "many", "examples": []}}):
        with pytest.raises(ValueError, match=r"."):
            Manifest.from_json(json.dumps(value | {"passed_over": damaged}))


def test_strict_refuses_before_anything_is_written(source: GeneratedSource, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match=r"\.txt: 5 \(a\.txt"):
        write_images(source, tmp_path / "out", strict=True)
    assert not (tmp_path / "out").exists()
    source.passed_over = {}
    assert write_images(source, tmp_path / "out", strict=True, workers=1).passed_over == {}
