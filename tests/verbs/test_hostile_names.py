"""What a stranger put into names and errors is shown by every verb, and acted upon by none."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from raysweep.analysis.figures import figures, render
from raysweep.analysis.load import load_lines
from raysweep.analysis.page.results_page import write_results
from raysweep.errors import RaysweepError
from raysweep.orchestrate.events import Event
from raysweep.request import Request
from raysweep.safe import printable
from raysweep.store.following import Following
from raysweep.store.store import Store
from raysweep.terminal import progress, watch_store
from raysweep.terminal.progress import SweepProgress, counted
from raysweep.terminal.snapshot import Snapshot
from raysweep.verbs.entry import raysweep as command
from raysweep.verbs.plan import print_plan
from raysweep.write import publishing
from tests.hostile import ERROR, NAMES, STUDY, fill, hostile_study
from tests.terminal.test_progress import epoch
from tests.test_safe import Tags

RICH = re.compile(r"\x1b\[(?:[\d;]*m|2K|1A|\?25[lh])|\r")
"""What the bars themselves write: colours, cleared lines, the hidden cursor."""
SHOWN = [printable(name) for name in NAMES]
FAILURE = printable(ERROR.rpartition("\n")[2])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found = Store.open(str(tmp_path_factory.mktemp("hostile") / "my store's"), create=True)
    fill(found)
    return found


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "[out]"
    call("report", STUDY, "--store", store.uri, "--out", out)
    return out


def call(*words: object) -> str:
    done = CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def check_lines(text: str) -> str:
    """The text, if every character of its lines can be seen."""
    assert [line for line in text.split("\n") if line != printable(line)] == []
    return text


def test_tables_have_one_line_for_each_trial(store: Store) -> None:
    shown = check_lines(call("results", STUDY, "--store", store.uri))
    assert len(shown.splitlines()) == 2 + 2 * len(NAMES)
    assert all(name in shown for name in SHOWN)
    assert printable(STUDY) in check_lines(call("status", "--store", store.uri))
    check_lines(call("compare", store.uri, store.uri))


def test_a_trial_is_shown_with_its_names_and_its_error(store: Store) -> None:
    members = store.members().to_pylist()
    for trial in {row["variant"]: row["trial"] for row in members}.values():
        shown = check_lines(call("show", trial, "--store", store.uri))
        assert any(printable(f"{STUDY}/{row['variant']}") in shown for row in members if row["trial"] == trial)
    (failed,) = (row["trial"] for row in store.trials().to_pylist() if row["status"] == "failed")
    assert FAILURE in call("show", failed, "--store", store.uri)


def test_a_plan_shows_names(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    print_plan(Request((hostile_study(),), "demo", store=store.uri).plan(), "demo", None)
    shown = check_lines(capsys.readouterr().out)
    assert all(name in shown for name in SHOWN)
    assert "[enforce fail" in shown


def test_formats_for_programs_keep_names_and_spreadsheets_compute_none(store: Store, tmp_path: Path) -> None:
    words = ("results", STUDY, "--store", store.uri)
    assert {row["variant"] for row in json.loads(call(*words, "--json"))} == set(NAMES)
    call(*words, "--format", "parquet", "--out", tmp_path / "r.parquet")
    assert set(pd.read_parquet(tmp_path / "r.parquet")["variant"]) == set(NAMES)
    rows = list(csv.DictReader(io.StringIO(call(*words, "--format", "csv"))))
    assert [row["variant"].removeprefix("'") for row in rows[: len(NAMES)]] == SHOWN
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_a_report_is_text_pictures_and_no_script(report: Path) -> None:
    page = Tags((report / "report.html").read_text())
    assert not {"script", "i"} & set(page.tags)
    assert all(name in page.text for name in SHOWN)
    assert FAILURE in page.text
    check_lines((report / "report.html").read_text())
    pictures = list(report.glob("*.svg"))
    assert pictures
    for picture in pictures:
        ET.fromstring(picture.read_bytes())


def test_the_tables_of_a_report_are_tables(report: Path, store: Store) -> None:
    (markdown,), (latex,), (table,) = (list(report.glob(f"*.{suffix}")) for suffix in ("md", "tex", "csv"))
    page = Tags(MarkdownIt("commonmark").enable("table").render(markdown.read_text()))
    assert set(page.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.tags.count("tr") == 1 + len(NAMES)
    assert all(name in page.text for name in SHOWN)
    assert [len(re.findall(r"(?<!\\)&", line)) for line in latex.read_text().splitlines() if line.endswith(r"\\")] == [
        page.tags.count("th") - 1
    ] * (1 + len(NAMES))
    variants = pd.read_csv(table, keep_default_na=False, dtype=str)["variant"]
    assert [name.removeprefix("'") for name in variants] == SHOWN
    assert not any(name.startswith(("=", "+", "-", "@")) for name in variants)


def test_results_md_has_no_markup_of_a_name(store: Store, tmp_path: Path) -> None:
    write_results(store.uri, tmp_path / "RESULTS.md", tmp_path / "fig ures")
    page = Tags(MarkdownIt("commonmark").enable("table").render((tmp_path / "RESULTS.md").read_text()))
    assert not {"script", "i", "b"} & set(page.tags)
    assert page.tags.count("img") == len(list((tmp_path / "fig ures").iterdir()))
    assert all(name in page.text for name in SHOWN)


def test_names_in_figures_are_no_formulas(store: Store) -> None:
    (line,) = load_lines(store, [STUDY])
    figure = figures()["gains"]
    canvas = render(figure, figure.data(line), "costs $5 and $6")
    texts = {label.get_text() for axes in canvas.axes for label in axes.get_yticklabels()}
    assert any("$x_1$" in text for text in texts)
    assert not any(label.get_parse_math() for axes in canvas.axes for label in axes.get_yticklabels())


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_names_and_errors_as_they_are(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal)
    plan = Request((hostile_study(),), "demo").plan()
    with SweepProgress(plan) as shown:
        for planned in plan:
            shown.on_event(Event("started", planned.trial))
            shown.on_event(Event("epoch", planned.trial, epoch(planned.trial).row))
            shown.on_event(Event("retried", planned.trial, text=ERROR))
            shown.on_event(Event("failed", planned.trial, {"error": ERROR}, ERROR))
    with counted("writing [/data/x] \x1b[2J") as done:
        done(0, 2)
        done(2, 2)
    seen = check_lines(RICH.sub("", capsys.readouterr().err))
    assert all(name in seen for name in SHOWN)
    assert seen.count("[/data/x] [enforce fail") == 2 * len(NAMES)
    assert "writing [/data/x] \\x1b[2J" in seen


@pytest.mark.parametrize("view", [watch_store.Screen, watch_store.Lines])
def test_the_live_view_shows_names_and_errors_as_they_are(
    view: type[watch_store.Screen | watch_store.Lines],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    following = Following(store)
    following.refresh()
    snapshot = Snapshot.of(following)
    with view(following) as shown:
        shown.show(snapshot, [*snapshot.running, *snapshot.failed], ["cannot read [/x] \x1b[2J"])
    captured = capsys.readouterr()
    seen = check_lines(captured.out + captured.err)
    assert printable(STUDY) in seen
    assert "[/data/x] [enforce fail" in seen
    assert "cannot read [/x] \\x1b[2J" in seen


def test_the_next_step_of_an_error_is_a_command(store: Store) -> None:
    with pytest.raises(RaysweepError) as caught:
        store.find_trial("none such")
    step = str(caught.value).partition("`")[2].partition("`")[0]
    assert shlex.split(step) == ["raysweep", "results", "STUDY", "--store", store.uri]


def test_images_that_cannot_be_stored_have_a_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [f"cat/\x1b[2J{number}\nerror: forged.jpg (empty)" for number in range(99)]
    monkeypatch.setattr(publishing, "bad_images", lambda *_: names)
    staging: Any = SimpleNamespace(place=tmp_path, total=200, is_assembling=False)
    with pytest.raises(RaysweepError, match="99 of 200") as caught:
        publishing.refuse_bad(staging, staging, skip=False)
    assert (tmp_path / "bad.txt").read_text().splitlines() == list(map(printable, names))
    shown = check_lines(str(caught.value)).splitlines()
    assert shown[1 : 1 + publishing.LISTED] == [f"  {printable(name)}" for name in names[: publishing.LISTED]]
