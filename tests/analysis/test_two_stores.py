from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from raysweep.analysis.load import load_lines
from raysweep.analysis.statistics.comparisons import comparisons, on_one_page
from raysweep.analysis.two_stores import compare_stores, order_words, trials_words
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import fill, write

VARIANTS = ("elu", "tanh", "prelu", "rrelu", "selu")


def filled(folder: Path, seed: int = 0, epochs: float = 4.0, shift: float = 0.0, seeds: int = 3) -> Store:
    """A store with noise of its own; `shift` is added to ELU's accuracy."""
    store = Store.open(str(folder), create=True)
    settings = {"training.epochs": epochs}
    plan = fill(store, Request(("activation",), "cifar10", settings, variants=VARIANTS, seeds=seeds))
    noise = np.random.default_rng(seed)
    for planned in plan:
        own = shift if planned.members[0].variant == "elu" else 0.0
        write(store, planned, "finished", 0.4 + own + noise.normal(0, 0.004))
    return store


def test_equal_stores_are_equal_to_the_bit(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b")
    found = compare_stores(a.uri, b.uri)
    assert found.trials["verdict"].tolist() == ["equal"] * 18
    assert found.only_a == found.only_b == []
    assert (found.variants["difference"] == 0).all()
    assert not found.variants["differs"].any()
    assert found.orders["tau"].tolist() == [pytest.approx(1)]
    assert len(found.unequal) == 0


def test_unequal_numbers_of_one_trial_are_judged_by_the_noise(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b", seed=1, shift=0.1)
    found = compare_stores(a.uri, b.uri)
    by = found.trials.set_index(["variant", "seed"])
    assert set(by.loc["elu", "verdict"]) == {"different"}
    others = found.trials[found.trials["variant"] != "elu"]
    assert (others["verdict"] == "within noise").mean() > 0.7
    variants = found.variants.set_index("variant")
    assert variants.loc["elu", "differs"]
    assert not variants.drop("elu")["differs"].any()
    elu = variants.loc["elu"]
    assert elu["difference"] == pytest.approx(elu["gain_b"] - elu["gain_a"])
    assert elu["difference"] == pytest.approx(10, abs=2)
    assert "18 (" in trials_words(found)


def test_lines_with_other_settings_are_compared(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b", seed=2, epochs=9.0, seeds=1)
    found = compare_stores(a.uri, b.uri)
    assert found.trials.empty
    assert (len(found.only_a), len(found.only_b)) == (18, 6)
    assert len(found.variants) == 5
    assert found.variants["half"].isna().all()  # one seed in b
    assert not found.variants["differs"].any()
    (order,) = found.orders.to_dict("records")
    assert "gains differ" not in order_words(order, found.variants)
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert written["variants"][0]["half"] is None


def test_the_interval_is_welchs_at_bonferronis_level(tmp_path: Path) -> None:
    uris = [filled(tmp_path / "a").uri, filled(tmp_path / "b", seed=1).uri]
    found = compare_stores(*uris)
    a, b = (comparisons(on_one_page(load_lines(Store.open(uri), ["activation"]))[0])["elu"] for uri in uris)
    error = math.hypot(a.error, b.error)
    df = error**4 / (a.error**4 / a.df + b.error**4 / b.df)
    elu = found.variants.set_index("variant").loc["elu"]
    assert elu["half"] == pytest.approx(stats.t.ppf(1 - 0.025 / 5, df) * error)
    assert ((found.variants["p"] <= 0.05) == (found.variants["difference"].abs() > found.variants["half"])).all()
    assert (found.variants["differs"] == found.variants["verdict"].isin(["better", "worse"])).all()


def test_different_ends_are_reported(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b")
    (planned, *_) = Request(("activation",), "cifar10", {"training.epochs": 4.0}, variants=VARIANTS).plan()
    write(b, planned, "diverged", math.nan)
    unequal = compare_stores(a.uri, b.uri).unequal
    assert unequal["verdict"].tolist() == ["ends differ"]


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    empty = Store.open(str(tmp_path / "empty"), create=True)
    with pytest.raises(RaysweepError, match=re.escape(empty.uri)):
        compare_stores(filled(tmp_path / "a").uri, empty.uri)
