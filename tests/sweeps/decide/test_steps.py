"""The steps of `decide`: each chooses, checks or concludes what its trials say, and continues after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.deciding.verdicts import Outcome
from raysweep.recipe import Recipe
from raysweep.sweeps import measured_pace
from raysweep.sweeps.decide import lasting, rate_check
from raysweep.sweeps.decide.calibrate import has_narrow_head
from raysweep.sweeps.decide.lab import FINAL_SEEDS, FRESH_SEED
from tests.sweeps.decide.fake_trials import PACE, Fake, fake, usual

RATES = {"lr": 0.01}
NO_DROPOUT = {"network.dropout": 0.0}
ELU = {"variants": "elu,tanh", "settings": NO_DROPOUT}


@pytest.fixture(autouse=True)
def _pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_pace, "pace_here", lambda request, note, threads=1: PACE)


def elu_better(recipe: Recipe) -> float:
    return usual(recipe) + 0.05 * (recipe.network.activation == "elu") - 0.04 * (recipe.network.activation == "tanh")


@pytest.mark.parametrize(
    ("best", "runs"),
    [(0.01, 5), (0.04, 6), *(pytest.param(*one, marks=pytest.mark.long) for one in ((0.02, 5), (0.0025, 6)))],
)
def test_the_rate_is_the_one_that_is_best_even_beyond_the_grid(
    small_images: Path, tmp_path: Path, best: float, runs: int
) -> None:
    def top1(recipe: Recipe) -> float:
        return usual(replace(recipe, solver=replace(recipe.solver, lr=0.01 * recipe.solver.lr / best)))

    made = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT)
    names = made.run(runs + 1)
    assert [name.partition("/")[0] for name in names] == ["calibration"] * runs + ["activation"]
    assert made.lab.request.settings["solver.lr"] == pytest.approx(best)
    assert made.made[-1].recipe.solver.lr == pytest.approx(best)
    assert {task.recipe.seed for task in made.made[:-1]} == {FRESH_SEED}
    again = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT)
    assert again.run(1)[0].startswith(("activation", "controls"))
    assert again.made[0].recipe.solver.lr == pytest.approx(best)


def test_a_rate_that_the_user_fixed_stays_and_a_wide_dropout_of_a_narrow_head_goes(
    small_images: Path, tmp_path: Path
) -> None:
    def top1(recipe: Recipe) -> float:
        return usual(recipe) - 0.1 * recipe.network.dropout

    made = fake(small_images, tmp_path / "s", top1, variants="elu", **RATES)
    assert has_narrow_head(made.lab.baseline())
    names = made.run(3)
    assert names == [
        f"calibration/dropout_0 seed {FRESH_SEED}",
        f"calibration/dropout_0.2 seed {FRESH_SEED}",
        *names[2:],
    ]
    assert made.lab.request.settings["network.dropout"] == 0.0


def test_a_baseline_that_no_rate_trains_keeps_its_own(small_images: Path, tmp_path: Path) -> None:
    made = fake(small_images, tmp_path / "s", lambda recipe: None, variants="elu", settings=NO_DROPOUT)
    made.run()
    assert "solver.lr" not in made.lab.request.settings
    (row,) = made.steps("calibrate")
    assert "did not train" in row["text"]
    assert {row["outcome"] for row in made.steps("control")} == {"failed"}
    assert made.steps("warning")
    assert "did not train" in made.steps("final")[-1]["text"]


def test_controls_that_pass_are_recorded_and_shared_with_the_study(small_images: Path, tmp_path: Path) -> None:
    made = fake(small_images, tmp_path / "s", elu_better, variants="elu,linear", settings=NO_DROPOUT, **RATES)
    made.run()
    rows = {row["control"]: row for row in made.steps("control")}
    assert set(rows) == {"quarter_of_images", "wrong_labels", "half_width", "no_nonlinearity"}
    assert {row["outcome"] for row in rows.values()} == {"passed"}
    assert all(row["low"] < row["gain"] < row["high"] < 0 for row in rows.values())
    assert not made.steps("warning")
    linear = [task for task in made.made if task.recipe.network.activation == "linear" and task.recipe.seed == 0]
    assert len({task.trial for task in linear}) == len(linear)
    members = made.lab.trials.store.members().to_pylist()
    assert {row["study"] for row in members if row["trial"] == linear[0].trial} == {"activation", "controls"}


@pytest.mark.parametrize(("budget", "doubled"), [("10h", True), ("20m", False)])
def test_a_control_that_fails_doubles_the_length_or_leaves_a_warning(
    small_images: Path, tmp_path: Path, budget: str, doubled: bool
) -> None:
    first = 0

    def top1(recipe: Recipe) -> float:  # linear is better until training is twice as long
        early = recipe.length.iterations < 1.9 * first and recipe.network.activation == "linear"
        return usual(recipe) + 0.2 * early

    made = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT, budget=budget, **RATES)
    first = made.lab.baseline().recipe.length.iterations
    made.run()
    last = made.lab.baseline().recipe.length.iterations
    assert last == pytest.approx(first * (2 if doubled else 1), abs=1)
    assert bool(made.steps("warning")) is not doubled
    (fit, *_) = [row["fit"] for row in reversed(list(made.lab.logs["activation"].of_kind("fit")))]
    assert fit == made.lab.chosen
    assert {task.recipe.length.iterations for task in made.made if task.study == "activation"} >= {last}


def test_a_length_that_the_user_fixed_is_not_doubled(small_images: Path, tmp_path: Path) -> None:
    def top1(recipe: Recipe) -> float:
        return usual(recipe) + 0.2 * (recipe.network.activation == "linear")

    made = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT, epochs=3, **RATES)
    made.run()
    (row,) = made.steps("warning")
    assert "no_nonlinearity" in row["text"]
    assert made.lab.baseline().recipe.training.epochs == 3


def test_a_verdict_that_turns_at_another_rate_is_marked_and_not_combined(small_images: Path, tmp_path: Path) -> None:
    def top1(recipe: Recipe) -> float:
        fast = recipe.solver.lr > 0.015
        return usual(recipe) + (0.05 if not fast else -0.2) * (recipe.network.activation == "elu")

    made = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT, **RATES)
    made.run()
    turns = {row["factor"]: row["turns"] for row in made.steps("rate")}
    assert turns == {0.5: False, 2.0: True}
    assert made.steps("final")[-1]["variants"] == []
    assert [row["kept"] for row in made.steps("combine")] == [False]


@pytest.mark.parametrize(
    ("outcome", "gain", "turns"),
    [
        (Outcome.BETTER, (1.0, 0.0, 2.0), False),
        (Outcome.BETTER, (-1.0, -2.0, 0.0), True),
        (Outcome.BETTER, None, True),
        (Outcome.WORSE, (-1.0, -2.0, 0.0), False),
        (Outcome.WORSE, (0.5, -1.0, 2.0), True),
        (Outcome.WORSE, None, False),
        (Outcome.DID_NOT_TRAIN, None, False),
        (Outcome.DID_NOT_TRAIN, (-9.0, -9.5, -8.5), True),
    ],
)
def test_what_turns_a_verdict(outcome: Outcome, gain: tuple[float, float, float] | None, turns: bool) -> None:
    assert rate_check.does_turn(outcome, gain) is turns


@pytest.mark.parametrize(("longer", "found"), [(5.0, "holds"), (2.1, "holds"), (1.9, "fades"), (-0.1, "turns")])
def test_whether_a_gain_lasts(longer: float, found: str) -> None:
    assert lasting.outcome(4.0, longer) == found
    assert lasting.outcome(4.0, None) == "turns"


def test_what_is_better_is_combined_and_compared_on_the_test_split(small_images: Path, tmp_path: Path) -> None:
    def top1(recipe: Recipe) -> float:
        average = recipe.network.pooling == "average"
        bad_pair = recipe.network.activation == "elu" and recipe.network.head == "conv_fc"
        return elu_better(recipe) + 0.03 * average + 0.02 * (recipe.data.holdout == 0) - 0.2 * bad_pair

    asked = {"variants": "elu,tanh,prelu,average", "settings": NO_DROPOUT}
    made = fake(small_images, tmp_path / "s", top1, ("activation", "pooling"), budget="3h", **asked, **RATES)
    made.run()
    assert made.verdicts() | {"elu": "better", "average": "better", "tanh": "worse"} == made.verdicts()
    (row,) = made.steps("final")
    assert set(row["variants"]) == {"elu", "average"}
    assert row["baseline"] == pytest.approx(62, abs=1)
    assert row["top1"] == pytest.approx(70, abs=1)
    assert row["low"] < row["gain"] < row["high"]
    assert row["gain"] == pytest.approx(row["top1"] - row["baseline"], abs=1e-3)
    finals = [task for task in made.made if task.study == "final"]
    assert len(finals) == 2 * FINAL_SEEDS
    assert all(task.recipe.data.holdout == 0 and task.keep_checkpoint for task in finals)
    assert {task.recipe.seed for task in finals}.isdisjoint(
        task.recipe.seed for task in made.made if task.study != "final"
    )
    assert row["trial"] in {task.trial for task in finals}
    (added,) = made.steps("combine")
    assert added["kept"]
    assert added["low"] < added["gain"] < added["high"]


def test_if_nothing_is_better_the_baseline_stays(small_images: Path, tmp_path: Path) -> None:
    made = fake(small_images, tmp_path / "s", usual, variants="tanh", settings=NO_DROPOUT, budget="20m", **RATES)
    made.run()
    assert made.steps("final")[-1]["variants"] == []
    assert not [task for task in made.made if task.study in ("final", "activation_longer")]


def test_without_time_for_the_final_comparison_it_says_so(small_images: Path, tmp_path: Path) -> None:
    made = fake(small_images, tmp_path / "s", elu_better, **ELU, **RATES, budget="3h")
    while task := made.stream.next():
        if task.study == "activation_rate":
            made.clock[0] = 4 * 3600.0
        made.end(task)
    assert "trial" not in made.steps("final")[-1]
    assert made.steps("final")[-1]["variants"] == ["elu"]


def test_tuned_rates_belong_to_the_variants(small_images: Path, tmp_path: Path) -> None:
    def top1(recipe: Recipe) -> float:
        slow = recipe.network.activation == "elu" and recipe.solver.lr < 0.008
        return usual(recipe) + (0.15 if slow else -0.05) * (recipe.network.activation == "elu")

    made = fake(small_images, tmp_path / "s", top1, variants="elu", settings=NO_DROPOUT, tune_rates=True, **RATES)
    made.run()
    assert {row["variant"]: row["factor"] for row in made.steps("tune")} == {"elu": 0.5}
    elu = [task.recipe for task in made.made if task.study == "activation" and task.variant == "elu"]
    assert {recipe.solver.lr for recipe in elu} == {0.005}
    assert made.verdicts() == {"elu": "better"}


def test_the_goal_best_finds_it_with_fewer_runs_and_compares_it(small_images: Path, tmp_path: Path) -> None:
    asked = {"variants": "elu,tanh,prelu,linear,vlrelu", "settings": NO_DROPOUT, "budget": "2h"}
    best, every = (
        fake(small_images, tmp_path / goal, elu_better, goal=goal, **asked, **RATES) for goal in ("best", "all")
    )
    best.run()
    every.run()
    raced = [sum(task.study == "activation" for task in one.made) for one in (best, every)]
    assert raced[0] < raced[1]
    (answer,) = [one for one in best.races[-1].answers() if one.variant == "elu"]
    assert answer.chance is not None
    assert answer.chance > 0.95
    assert best.steps("final")[-1]["variants"] == ["elu"]


def test_race_only_makes_no_other_trials(small_images: Path, tmp_path: Path) -> None:
    made = fake(small_images, tmp_path / "s", elu_better, **ELU, race_only=True)
    assert {name.partition("/")[0] for name in made.run()} == {"activation"}
    assert made.verdicts() == {"elu": "better", "tanh": "worse"}


@pytest.mark.parametrize("killed_after", [9, 30, *(pytest.param(number, marks=pytest.mark.long) for number in (2, 20))])
def test_a_killed_decision_continues_as_if_nothing_had_happened(
    small_images: Path, tmp_path: Path, killed_after: int
) -> None:
    def begin(folder: str) -> Fake:
        return fake(small_images, tmp_path / folder, elu_better, **ELU, budget="3h")

    whole = begin("whole")
    made = whole.run()
    assert len(made) > killed_after + 5
    before = begin("killed").run(killed_after)
    again = begin("killed")
    assert before + again.run() == made
    assert again.verdicts() == whole.verdicts()
    for step in ("calibrate", "control", "rate", "lasting", "combine", "final"):
        assert again.steps(step) == whole.steps(step)
