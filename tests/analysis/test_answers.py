"""The answers of decide on a page: one contrast has one number, wherever it stands, and the answer comes first."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from raysweep import identity
from raysweep.analysis.figures import figures
from raysweep.analysis.load import Line, load_lines
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.page.answers import answer, choices, later, marks, sentence, state, verdict_table, warnings
from raysweep.analysis.page.gain_tables import readable, summary
from raysweep.analysis.page.html_page import index_row
from raysweep.analysis.page.live import LiveReport
from raysweep.analysis.page.report import write_report
from raysweep.analysis.page.results_page import write_results
from raysweep.analysis.page.section import Picture
from raysweep.analysis.page.words import controlled, headline, trust
from raysweep.analysis.statistics.comparisons import comparisons, contrast, on_one_page, page
from raysweep.deciding.race import Race
from raysweep.deciding.verdicts import Outcome
from raysweep.request import Request
from raysweep.store.asked_questions import Step
from raysweep.store.store import Store
from tests.analysis.conftest import SCRIPT, fill, write
from tests.analysis.made_up import made
from tests.analysis.raced import GAINS, race_up, raced_line
from tests.store.questions import ask

FINAL = "elu + prelu: 70.0 -> 78.0 % (+8.0 +- 0.9), 1.02 x the time"
STEPS: list[dict[str, Any]] = [
    {"step": "calibrate", "settings": {"solver.lr": 0.02}, "text": "rate 0.02: best of five"},
    {"step": "control", "control": "width", "outcome": "passed", "gain": 4.0, "text": "half the width loses"},
    {
        "step": "control",
        "control": "linear",
        "outcome": "failed",
        "gain": 0.1,
        "text": f"linear does not lose {SCRIPT}",
    },
    {"step": "control", "control": "labels", "outcome": "passed", "text": "labels"},
    {"step": "rate", "variant": "prelu", "factor": 2.0, "gain": -0.3, "turns": True, "text": "prelu turns"},
    {"step": "rate", "study": "pooling", "variant": "elu", "factor": 2.0, "gain": -9.0, "turns": True, "text": "no"},
    {
        "step": "rate",
        "study": "activation",
        "variant": "elu",
        "factor": 2.0,
        "gain": 5.0,
        "turns": False,
        "text": "elu stays",
    },
    {"step": "lasting", "variant": "elu", "outcome": "fades", "gain": 2.0, "low": 0.1, "high": 3.9, "text": "less"},
    {"step": "later version", "thing": [1]},
    {"step": "final", "variants": ["elu"], "gain": 8.0, "trial": "0123456789ab", "text": FINAL},
]


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Race]:
    """A store with a question that has been decided; read only."""
    store = Store.open(str(tmp_path_factory.mktemp("raced") / "store"), create=True)
    return store, race_up(store, STEPS, "all is decided", linear="diverged")


@pytest.fixture
def copy(raced: tuple[Store, Race], tmp_path: Path) -> Store:
    """The same store, of a test's own."""
    shutil.copytree(raced[0].uri, tmp_path / "copy")
    return Store.open(str(tmp_path / "copy"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that were drawn, in place of their pictures."""
    studies: list[str] = []

    def note(line: Line, out: Path) -> list[Picture]:
        studies.append(line.study)
        return []

    monkeypatch.setattr("raysweep.analysis.page.drawing.pictures", note)
    monkeypatch.setattr("raysweep.analysis.page.results_page._draw", lambda *_: "figure.png")
    return studies


def test_table_figure_sentence_and_answer_have_the_numbers_of_the_race(raced: tuple[Store, Race]) -> None:
    store, race = raced
    (line,) = on_one_page([raced_line(store)])
    rows, bars = summary(line).set_index("variant"), figures()["gains"].data(line).set_index("variant")
    top = verdict_table(line, line.asked[0]).set_index("variant")
    assert {str(verdict.outcome) for verdict in race.verdicts.values()} == {"better", "equal", "did not train"}
    for name, verdict in race.verdicts.items():
        found = {str(table.loc[name, "verdict"]) for table in (rows, top)}
        assert found == {str(verdict.outcome)}
        half = (verdict.high - verdict.low) / 2 if math.isfinite(verdict.high) else math.nan
        for gain, width in ((rows, "gain_half"), (bars, "half"), (top, "gain_half")):
            assert gain.loc[name, ["gain", width]].tolist() == pytest.approx(
                [verdict.gain, half], abs=1e-3, nan_ok=True
            )
    assert top["runs"].to_dict() == {name: verdict.runs for name, verdict in race.verdicts.items()}
    elu = race.verdicts["elu"]
    assert f"elu ({METRICS['gain'].text(elu.gain)} ± {(elu.high - elu.low) / 2:.1f})" in headline(line)
    assert "relu_lrn" in re.findall(r"Equal within 1 point: (\S+)", headline(line))
    assert bars["sure"].to_dict() == {"elu": True, "prelu": True, "relu": False, "relu_lrn": False, "linear": False}


def test_a_race_is_not_among_the_contrasts_that_are_judged_together(raced: tuple[Store, Race]) -> None:
    line = raced_line(raced[0])
    own, together = page(line), page(replace(line, asked=()))
    assert (own.tested, together.tested) == (0, 3)
    assert all(math.isnan(one.p) for one in comparisons(line).values())
    assert trust(line) == []
    assert "verdict" in readable(summary(line))
    assert "95 %" in controlled([line])
    assert "activation" in controlled([line])
    assert "adjusted p is at most" not in controlled([line])
    # All eight runs of the baseline and four of elu, where the last look of the race was at two.
    assert comparisons(replace(line, asked=()))["elu"].n == 4
    assert comparisons(line)["elu"].n == raced[1].verdicts["elu"].runs == 2


def test_equal_runs_have_one_contrast_in_every_study_and_both_ways(raced: tuple[Store, Race]) -> None:
    line = raced_line(raced[0])
    other = replace(line, study="other", asked=())
    mine, there = on_one_page([line, other])
    assert comparisons(mine) == comparisons(there)
    back = contrast(mine, "relu", "elu")
    assert (back.gain, back.half) == pytest.approx((-comparisons(mine)["elu"].gain, comparisons(mine)["elu"].half))
    assert back.verdict == Outcome.WORSE
    assert contrast(mine, "elu", "prelu").raced is False, "decide compares with the baseline only"
    assert "other claims" in controlled(on_one_page([line, _unasked(line)]))


def _unasked(line: Line) -> Line:
    """The same numbers as those of other trials, about which nothing was asked."""
    return replace(line, study="third", asked=(), trials=line.trials.assign(trial="x" + line.trials["trial"]))


def test_the_answer_has_the_final_words_warnings_marks_and_choices(raced: tuple[Store, Race]) -> None:
    line = raced_line(raced[0])
    (question,) = line.asked
    assert sentence(line, question) == FINAL
    assert warnings(question) == [f"control: linear does not lose {SCRIPT}"]
    said = Step("warning", "too short", {})
    assert warnings(replace(question, steps=[*question.steps, said, said])) == ["too short"]
    assert marks(question) == {
        "prelu": ["depends on the learning rate (−0.3 at 2 x its rate)"],
        "elu": ["fades at twice the length (+2.0)"],
    }
    assert [reason.split(":")[0] for reason in choices(question)] == ["4 epochs", "rate 0.02"]
    assert "all is decided" in state(question)
    assert answer(line, question)["steps"][-1] == "later version"
    assert "rate: no" not in answer(line, question)["steps"], "it is about another study"
    assert answer(line, question)["recipe"].split() == ["raysweep", "show", "0123456789ab"]
    assert answer(line, question)["table"]["variant"].tolist() == ["elu", "prelu", "relu_lrn", "linear"]


def test_without_a_final_run_the_verdicts_are_the_answer(raced: tuple[Store, Race]) -> None:
    line = raced_line(raced[0])
    (question,) = line.asked
    found = comparisons(line)["elu"]
    best = sentence(line, replace(question, steps=()))
    assert best.startswith("elu is better than relu")
    assert f"{METRICS['gain'].text(found.gain)} ± {found.half:.1f}" in best
    assert "fades" in sentence(line, replace(question, steps=[one for one in question.steps if one.kind != "final"]))
    poor = {name: verdict for name, verdict in question.verdicts.items() if name in ("relu_lrn", "linear")}
    none = replace(question, steps=(), verdicts=poor)
    assert sentence(line, none) == "Nothing is better than relu."
    keep = Step("final", "keep it", {"variants": []})
    assert sentence(line, replace(none, steps=[keep])) == "Nothing is better than relu."
    untrained = replace(line, trials=line.trials.assign(top1=0.1))
    assert re.search(r"\brelu did not train", sentence(untrained, replace(none, steps=[keep])))
    open_ = poor | {"linear": replace(poor["linear"], outcome=Outcome.UNDECIDED)}
    assert re.search(r"relu so far; 1 of 2\b", sentence(line, replace(none, verdicts=open_)))


def test_the_final_comparison_is_the_contrast_of_its_trials(raced: tuple[Store, Race]) -> None:
    line = raced_line(raced[0])
    (question,) = line.asked
    rows = {"trial": "x" + line.trials["trial"], "protocol": "cifar10"}
    final = replace(line, study="final", asked=(), trials=line.trials.assign(**rows))
    trial = final.trials.loc[final.trials["variant"] == "elu", "trial"].iloc[-1]
    row = {"trial": trial, "gain": 5.5, "low": 4.5, "high": 6.5}
    asked = replace(question, steps=[Step("final", FINAL, {"trial": "elsewhere"}), Step("final", FINAL, row)])
    _, shown = on_one_page([replace(line, asked=(asked,)), final])
    found = comparisons(shown)
    assert (found["elu"].gain, found["elu"].half, found["elu"].verdict) == (5.5, 1.0, Outcome.BETTER)
    assert [name for name, one in found.items() if one.raced] == ["elu"]
    assert "final comparison" in controlled([shown, replace(line, asked=(asked,))])
    assert "final comparison" not in controlled([line])


def test_the_page_begins_with_the_answer(raced: tuple[Store, Race], tmp_path: Path, drawn: list[str]) -> None:
    out = write_report(raced[0].uri, ["activation"], tmp_path / "out")
    text = out.read_text()
    assert drawn == ["activation"]
    assert re.findall(r'<p class="headline">(.*?)</p>', text) == [FINAL.replace(">", "&gt;")]
    order = [
        text.index(words) for words in ('class="headline"', "linear does not lose", "fades", "rate 0.02", "Numbers")
    ]
    assert order == sorted(order)
    assert "<script" not in text
    assert "Top-1 on images held out" in text
    (csv,) = out.parent.glob("*-verdicts.csv")
    assert pd.read_csv(csv)["verdict"].tolist() == ["better", "better", "equal", "did not train"]
    write_results(raced[0].uri, tmp_path / "RESULTS.md", tmp_path)
    assert "**elu + prelu: 70.0 -> 78.0 % (+8.0 +- 0.9), 1.02 x the time**" in (tmp_path / "RESULTS.md").read_text()
    assert "<script" not in (tmp_path / "RESULTS.md").read_text()


def test_a_question_under_way_is_followed(copy: Store, tmp_path: Path, drawn: list[str]) -> None:
    (log,) = Path(copy.uri).glob("decisions/*")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    live = LiveReport(copy, ["activation"], tmp_path / "out")
    written = live.update(live.following.refresh(), 5.0)
    assert "In progress" in written.read_text()
    written.unlink()
    live.update(live.following.refresh(), 5.0)
    assert not written.exists(), "nothing has changed"
    log.write_text(log.read_text() + '{"stop":"the time is used","clock_s":7200}\n')
    text = live.update(live.following.refresh(), 5.0).read_text()
    assert "the time is used; 2.0 h used" in text


def test_before_the_first_look_nothing_is_claimed(store: Store) -> None:
    request = Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3, variants=("elu", "tanh"))
    plan = fill(store, request, tanh="waiting")
    results = [
        (one.members[0].variant, one.recipe.seed, one.trial, 50.0 + 20 * (one.members[0].variant == "elu"))
        for one in plan
        if one.members[0].variant != "tanh" and one.recipe.seed < 2
    ]
    ask(store.files, results, ("elu", "tanh"))
    line = raced_line(store)
    found = comparisons(line)
    assert (found["elu"].verdict, found["elu"].tested, found["elu"].raced) == (Outcome.UNDECIDED, False, True)
    assert found["elu"].gain == pytest.approx(comparisons(replace(line, asked=()))["elu"].gain)
    assert not re.search("[Bb]etter than|[Ww]orse", headline(line))
    assert not re.search("better|worse", sentence(line, line.asked[0]), re.IGNORECASE)
    assert verdict_table(line, line.asked[0])["variant"].tolist() == ["elu"]


def test_questions_about_other_trials_change_nothing(store: Store) -> None:
    line = made(store, "activation", "cifar10", variants=("elu",))
    ask(store.files, [("relu", 0, "elsewhere", 50.0)], ("elu",), name="other")
    ask(store.files, [], ("elu",), name="new")
    assert raced_line(store).asked == ()
    assert comparisons(raced_line(store)) == comparisons(line)


def test_a_question_without_results_is_known_by_its_settings(store: Store) -> None:
    line = made(store, "activation", "cifar10", variants=("elu",))
    made(store, "activation", "cifar10", {"training.epochs": 3.0}, variants=("elu",))
    settings = identity.changes(line.baseline_recipe) | {"training.epochs": 64.0, "network.width": 1.0}
    ask(store.files, [], ("elu",), settings=settings, name="fitted")  # to four epochs
    ask(store.files, [], ("elu",), settings={"network.from_the_future": 1}, name="later")
    found = load_lines(store, ["activation"])
    assert [one.line for one in found if one.asked] == [line.line]
    assert [one.name for one in found[0].asked] == ["decisions/activation-fitted.jsonl"]
    assert comparisons(found[0])["elu"].verdict == Outcome.UNDECIDED


def test_of_two_questions_the_one_with_more_looks_counts_then_the_stricter(
    raced: tuple[Store, Race], copy: Store
) -> None:
    wide = raced[1]
    trials = [row for row in raced_line(copy).trials.itertuples() if row.variant in ("relu", "elu")]
    few = [(row.variant, row.seed, row.trial, 100 * row.top1) for row in sorted(trials, key=lambda row: row.seed)]
    alone = ask(copy.files, few, ("elu",), name="alone", margin=0.5)
    assert alone.verdicts["elu"].high < wide.verdicts["elu"].high
    assert alone.verdicts["elu"].runs == wide.verdicts["elu"].runs
    line = raced_line(copy)
    assert [one.margin for one in line.asked] == [1.0, 0.5]
    found = comparisons(line)["elu"]
    assert (found.gain + found.half, found.margin) == (pytest.approx(wide.verdicts["elu"].high, abs=1e-3), 1.0)


def test_the_margin_of_a_question_is_that_of_its_verdicts(raced: tuple[Store, Race]) -> None:
    (line,) = on_one_page([raced_line(raced[0])], margin=30.0)
    assert comparisons(line)["relu_lrn"].margin == 1.0
    assert "Equal within 1 point:" in headline(line)


def test_trials_that_end_after_the_question_are_named(copy: Store) -> None:
    assert later(raced_line(copy), raced_line(copy).asked[0]) == ""
    request = Request(
        ("activation",), "cifar10", {"training.epochs": 4.0, "data.holdout": 0.1}, seeds=9, variants=tuple(GAINS)
    )
    (new,) = (one for one in request.plan() if one.recipe.seed == 8 and one.members[0].variant == "relu")
    copy.write_members([new.members[0].row(new.trial, new.recipe, {}, "cifar10")])
    write(copy, new, "finished", 0.7)
    line = raced_line(copy)
    assert comparisons(line)["elu"].raced
    assert later(line, line.asked[0]).startswith("1 ")


def test_answered_settings_of_a_study_come_first(copy: Store) -> None:
    made(copy, "activation", "cifar10", {"training.epochs": 2.0}, variants=("elu",))
    made(copy, "activation", "cifar10", {"training.epochs": 3.0}, variants=("elu",))
    assert [bool(line.asked) for line in load_lines(copy, ["activation"])] == [True, False, False]


def test_a_step_of_decide_without_its_baseline_has_no_best_variant(store: Store) -> None:
    line = made(store, "activation", "cifar10", variants=("elu",), relu="waiting")
    assert index_row(line)["best"] == NOTHING
