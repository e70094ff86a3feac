"""Searches side by side: what is shared, what is charged, and what a killed driver leaves behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from raysweep.errors import RaysweepError
from raysweep.genotypes.nasbench201 import Cell201
from raysweep.nas.nasbench201_space import NASBench201
from raysweep.store.store import Store
from tests.nas_trials.trained import METHODS, ask_for, finish, open_all, run_all, status_of, told, top1_of, write_row


@pytest.mark.parametrize(
    ("kills", "seeds"),
    [((1, 2), 1), *(pytest.param(kills, 2, marks=pytest.mark.long) for kills in ((0, 1, 2), (5,), (3, 3, 3, 3, 3)))],
)
def test_searches_killed_anywhere_resume_identically(kills: tuple[int, ...], seeds: int, tmp_path: Path) -> None:
    run_all(open_all(ask_for(tmp_path / "whole", *METHODS, seeds=seeds, budget="8")))
    asked = ask_for(tmp_path / "cut", *METHODS, seeds=seeds, budget="8")
    for after in kills:
        searches = open_all(asked)
        run_all(searches, after)
        task = searches.next()
        assert task is not None
        if after % 2:
            write_row(task)  # the worker has ended it, and nobody has told the search
        searches.close()
    run_all(open_all(asked))
    assert told(tmp_path / "cut") == told(tmp_path / "whole")
    assert len(told(tmp_path / "cut")) == 2 * seeds * 8


def test_a_trial_is_trained_once_for_all_and_charged_to_each(tmp_path: Path) -> None:
    trained = run_all(open_all(ask_for(tmp_path, *METHODS)))
    rows = told(tmp_path)
    assert len(trained) == len(set(trained))
    shared = {row["trial"] for row in rows if row["method"] == "random"} & {
        row["trial"] for row in rows if row["method"] != "random"
    }
    assert len(shared) >= 4, "both begin with the same samples"
    costs = {row["trial"]: {other["cost_s"] for other in rows if other["trial"] == row["trial"]} for row in rows}
    assert all(len(costs[trial]) == 1 and costs[trial] != {0.0} for trial in shared)
    later = run_all(open_all(ask_for(tmp_path, "random_dedup")))
    assert len(later) < 12
    assert len([row for row in told(tmp_path) if row["method"] == "random_dedup"]) == 12


def test_ends_of_trials_become_evaluations(tmp_path: Path) -> None:
    run_all(open_all(ask_for(tmp_path, "random", budget="40")))
    rows = told(tmp_path)
    expected = {"failed": "lost"}
    for row in rows:
        status = status_of(row["trial"])
        assert row["status"] == expected.get(status, status)
        assert row["value"] == top1_of(row["trial"], status)
        assert row["cost_s"] > 0
        assert (row["params"], row["macs"]) == (1000, 50)
    assert Counter(row["status"] for row in rows).keys() == {"finished", "diverged", "out_of_memory", "lost"}
    assert [row["place"] for row in rows] == list(range(40))


def test_the_clock_is_that_of_the_trials_however_many_workers(tmp_path: Path) -> None:
    run_all(open_all(ask_for(tmp_path / "one", "random")))
    spent = 0.0
    for row in told(tmp_path / "one"):
        spent += row["cost_s"]
        assert row["clock_s"] == pytest.approx(spent)
    searches = open_all(ask_for(tmp_path / "three", "random"))
    workers = [task for _ in range(3) if (task := searches.next())]
    while workers:
        finish(searches, workers.pop(0))
        if task := searches.next():
            workers.append(task)
    clocks = [row["clock_s"] for row in told(tmp_path / "three")]
    assert clocks == sorted(clocks)
    assert clocks[-1] < 0.6 * spent
    assert {row["trial"] for row in told(tmp_path / "three")} == {row["trial"] for row in told(tmp_path / "one")}


def test_the_search_with_the_fewest_trials_in_progress_is_asked_first(tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "random", seeds=3))
    for _ in range(6):
        searches.next()
    assert [search.running for search in searches.searches] == [2, 2, 2]


def test_a_search_waits_for_a_trial_in_progress_in_another_search(tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, *METHODS))
    first, second = searches.next(), searches.next()
    assert first is not None
    assert second is not None
    assert first.trial != second.trial
    assert [search.running for search in searches.searches] == [1, 2], "random waits for the first, and has its own"
    finish(searches, first)
    assert [len(search.asking.evaluations) for search in searches.searches] == [1, 1]


def test_a_log_and_a_store_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    asked = ask_for(tmp_path, "random")
    searches = open_all(asked)
    run_all(searches, 3)
    searches.close()
    trial = next(row["trial"] for row in told(tmp_path) if row["status"] == "finished")
    store = Store.open(str(tmp_path))
    kept = store.trial(trial) or {}
    for other in ({"top1": 0.999}, {"status": "diverged", "top1": None}):
        store.write_trial(kept | other)
        with pytest.raises(RaysweepError, match=rf"proposal \d.*{trial}"):
            open_all(asked)
    store.files.delete(f"trials/{trial}.parquet")
    with pytest.raises(RaysweepError, match="no such result"):
        open_all(asked)
    store.write_trial(kept)
    assert len(run_all(open_all(asked))) == 9


def test_a_restarted_search_trains_nothing_again(tmp_path: Path) -> None:
    asked = ask_for(tmp_path, "evolution")
    run_all(searches := open_all(asked))
    searches.close()
    before = told(tmp_path)
    (log,) = (tmp_path / "searches").glob("*.log")
    log.unlink()
    failed = {row["trial"] for row in before if row["status"] in ("lost", "out_of_memory")}
    assert set(run_all(open_all(asked))) <= failed, "these are tried again"
    assert told(tmp_path) == before


def test_a_larger_budget_continues_and_every_unit_is_respected(tmp_path: Path) -> None:
    run_all(searches := open_all(ask_for(tmp_path, "random", budget="5")))
    searches.close()
    run_all(searches := open_all(ask_for(tmp_path, "random", budget="9")))
    searches.close()
    assert len(told(tmp_path)) == 9
    hours = 20 / 3600
    searches = open_all(ask_for(tmp_path / "h", "random", budget=f"{hours}h"))
    assert searches.most_left() > 1000
    run_all(searches)
    costs = [row["cost_s"] for row in told(tmp_path / "h")]
    assert sum(costs[:-1]) < 20 <= sum(costs)
    epochs = 3 * searches.baseline.training.epochs
    run_all(searches := open_all(ask_for(tmp_path / "e", "random_dedup", budget=f"{epochs}epochs")))
    assert searches.searches[0].asking.spent.epochs == epochs


def test_rungs_are_trainings_of_their_own(tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "successive_halving", budget="16"))
    run_all(searches)
    lengths = Counter(task.recipe.training.epochs for task in searches.tasks.values())
    rows = told(tmp_path)
    assert {row["fidelity"] for row in rows} == set(lengths)
    assert len(lengths) > 1
    assert max(lengths) == searches.baseline.training.epochs
    climbed = [row for row in rows if row["fidelity"] == sorted(lengths)[1]]
    assert all(row["trial"] not in {other["trial"] for other in rows if other["fidelity"] == 1} for row in climbed)


def test_equal_architectures_written_differently_are_one_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution and a skip, by way of node 1 or of node 2."""
    cells = [
        ("nor_conv_3x3", "none", "none", "none", "skip_connect", "none"),
        ("none", "nor_conv_3x3", "none", "none", "none", "skip_connect"),
    ]
    drawn = iter(map(Cell201, cells))
    monkeypatch.setattr(NASBench201, "sample", lambda space, rng: next(drawn))
    trained = run_all(open_all(ask_for(tmp_path, "random", budget="1", seeds=2, space="nasbench201")))
    one, other = told(tmp_path)
    assert one["key"] == other["key"]
    assert one["architecture"] != other["architecture"]
    assert len(trained) == 1
    assert one["trial"] == other["trial"]


def test_a_trial_whose_end_is_known_is_not_left(tmp_path: Path) -> None:
    searches = open_all(ask_for(tmp_path, "random", budget="2"))
    first = searches.next()
    assert first is not None
    assert searches.expected_left() == 2
    assert searches.expected_left({first.trial}) == 1, "on Ray its end is shown before Tune reports it"
    searches.close()
