"""`raysweep nas` with real training on generated images, without Ray."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from raysweep.analysis.load import load_searches
from raysweep.data.fit import bind_data
from raysweep.data.manifest import Manifest
from raysweep.errors import RaysweepError
from raysweep.genotypes.macro import MacroNetwork
from raysweep.orchestrate.events import Outcome
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps import supernet_ranking
from raysweep.sweeps.resources import Resources
from raysweep.verbs.entry import raysweep
from raysweep.verbs.nas import nas, print_ranking, take_nas

STUDY = Path(__file__).parents[2] / "docs/study"

SMALL = ("--space", "nasbench201", "--protocol", "demo", "--width", "0.25", "--epochs", "1", "--inline")


def call(*words: object) -> Result:
    return CliRunner().invoke(raysweep, [str(word) for word in words], catch_exceptions=False)


def good(*words: object) -> str:
    done = call(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def search(small_images: Path, tmp_path: Path) -> tuple[object, ...]:
    """Two methods on a small space; the budget is still to be named."""
    words = ("nas", "random", "evolution", *SMALL, "--data", small_images, "--store", tmp_path / "s")
    return (*words, "--option", "population=2", "--option", "sample=1", "--budget")


def test_a_search_is_previewed_run_and_continued(
    search: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.nas_trials.preview.EXAMPLES", 1)
    before = good(*search, "2", "--dry-run")
    assert "2 searches" in before
    assert not (tmp_path / "s").exists(), "a preview writes nothing"
    good(*search, "1")
    assert good(*search, "2", "--dry-run").splitlines()[1].split()[1:3] == ["0", "1"]
    found = good(*search, "2")
    store = Store.open(str(tmp_path / "s"))
    frame = load_searches(store, "nas-nasbench201")
    assert frame.groupby("search")["number"].apply(list).tolist() == [[0, 1]] * 2
    assert set(frame["status"]) == {"finished"}
    assert frame["params"].gt(0).all()
    for one in frame.to_dict("records"):
        assert one["value"] == (store.trial(one["trial"]) or {})["top1"]
        assert (one["value"] * 30) % 1 == pytest.approx(0), "a tenth of 300 images is tested on"
    best = frame.loc[frame[frame["method"] == "random"]["value"].idxmax()]
    assert best["trial"] in found


def test_the_commands_of_the_study_continue_the_searches_in_its_store() -> None:
    commands = (STUDY / "README.md").read_text().replace("\\\n", "")
    images = Manifest.from_json((STUDY / "store/data/773421aa7baf.json").read_text())
    names = set()
    for words in re.findall(r"^raysweep nas (.*)$", commands, re.M):
        asked = take_nas(nas.make_context("nas", shlex.split(words)).params)
        request = asked.training_request()
        baseline = bind_data(patch(find_protocol(request.protocol), request.settings), images)
        names |= {one.name for one in asked.named(baseline)}
    assert names == {path.stem for path in (STUDY / "store/searches").glob("*.parquet")}


def test_whole_networks_of_the_macro_space_are_searched(small_images: Path, tmp_path: Path) -> None:
    words = ("nas", "random", "--space", "enas-macro", *SMALL[2:], "--data", small_images, "--store", tmp_path / "s")
    good(*words, "--budget", "1")
    (one,) = load_searches(Store.open(str(tmp_path / "s")), "nas-enas-macro").to_dict("records")
    assert one["status"] == "finished"
    assert len(MacroNetwork.parse(one["architecture"]).layers) == 12


@pytest.mark.long
def test_a_supernet_is_searched_and_ranked_against_individual_trainings(small_images: Path, tmp_path: Path) -> None:
    lengths = ("epochs=2", "rewards=2", "sampled=3", "rescored=2", "preset=small", "cells=3", "width=4")
    options = [word for length in lengths for word in ("--option", length)]
    words = ("nas", "enas", *options, "--space", "enas", *SMALL[2:], "--set", "network.cell_repeats=1")
    words = (*words, "--batch-size", "30", "--data", str(small_images), "--store", str(tmp_path / "s"), "--rank", "3")
    assert good(*words, "--dry-run").splitlines()[1].split()[1:3] == ["0", "0"]
    found = good(*words)
    store = Store.open(str(tmp_path / "s"))
    frame = load_searches(store, "nas-enas")
    assert frame["fidelity"].tolist() == [1, 1, 1, 1, 1, 1, 1, math.inf, math.inf]
    assert frame["trial"].isna().all()
    ranking = store.rankings().to_pylist()
    assert ranking[0]["architecture"] == frame.loc[frame["value"].where(frame["fidelity"] > 1).idxmax()]["architecture"]
    rows = {row["summary"]: row["trial"] for row in store.members().to_pylist() if row["study"] == "nas-enas-ranking"}
    tops = [(store.trial(rows[row["architecture"]]) or {})["top1"] for row in ranking]
    assert [row["standalone_top1"] for row in ranking] == tops
    again = call(*words, "--retrain", "1")
    assert re.search(r"^1 searches with a supernet, 1 of them", again.stderr, re.M)
    assert re.search(r"^3 trials, 3 of them", again.stderr, re.M)
    assert again.stdout.startswith(found)
    shared = store.rankings()["shared_top1"].to_pylist()
    assert shared == [row["shared_top1"] for row in ranking], "scores do not depend on who scores"


def test_a_failed_supernet_search_fails_the_command(
    small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*place: object) -> Iterator[dict[str, Any]]:
        raise RaysweepError("no room on the disk")

    monkeypatch.setattr("raysweep.sweeps.supernet_sweep.train_supernet", train)
    words = ("nas", "enas", "--space", "enas", *SMALL[2:], "--data", small_images, "--store", tmp_path / "s")
    done = call(*words, "--option", "preset=small")
    assert done.exit_code == 1
    (left,) = (tmp_path / "s" / "searches").glob("*.error")
    assert str(left) in done.stderr
    assert "no room on the disk" in left.read_text()


def test_a_failed_retraining_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysweep.verbs.nas.run_nas", lambda *asked: ([], False))
    monkeypatch.setattr("raysweep.nas_trials.retraining.retraining", lambda *asked: Request(("activation",)))
    words = ("nas", "random", *SMALL, "--budget", "1", "--retrain", "1")
    for outcome, status in ((Outcome(finished=("a", "b")), 0), (Outcome(finished=("a",), failed=("b",)), 1)):
        monkeypatch.setattr("raysweep.sweeps.study_sweep.run_studies", lambda *asked, ended=outcome: ended)
        assert call(*words).exit_code == status


def test_a_failed_training_of_a_ranked_cell_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def rank(*asked: object) -> None:
        raise supernet_ranking.UntrainedCellError("cell 7 failed")

    monkeypatch.setattr(supernet_ranking, "cells_of", lambda *asked: {})
    monkeypatch.setattr(supernet_ranking, "ranking_request", lambda *asked: None)
    monkeypatch.setattr(supernet_ranking, "run_studies", lambda *asked: Outcome(failed=("cell",)))
    monkeypatch.setattr(supernet_ranking, "rank", rank)
    prepared: Any = SimpleNamespace(tasks=[SimpleNamespace()])
    search: Any = SimpleNamespace(has_finished=True, name="enas-s0")
    assert print_ranking(prepared, [search], Resources(), 20)


@pytest.mark.long
def test_the_best_architectures_are_retrained_and_reported(search: tuple[object, ...], tmp_path: Path) -> None:
    good(*search, "3", "--retrain", "2", "--beside", "resnet20_cifar")
    rows = json.loads(good("results", "nas-nasbench201-best", "--store", tmp_path / "s", "--json"))
    assert {row["seed"] for row in rows} == {0, 1}
    assert {row["status"] for row in rows} == {"finished"}
    handmade = next(row for row in rows if row["variant"] == "resnet20_cifar")
    best = max(load_searches(Store.open(str(tmp_path / "s"))).to_dict("records"), key=lambda one: one["value"])
    assert handmade["macs"] == pytest.approx(best["macs"], rel=0.2), "no larger for being beside it"
    searched = load_searches(Store.open(str(tmp_path / "s")))["trial"]
    assert {row["trial"] for row in rows}.isdisjoint(searched), "all training images, tested on the test split"
    studies = ("nas-nasbench201", "nas-nasbench201-best")
    page = Path(good("report", *studies, "--store", tmp_path / "s", "--out", tmp_path / "r").strip()).read_text()
    assert "random-s0-00" in page


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (("random",), "--budget.*random"),
        (("random", "--budget", "3", "--rank", "20"), "--rank.*20"),
        (("enas",), "--space nasbench201.*enas"),
        (("random", "enas", "--budget", "3"), "--space nasbench201.*enas"),
        (("random", "--budget", "0"), "0 evaluations"),
        (("randon", "--budget", "3"), "randon.*random"),
        (("random", "--budget", "3", "--space", "nasnett"), "nasnett.*nasnet"),
        (("evolution", "--budget", "3", "--option", "population"), "--option population:"),
        (("random", "--budget", "3", "--option", "population=3"), "random.*population"),
        (("random", "--budget", "3", "--beside", "vgg16"), "--retrain.*0"),
        (("random", "--budget", "3", "--retrain", "1", "--beside", "vgg61"), "vgg61"),
        (("random", "--budget", "3", "--holdout", "0"), "--holdout.*0"),
        (("random", "--budget", "3", "--holdout", "0.0001"), "holdout.*0.0001"),
        (("random", "--budget", "3", "--network", "vgg16"), "network.name.*nasbench201"),
    ],
)
def test_mistakes_are_reported_before_anything_is_trained(
    words: tuple[str, ...], pattern: str, small_images: Path, tmp_path: Path
) -> None:
    more = () if "--space" in words else ("--space", "nasbench201")
    settings = (*more, "--protocol", "demo", "--data", small_images, "--store", tmp_path / "s", "--inline")
    done = CliRunner().invoke(raysweep, ["nas", *words, *map(str, settings)])
    message = str(done.exception) if isinstance(done.exception, RaysweepError) else done.output
    assert re.search(pattern, message), message
    assert not (tmp_path / "s").exists()


def test_a_population_larger_than_the_budget_gives_a_warning(small_images: Path, tmp_path: Path) -> None:
    words = ("nas", "evolution", *SMALL, "--data", small_images, "--store", tmp_path / "s", "--budget", "1")
    assert "population of 30" in call(*words).stderr


def test_an_exhausted_space_ends_the_search(
    small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysweep.genotypes.nasbench201 import Cell201
    from raysweep.nas.nasbench201_space import NASBench201

    only = Cell201(("skip_connect",) * 6)
    monkeypatch.setattr(NASBench201, "sample", lambda space, rng: only)
    words = ("nas", "random_dedup", *SMALL, "--data", small_images, "--store", tmp_path / "s", "--budget", "9")
    assert "random_dedup seed 0 ended before its budget" in good(*words)
    assert len(load_searches(Store.open(str(tmp_path / "s")))) == 1
