"""Figures of architecture searches: on a made-up table, and of a store whose trials are written, not trained."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from raysweep.analysis.figures import Evidence, anytime, gather, overviews, render, search_macs, supernet_ranking
from raysweep.analysis.figures._searches import SHARED, evaluated
from raysweep.analysis.load import load_lines, load_searches, searches_of
from raysweep.analysis.page.report import write_report
from raysweep.analysis.page.results_page import write_results
from raysweep.nas import Evaluation, History, NASBench201, search
from raysweep.nas.ranking import Ranking, compare
from raysweep.store.schema import EVALUATIONS
from raysweep.store.store import Store
from tests.analysis.test_figures import overlaps
from tests.analysis.test_figures_overviews import NO_STATS, legible
from tests.nas.bits_space import BitString
from tests.nas.landscape import table
from tests.nas_trials.trained import METHODS, ask_for, open_all, run_all

BEST = table().best / 100
Histories = dict[tuple[str, int], History[Any]]


def shares(cell: Any, fidelity: float | None = None) -> Evaluation:
    """The made-up table with accuracies as shares."""
    found = table().evaluate(cell)
    return Evaluation(found.value / 100, found.cost_s)


@pytest.fixture(scope="module")
def histories() -> Histories:
    """Two methods, three seeds; one seed of random search ends early."""
    space, budgets = NASBench201(), {("random", 2): 20}
    keys = [(method, seed) for method in ("evolution", "random") for seed in range(3)]
    return {
        (method, seed): search(
            space, shares, method=method, budget=budgets.get((method, seed), 30), seed=seed, workers=2
        )
        for method, seed in keys
    }


@pytest.fixture(scope="module")
def known(histories: Histories) -> Evidence:
    return Evidence((), NO_STATS, searches_of(histories, "nasbench201", optimum=BEST))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Searches of two spaces, and successive halving under the settings of one of them."""
    folder = tmp_path_factory.mktemp("searches")
    for space, methods, seeds in (("nasnet", METHODS, 2), ("nasbench201", ("random",), 1)):
        run_all(open_all(ask_for(folder, *methods, budget="6", space=space, seeds=seeds)))
    run_all(open_all(ask_for(folder, "successive_halving", budget="30epochs", space="nasbench201")))
    return Store.open(str(folder))


@pytest.fixture(scope="module")
def evidence(searched: Store) -> Evidence:
    return gather(searched, load_lines(searched, ["all"]))


def row(**values: Any) -> dict[str, Any]:
    """An evaluation."""
    own = dict.fromkeys(EVALUATIONS.names) | {"search": "a", "study": "nas-x", "line": "l", "method": "m", "seed": 0}
    own |= {"place": 0, "status": "finished", "value": 0.5, "clock_s": 3600.0, "architecture": "a", "key": "a"}
    return own | {"params": 1e6, "macs": 1e6} | values


def of(*rows: dict[str, Any]) -> Evidence:
    return Evidence((), NO_STATS, pd.DataFrame(rows))


def test_histories_have_the_columns_of_a_store(known: Evidence, histories: Histories) -> None:
    assert [*known.searches.columns] == [*EVALUATIONS.names, "optimum"]
    assert known.searches["search"].nunique() == len(histories)
    assert known.searches["value"].max() <= BEST


def test_the_best_so_far_is_that_of_the_histories(known: Evidence, histories: Histories) -> None:
    frame = anytime.Anytime(("evaluations",)).data(known)
    for (method, seed), history in histories.items():
        own = frame[(frame["method"] == method) & (frame["seed"] == seed)].dropna(subset="best")
        assert own["x"].tolist() == list(range(1, len(history.evaluations) + 1))
        best = accumulate((100 * one.value for one in history.evaluations), max)
        assert own["best"].tolist() == pytest.approx([*best])


def test_means_are_over_the_seeds_that_are_there(known: Evidence) -> None:
    frame = anytime.Anytime(("evaluations",)).data(known)
    random = frame[frame["method"] == "random"]
    assert random.groupby("x")["n"].first().tolist() == [3] * 20 + [2] * 10
    assert set(random["seeds"]) == {3}
    at = random[random["x"] == 15]
    low, high = stats.ttest_1samp(at["best"], 0.0).confidence_interval(0.95)
    shown = at.iloc[0]
    assert [shown["mean"] - shown["half"], shown["mean"] + shown["half"]] == pytest.approx([low, high])


def test_hours_are_a_step_function_from_the_first_end_to_the_last(histories: Histories, known: Evidence) -> None:
    frame = anytime.Anytime(("hours",)).data(known)
    grids = [tuple(own["x"]) for _, own in frame.groupby(["method", "seed"])]
    assert len(set(grids)) == 1, "one grid for all"
    for (method, seed), history in histories.items():
        own = frame[(frame["method"] == method) & (frame["seed"] == seed)]
        times = [one.clock_s / 3600 for one in history.evaluations]
        for x, best in zip(own["x"], own["best"], strict=True):
            before = [100 * one.value for one, time in zip(history.evaluations, times, strict=True) if time <= x]
            assert math.isnan(best) if x > max(times) or not before else best == pytest.approx(max(before))
        assert own["best"].max() == pytest.approx(100 * history.best.value), "the end is on the grid"


def test_regret_is_what_is_missing_to_the_best_of_the_table(known: Evidence, histories: Histories) -> None:
    frame = anytime.Anytime(("evaluations", "hours"), regret=True).data(known)
    last = frame.dropna(subset="best").groupby(["against", "method", "seed"])["best"].last()
    for (method, seed), history in histories.items():
        for against in ("evaluations", "hours"):
            assert last[against, method, seed] == pytest.approx(100 * (BEST - history.best.value))
    assert frame["best"].min() >= 0


def test_there_is_no_regret_where_nobody_knows_the_best(evidence: Evidence) -> None:
    assert overviews()["search_regret"].data(evidence).empty


def test_only_the_longest_trainings_of_a_method_count_and_only_equal_ones_are_compared() -> None:
    halving = [row(search="h", method="h", fidelity=1.0, value=0.9), row(search="h", method="h", fidelity=3.0, place=1)]
    other = row(search="o", method="o", fidelity=9.0)
    found = evaluated(of(*halving, other, row(search="p", method="p", fidelity=3.0)))
    tops = found.set_index(["method", "place"])["top1"]
    assert math.isnan(tops["h", 0])
    assert tops["h", 1] == 50
    assert found.groupby("panel")["method"].unique().map(list).to_dict() == {
        "nas-x, 3 epochs": ["h", "p"], "nas-x, 9 epochs": ["o"]
    }  # fmt: skip
    frame = anytime.Anytime(("evaluations",)).data(of(*halving))
    assert frame.set_index("x")["best"].isna().tolist() == [True, False], "it begins with the first that counts"


def test_scores_by_shared_weights_are_compared_with_no_training_and_are_no_curve() -> None:
    scores = [row(search="e", method="e", fidelity=fidelity, place=place) for place, fidelity in enumerate((1, SHARED))]
    found = of(*scores, row(search="r", method="r", value=0.6))
    panels = evaluated(found).dropna(subset="top1").set_index("panel")["method"].to_dict()
    assert panels == {"nas-x": "r", "nas-x, shared weights": "e"}
    assert set(anytime.Anytime(("evaluations",)).data(found)["method"]) == {"r"}


def test_searches_without_trials_come_with_what_they_found(searched: Store, tmp_path: Path) -> None:
    copy = shutil.copytree(searched.uri, tmp_path / "s")
    store = Store.open(str(copy))
    score = row(search="e", study="nas-nasnet", line="k", method="enas", number=0, fidelity=SHARED, reused=False)
    store.write_evaluations("e", [{**score, "params": None, "macs": None}])
    lines = load_lines(store, ["nas-nasnet"])
    assert "e" not in set(gather(store, lines).searches["search"]), "of other settings than the line that is shown"
    best = [replace(line, study="nas-nasnet-best") for line in lines]
    assert set(gather(store, best).searches["search"]) == {"e"}


def test_settings_give_the_length_that_a_method_does_not_choose(evidence: Evidence) -> None:
    found = evaluated(evidence)
    halving = found[found["method"].str.startswith("successive_halving")]
    (panel,) = set(halving["panel"])
    assert "random" in set(found.loc[found["panel"] == panel, "method"]), "its highest rung is the settings' length"
    assert set(halving.loc[halving["top1"].notna(), "fidelity"]) == {halving["epochs"].iloc[0]}


def test_lines_of_a_study_have_panels_of_their_own() -> None:
    found = evaluated(of(row(), row(search="b", line="k"), row(search="c", study="nas-y")))
    assert set(found["panel"]) == {"nas-x, line l", "nas-x, line k", "nas-y"}


def test_what_has_failed_takes_time_and_has_no_value() -> None:
    frame = anytime.Anytime(("hours",)).data(
        of(
            row(status="diverged", value=None),
            row(place=1, clock_s=7200.0),
            row(place=2, status="lost", value=None, clock_s=9000.0),
        )
    )
    there = frame.dropna(subset="best")
    assert there["x"].min() == 2.0
    assert there["x"].max() == 2.5
    assert set(there["best"]) == {50.0}


def test_fronts_are_what_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    rows = [row(place=n, key=str(n), macs=10 ** rng.uniform(6, 9), value=rng.uniform(0, 1)) for n in range(60)]
    frame = search_macs.data(of(*rows, row(place=60, key="3"), row(place=61, key="big", macs=None, params=None)))
    assert len(frame) == 60
    assert frame["times"].tolist().count(2) == 1
    for one in frame.itertuples():
        others = frame[(frame["macs"] <= one.macs) & (frame["top1"] >= one.top1)]
        assert one.front == (len(others) == 1)


def test_areas_grow_in_proportion_to_parameters() -> None:
    small, half, large = (search_macs.area(params, 8e6) for params in (0, 4e6, 8e6))
    assert half - small == pytest.approx(large - half)
    assert large > 4 * small > 0


@pytest.mark.parametrize("name", ["search_evaluations", "search_hours", "search_regret"])
def test_curves_of_a_table_are_legible(name: str, known: Evidence) -> None:
    legible(name, known)


@pytest.mark.parametrize("name", ["search_evaluations", "search_hours", "search_macs", "found_cells"])
def test_figures_of_a_store_are_legible(name: str, evidence: Evidence) -> None:
    legible(name, evidence)


def test_one_search_is_enough(known: Evidence) -> None:
    one = known.searches[known.searches["search"] == known.searches["search"].iloc[0]]
    for name in ("search_evaluations", "search_hours", "search_regret"):
        legible(name, Evidence((), NO_STATS, one))


def test_searches_without_any_value_are_not_shown() -> None:
    nothing = of(row(status="lost", value=None, params=None), row(search="b", seed=1, status="diverged", value=None))
    assert all(entry.make.data(nothing).empty for entry in overviews())


def test_regret_of_who_begins_with_the_best() -> None:
    legible("search_regret", of(row(optimum=0.5), row(place=1, optimum=0.5, clock_s=4000.0, value=0.4)))


def test_a_store_without_searches_has_no_such_figures() -> None:
    assert all(entry.make.data(Evidence((), NO_STATS)).empty for entry in overviews())


def ranking(noise: float = 0.02) -> Ranking[str]:
    """A ranking of bit strings by their share of ones; some fail in one of the two ways."""
    rng = np.random.default_rng(1)

    def shared(bits: str) -> Evaluation:
        return Evaluation(bits.count("1") / 40 + rng.normal(0, noise), 1.0)

    def standalone(bits: str) -> Evaluation:
        status: Any = "diverged" if bits.startswith("111") else "finished"
        return Evaluation(bits.count("1") / 20 + rng.normal(0, noise), 9.0, status)

    return compare(BitString(16), shared, standalone, seed=3)


def test_tau_is_that_of_the_pairs_that_have_both_scores() -> None:
    found = ranking()
    frame = supernet_ranking.data(Evidence((), NO_STATS, rankings=found.to_table(epochs=2).to_pandas()))
    agreement = supernet_ranking.agreement(frame)
    assert agreement is not None
    assert agreement.tau == pytest.approx(found.kendall_tau)
    assert agreement.n == found.num_pairs < 20
    assert agreement.low < agreement.tau < agreement.high
    assert set(frame["panel"]) == {"seed 3, epochs 2"}
    lost = 20 - found.num_pairs
    tau, left_out = supernet_ranking.words(frame).splitlines()
    assert f"n = {found.num_pairs} of 20" in tau
    assert left_out.startswith(f"{lost} ")
    assert "diverged" in left_out
    assert frame.loc[frame["left_out"] != "", "shared"].notna().all()


def test_each_ranking_of_a_store_has_a_panel(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    assert gather(store, []).rankings.empty
    found = ranking()
    store.write_ranking("one", found.to_table(epochs=2, shared_recipe="{" + 99 * "-" + "}"))
    store.write_ranking("two", found.to_table(bn="batch"))
    rows = store.rankings().to_pandas()
    assert rows.groupby("ranking").size().to_dict() == {"one": 20, "two": 20}
    kept = rows[rows["ranking"] == "one"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[found.to_table().column_names], found.to_table().to_pandas())
    frame = supernet_ranking.data(gather(store, []))
    assert list(frame["panel"].unique()) == ["one, seed 3, epochs 2", "two, seed 3, bn batch"]
    (tmp_path / "rankings" / "one.parquet").write_bytes(b"PAR1 and no more")
    assert set(store.rankings()["ranking"].to_pylist()) == {"two"}
    assert "rankings/one.parquet" in store.problems[0]


def test_rankings_side_by_side_are_legible() -> None:
    tables = [ranking().to_table(bn=bn).to_pandas() for bn in ("batch", "stored", "none")]
    frame = supernet_ranking.data(Evidence((), NO_STATS, rankings=pd.concat(tables)))
    assert overlaps(render(overviews()["supernet"], frame, "")) == []


def test_a_ranking_of_equal_scores_has_no_tau() -> None:
    frame = supernet_ranking.data(Evidence((), NO_STATS, rankings=ranking().to_table().to_pandas()))
    assert supernet_ranking.agreement(frame.assign(shared=1.0)) is None
    assert supernet_ranking.words(frame.assign(shared=1.0)).startswith("no tau")


def test_gather_returns_the_searches_of_the_lines_shown(searched: Store) -> None:
    found = gather(searched, load_lines(searched, ["nas-nasnet"]))
    assert set(found.searches["study"]) == {"nas-nasnet"}
    assert len(found.searches) == len(load_searches(searched, "nas-nasnet")) > 0


def test_the_report_of_searches(searched: Store, tmp_path: Path) -> None:
    text = write_report(searched.uri, ["nas-nasbench201", "nas-nasnet"], tmp_path).read_text()
    drawn = {path.stem for path in tmp_path.glob("*.svg")}
    assert drawn == {f"overview-{n}" for n in ("search_evaluations", "search_hours", "search_macs", "found_cells")}
    assert text.count("--retrain") == 2
    assert "better" not in text.lower().partition("<section")[2].partition("<details")[0]
    for line in load_lines(searched, ["nas-nasbench201", "nas-nasnet"]):
        best = line.finished.sort_values("top1").iloc[-1]
        assert f"{100 * best['top1']:.1f} %)" in text
        assert "network.genotype" not in line.settings()
        assert line.settings()["network.name"] in ("nasbench201", "nasnet_cells")
        assert line.baseline_recipe.training.epochs == 4
    assert "Gains are over" not in text.partition("<section")[2]
    assert "<td>baseline</td>" not in text, "a search has no baseline"


def test_the_results_page_shows_searches_and_makes_no_claim_of_them(searched: Store, tmp_path: Path) -> None:
    write_results(searched.uri, tmp_path / "RESULTS.md", tmp_path / "pictures")
    text = (tmp_path / "RESULTS.md").read_text()
    shown = re.findall(r"!\[.*\]\((pictures/overview-.*)\)", text)
    assert {Path(file).stem for file in shown} == {
        f"overview-{name}" for name in ("search_evaluations", "search_hours", "search_macs", "found_cells")
    }
    assert all((tmp_path / file).stat().st_size for file in shown)
    trials = searched.members().to_pandas().query("study == 'nas-nasnet'")["trial"].nunique()
    assert re.search(rf"\b{2 * len(METHODS)} searches\b.*\b{trials} trials\b", text)
    own = text[text.index("## nas-nasnet") :]
    assert not re.search(r"\bbetter\b|\bworse\b", own, re.IGNORECASE)
    rows = re.findall(r"^\| (\S+-s\d-\d{3}) \| 1 \| ([\d.]+) \|", own, re.MULTILINE)
    assert len(rows) == 10
    assert sorted(rows, key=lambda row: -float(row[1])) == rows
    assert "| baseline |" not in own
