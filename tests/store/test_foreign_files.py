"""What does not belong in a store, or is damaged: it is named and left out, whatever reads the store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.analysis.load import ALL, load_lines, load_searches
from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.identity import recipe_json
from raysweep.recipe import Recipe
from raysweep.store.compaction import compact
from raysweep.store.following import Following
from raysweep.store.query import results_table
from raysweep.store.schema import TRIAL
from raysweep.store.store import Store
from raysweep.terminal.snapshot import Snapshot
from raysweep.verbs.entry import raysweep
from raysweep.verbs.show import stored_trial
from raysweep.verbs.status import status_rows
from tests.store.test_store import member_row, trial_row

IDS = ("52a0a597fcc0", "8cc48c860855", "0123456789ab")


def fill(store: Store, images: Path) -> None:
    """A store with a file of every kind that readers read."""
    for number, trial in enumerate(IDS):
        store.write_trial(trial_row(trial, status="finished", recipe=recipe_json(Recipe()), protocol="demo"))
        store.write_epochs(trial, [{"trial": trial, "epoch": epoch, "top1": 0.5} for epoch in (1, 2)])
        row = member_row(trial, f"v{number}") | {"recipe": recipe_json(Recipe()), "protocol": "demo"}
        store.write_members([row])
        if number == 0:
            compact(store)
    store.write_init_stats(IDS[0], [{"trial": IDS[0], "update": 0, "depth": 1}])
    store.write_evaluations("nas-s0", [{"search": "nas-s0", "study": "nas", "place": 0, "status": "finished"}])
    store.write_manifest(read_manifest(images))


@pytest.fixture
def store(tmp_path: Path, small_images: Path) -> Store:
    store = Store.open(str(tmp_path / "store"), create=True)
    fill(store, small_images)
    return store


def run(*words: str) -> Any:
    return CliRunner().invoke(raysweep, words)


@pytest.mark.parametrize(
    "copy",
    ["52a0a597fcc0 (1)", "52a0a597fcc0.sync-conflict-20260101", "Kopie"],
)
@pytest.mark.parametrize("folder", ["trials", "epochs"])
def test_a_copy_of_a_file_is_named_and_counts_once(store: Store, folder: str, copy: str) -> None:
    row = store.trial(IDS[0])
    store.write_trial(row or {})
    store.write_epochs(IDS[0], store.epochs([IDS[0]]).to_pylist())
    original, other = (Path(store.uri, folder, f"{name}.parquet") for name in (IDS[0], copy))
    other.write_bytes(original.read_bytes())
    Path(store.uri, folder, f"._{IDS[0]}.parquet").write_bytes(b"\0\5\x16\7 written by a Mac")
    Path(store.uri, folder, ".DS_Store").write_bytes(b"Bud1")
    fresh = Store.open(store.uri)
    assert len(fresh.trials()) == len(IDS)
    assert len(fresh.epochs([IDS[0]])) == len(fresh.epochs().filter(pa.compute.equal(fresh.epochs()["trial"], IDS[0])))
    assert fresh.find_trial("52a0") == IDS[0]
    (problem,) = fresh.problems
    assert f"{folder}/{copy}.parquet" in problem
    done = run("compact", "--store", store.uri)
    assert done.exit_code == 0
    if folder == "trials":  # epochs are read for their trials only
        assert problem in done.stderr
    assert other.exists(), "nobody's file is deleted"
    assert not original.exists()
    assert run("show", "52a0", "--store", store.uri).exit_code == 0


def test_tables_of_other_programs_are_named(store: Store) -> None:
    for folder in ("trials", "epochs", "members", "init_stats", "confusions", "searches", "rankings", "compacted"):
        Path(store.uri, folder).mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": [1], "trial": [None]}), Path(store.uri, folder, "metadata.parquet"))
        pq.write_table(pa.table({"a": [1]}), Path(store.uri, folder, "trials-x-0123456789ab.parquet"))
    fresh = Store.open(store.uri)
    assert len(fresh.trials()) == len(fresh.members()) == len(IDS)
    for read in (fresh.epochs, fresh.init_stats, fresh.evaluations, fresh.rankings):
        read()
    assert len(fresh.problems) == 13, "the second name in compacted/ is one of a segment"
    assert compact(Store.open(store.uri)).trials == 2


@pytest.mark.parametrize("value", ["../../../etc/x", "a/b", "a\0b", "", "$(touch x)", "\x1b[31m"])
def test_an_id_that_is_none_is_not_used(store: Store, value: str) -> None:
    pq.write_table(
        pa.Table.from_pylist([member_row(value) | {"recipe": "{}"}]), Path(store.uri, "members/a-0123456789ab.parquet")
    )
    pq.write_table(pa.table({"trial": [value], "status": ["failed"]}), Path(store.uri, "compacted/trials-x.parquet"))
    fresh = Store.open(store.uri)
    assert set(fresh.members()["trial"].to_pylist()) == set(IDS) == set(fresh.trials()["trial"].to_pylist())
    assert len(fresh.problems) == 2


def test_a_manifest_stays_in_the_store(store: Store, small_images: Path) -> None:
    manifest = read_manifest(small_images)
    path = Path(store.uri, "data", f"{manifest.digest}.json")
    content = json.loads(path.read_text()) | {"digest": "../../../x"}
    path.write_text(json.dumps(content))
    fresh = Store.open(store.uri)
    assert not fresh.manifests()
    assert "../../../x" in fresh.problems[0]
    with pytest.raises(RaysweepError, match=r"\.\./x"):
        fresh.write_manifest(type(manifest)(**vars(manifest) | {"digest": "../../../x"}))


@pytest.mark.parametrize(("column", "value"), [("updated_at", 2**62), ("updated_at", -(2**62)), ("error", b"\xff")])
def test_values_that_python_cannot_represent_are_damage(store: Store, column: str, value: int | bytes) -> None:
    row = pa.Table.from_pylist([store.trial(IDS[1]) or {}], TRIAL)
    array = pa.array([value]).cast(pa.int64() if isinstance(value, int) else pa.binary()).view(TRIAL.field(column).type)
    changed = row.set_column(row.column_names.index(column), TRIAL.field(column), array)
    pq.write_table(changed, Path(store.uri, "trials", f"{IDS[1]}.parquet"))
    fresh = Store.open(store.uri)
    assert fresh.trials()["trial"].to_pylist() == sorted({*IDS} - {IDS[1]})
    assert f"trials/{IDS[1]}.parquet" in fresh.problems[0]


def test_what_is_no_regular_file_is_not_waited_for(store: Store) -> None:
    os.mkfifo(Path(store.uri, "trials", "pipe.parquet"))
    os.mkfifo(Path(store.uri, "trials", "0123456789ff.parquet"))
    Path(store.uri, "trials", "folder.parquet").mkdir()
    Path(store.uri, "trials", "zero.parquet").symlink_to("/dev/zero")
    Path(os.fsdecode(os.fsencode(store.uri) + b"/trials/\xff.parquet")).write_bytes(b"")
    fresh = Store.open(store.uri)
    assert len(fresh.trials()) == len(IDS)
    assert len(fresh.problems) == 4
    with pytest.raises(RaysweepError, match="not a regular file"):
        fresh.trial("0123456789ff")


READERS: tuple[Callable[[Store], object], ...] = (
    status_rows,
    lambda store: results_table(store, "activation"),
    lambda store: load_lines(store, [ALL]),
    load_searches,
    lambda store: (store.init_stats(), store.rankings(), store.manifests()),
    lambda store: stored_trial(store, IDS[1]),
    lambda store: Snapshot.of(_followed(store)),
    compact,
)


def _followed(store: Store) -> Following:
    following = Following(store)
    following.refresh()
    return following


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_images: Path) -> Path:
    store = Store.open(str(tmp_path_factory.mktemp("whole") / "store"), create=True)
    fill(store, small_images)
    return Path(store.uri)


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


FOLDERS = (
    "trials",
    "epochs",
    "members",
    "init_stats",
    "confusions",
    "searches",
    "rankings",
    "compacted",
    "data",
    "claims",
    ".",
)
STEMS = st.one_of(
    st.sampled_from([*IDS, "metadata", "activation-0123456789ab", "trials-20260101T000000-00000000", "store"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
)
CELLS = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.text(max_size=9), st.sampled_from(["finished", *IDS]))


@st.composite
def damage(draw: st.DrawFn) -> Callable[[Path], None]:
    """A file that is cut or overwritten, or one that is added."""
    cut, place, junk = draw(st.booleans()), draw(st.integers(0, 10**6)), draw(st.binary(max_size=60))
    folder, stem, suffix = draw(st.sampled_from(FOLDERS)), draw(STEMS), draw(st.sampled_from([".parquet", ".json"]))
    names = draw(st.lists(st.sampled_from(["trial", "status", "epoch", "study", "variant", "seed", "x"]), max_size=4))
    rows = draw(st.one_of(st.none(), st.just([]), CELLS.map(lambda cell: 2 * [dict.fromkeys(names, cell)])))

    def apply(root: Path) -> None:
        files = sorted(path for path in root.rglob("*") if path.is_file())
        if cut and files:
            path = files[place % len(files)]
            content = path.read_bytes()
            path.write_bytes(content[: place % (len(content) + 1)] + junk)
            return
        path = root / folder / f"{stem}{suffix}"
        path.parent.mkdir(exist_ok=True)
        if rows is None:
            path.write_bytes(junk)
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)

    return apply


def read_all(whole: Path, root: Path, damages: list[Callable[[Path], None]]) -> None:
    copytree(whole, root / "store")
    for one in damages:
        one(root / "store")
    before = listed(root)
    for read in READERS:
        with suppress(RaysweepError):
            read(Store.open(str(root / "store")))
    gone, new = before - listed(root), listed(root) - before
    assert all(name.startswith("store/compacted/") for name in new), "nothing is written elsewhere"
    assert all(Path(name).stem in IDS or name.startswith("store/members/") for name in gone), "nothing else is deleted"


DAMAGES = st.lists(damage(), min_size=1, max_size=3)


@settings(max_examples=5)
@given(damages=DAMAGES)
def test_readers_work_without_damaged_files_or_refuse_in_a_sentence(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, damages: list[Callable[[Path], None]]
) -> None:
    read_all(whole, tmp_path_factory.mktemp("damaged"), damages)


@pytest.mark.long
@settings(max_examples=300)
@given(damages=DAMAGES)
def test_readers_survive_much_damage(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, damages: list[Callable[[Path], None]]
) -> None:
    read_all(whole, tmp_path_factory.mktemp("damaged"), damages)
