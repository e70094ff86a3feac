from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.data.manifest import Manifest, read_manifest, write_manifest
from raysweep.data.passed_over import PassedOver, Tally, lines
from raysweep.errors import RaysweepError
from raysweep.verbs.entry import raysweep
from raysweep.write.sources.base import check_nothing_passed_over
from raysweep.write.sources.generated import GeneratedSource
from raysweep.write.sources.subset import Subset
from raysweep.write.write_sets import write_images
from tests.images import Folder, tiny


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


def test_a_manifest_without_an_account_stays_readable(stored: dict[str, tuple[Path, Manifest]]) -> None:
    value = json.loads(stored["raw"][1].to_json())
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
    check_nothing_passed_over(source)


def test_strict_and_skip_bad_exclude_each_other(source: GeneratedSource, tmp_path: Path) -> None:
    with pytest.raises(RaysweepError, match=r"--strict.*--skip-bad"):
        write_images(source, tmp_path / "out", strict=True, skip_bad=True)


def test_the_commands_print_the_account(class_folder: Folder, tmp_path: Path) -> None:
    root, out = class_folder(tiny() | {"train/cat/a.txt": b"", ".git/x": b"", "train/cat/b.png": b""}), tmp_path / "out"
    written = CliRunner().invoke(
        raysweep, ["data", "write", str(root), str(out), "--side", "16", "--workers", "1", "--skip-bad"]
    )
    account = ["files in hidden folders: 1 (.git/x)", "files with the suffix .txt: 1 (train/cat/a.txt)"]
    assert written.output.splitlines()[-3:] == [
        "skipped train/cat/b.png (empty)",
        *(f"passed over {one}" for one in account),
    ]
    checked = CliRunner().invoke(raysweep, ["data", "check", str(out)])
    assert all(line in checked.output for line in account)
    write_manifest(out, replace(read_manifest(out), passed_over=None))
    assert "not counted" in CliRunner().invoke(raysweep, ["data", "check", str(out)]).output
