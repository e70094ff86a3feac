from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from raysweep.analysis.load import load_lines
from raysweep.analysis.page.drawing import draw_all
from raysweep.analysis.page.gain_tables import html, markdown, readable, summary
from raysweep.analysis.page.report import write_report
from raysweep.analysis.page.words import headline, missing, trust, waiting
from raysweep.analysis.statistics.comparisons import comparisons, page
from raysweep.deciding.verdicts import Outcome
from raysweep.errors import RaysweepError
from raysweep.request import Request
from raysweep.store.store import Store
from tests.analysis.conftest import SCRIPT, fill

HOSTILE = "<b>..&$\\x"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of a study with every end."""
    folder = tmp_path_factory.mktemp("report")
    store = Store.open(str(folder / "store"), create=True)
    variants = ("elu", "linear_nopool", "arcsinh", "apl5", "selu", "oplu")
    request = Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=3, variants=variants)
    fill(store, request, arcsinh="diverged", apl5="failed", selu="waiting", oplu="running")
    return write_report(store.uri, ["activation", "activation"], folder / "out").parent


def test_the_page_is_self_contained(out: Path) -> None:
    text = (out / "report.html").read_text()
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'>\s]+)""", text)
    assert len(sources) == 4
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search(r"@import|url\(|<script|<link", text)
    pictures = [base64.b64decode(source.partition(",")[2]).decode() for source in sources]
    assert all("<svg" in picture and "<text" not in picture for picture in pictures)  # no font is needed


def test_the_page_says_what_is_missing_and_where_numbers_come_from(out: Path) -> None:
    text = (out / "report.html").read_text()
    for words in (
        *("Which non-linearity?", "diverged in epoch 3", "waiting, 0 epochs", "running, 2 of 4 epochs"),
        *("12 of 21 trials", "training.epochs=4", "0123abcd", "41% (linear_nopool)", "--threads"),
        *("ray 2.60.0", "2026-01-02 03:04 to 2026-01-02 05:06 UTC"),
    ):
        assert words in text, words


def test_a_variant_is_described_by_what_differs_from_the_baseline(out: Path) -> None:
    (csv,) = out.glob("activation*.csv")
    differs = pd.read_csv(csv, keep_default_na=False).set_index("variant")["differs in"]
    assert differs[["relu", "elu"]].tolist() == ["", "network.activation=elu"]
    assert "<code>network.activation=elu</code>" in (out / "report.html").read_text()
    assert "<code>training.epochs" not in (out / "report.html").read_text(), "all trials share it"


def test_figures_and_tables_are_written_next_to_the_page(out: Path) -> None:
    suffixes = sorted(path.suffix for path in out.glob("activation*"))
    assert suffixes == [".csv", ".md", *[".png"] * 4, *[".svg"] * 4, ".tex"]
    (csv,) = out.glob("activation*.csv")
    assert len(pd.read_csv(csv)) == 7
    (md,) = out.glob("activation*.md")
    assert len(md.read_text().splitlines()) == 9


@pytest.mark.long
def test_the_same_results_give_the_same_figures(out: Path, tmp_path: Path) -> None:
    write_report(str(out.parent / "store"), ["activation"], tmp_path)
    pictures = sorted(path.name for path in out.glob("*.svg"))
    assert len(pictures) == 4
    assert all((out / name).read_bytes() == (tmp_path / name).read_bytes() for name in pictures)


@pytest.mark.long
def test_several_processes_draw_the_same(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "cifar10", {"training.epochs": 4.0}, seeds=2, variants=("elu",)))
    lines, counts = load_lines(store, ["activation"]) * 2, []
    drawn = []
    for processes in (1, 2):
        (out := tmp_path / str(processes)).mkdir()
        drawn.append(draw_all(lines, out, lambda done, total: counts.append((done, total)), processes))
    assert drawn[0] == drawn[1]
    assert counts == [(1, 2), (2, 2)] * 2
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "12"]
    assert files[0] == files[1] != {}


def test_two_lines_are_two_sections(store: Store, tmp_path: Path) -> None:
    for epochs in (4.0, 9.0):
        fill(store, Request(("activation",), "cifar10", {"training.epochs": epochs}, variants=("elu",)))
    text = write_report(store.uri, ["activation"], tmp_path / "out").read_text()
    assert text.count("<section") == 2
    assert text.count('<a href="#s') == 2
    assert "2 studies" in text
    assert "training.epochs=4" in text
    assert "training.epochs=9" in text


def test_all_means_every_study_and_corrects_over_them(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("elu", "tanh"), seeds=3))
    pooled = [row | {"study": "pooling"} for row in store.members().to_pylist()]
    store.write_members(pooled)
    text = write_report(store.uri, ["all"], tmp_path / "out").read_text()
    assert text.count('<a href="#s') == 2
    assert "Which pooling?" in text
    assert "of 2 distinct contrasts" in text  # the same trials in two studies


def test_hostile_names_are_escaped(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "demo", variants=("elu",)), elu="failed")
    hostile = {"study": HOSTILE, "baseline": "relu|$x", "summary": SCRIPT, "protocol": "<i>"}
    names = {"relu": "relu|$x", "elu": f"{SCRIPT}|$\\x"}
    store.write_members([row | hostile | {"variant": names[row["variant"]]} for row in store.members().to_pylist()])
    page = write_report(store.uri, [HOSTILE], tmp_path / "out")
    assert "<script" not in page.read_text()
    assert "<b>" not in page.read_text()
    assert "&lt;script&gt;alert(1)" in page.read_text()
    assert {path.parent for path in tmp_path.rglob("*.svg")} == {page.parent}
    (table,) = page.parent.glob("*.md")
    assert {line.replace("\\|", "").count("|") for line in table.read_text().splitlines()} == {10}


def test_a_report_of_nothing_finished(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("elu",)), relu="waiting", elu="waiting")
    text = write_report(store.uri, ["activation"], tmp_path / "out").read_text()
    assert "waiting, 0 epochs" in text
    assert "relu" in re.findall(r'<p class="headline">(.*)</p>', text)[0]
    assert "±" not in re.sub("<p.*?</p>", "", text, flags=re.DOTALL)


def test_a_folder_that_cannot_be_written(full_store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RaysweepError, match=re.escape(str(tmp_path / "file"))):
        write_report(full_store.uri, ["activation"], tmp_path / "file")


def test_a_little_waiting_needs_no_next_step(store: Store) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("elu",), seeds=2))
    (line,) = load_lines(store, ["activation"])
    assert "5%" in waiting(line)
    assert "--threads" not in waiting(line)


def test_without_any_trial_no_waiting_is_reported(store: Store) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("elu",)), relu="waiting", elu="waiting")
    assert waiting(load_lines(store, ["activation"])[0]) == ""


def test_the_headline_with_intervals(full_store: Store) -> None:
    (line,) = load_lines(full_store, ["activation"])
    parts, verdicts = headline(line).split(". "), {name: one.verdict for name, one in comparisons(line).items()}
    for words, expected in (("Better", Outcome.BETTER), ("Worse", Outcome.WORSE), ("Did not train", "did not train")):
        (part,) = (part for part in parts if part.startswith(words))
        names = re.findall(r"(\w+) \(", part)
        assert {verdicts[name] for name in names} == {expected}
    (worse,) = (part for part in parts if part.startswith("Worse"))
    assert re.findall(r"(\w+) \(−", worse)[0] == "linear", "the largest loss comes first"
    undecided = list(verdicts.values()).count(Outcome.UNDECIDED)
    assert re.search(rf"\b{undecided} of 22\b", headline(line))
    resolution = trust(line)[0]
    assert f"{page(line).spreads['cifar10'].variance ** 0.5:.2f} points" in resolution
    assert len(missing(line)) == 12


def test_the_margin_decides_what_is_equal(store: Store, tmp_path: Path) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("elu", "prelu"), seeds=3))
    texts = [write_report(store.uri, ["activation"], tmp_path / f"{m}", margin=m).read_text() for m in (1.0, 25.0)]
    assert "equal within 1 point)" in texts[0]
    assert "<td>equal</td>" not in texts[0]
    assert "equal within 25 points)" in texts[1]
    assert "<td>equal</td>" in texts[1]
    with pytest.raises(RaysweepError, match="0"):
        write_report(store.uri, ["activation"], tmp_path / "none", margin=0.0)


def test_the_headline_of_one_seed_claims_nothing(store: Store) -> None:
    fill(store, Request(("activation",), "cifar10"))
    (line,) = load_lines(store, ["activation"])
    assert not re.search("better|worse", headline(line), re.IGNORECASE)
    assert trust(line) == []


def test_the_headline_without_a_difference(store: Store) -> None:
    fill(store, Request(("activation",), "cifar10", variants=("relu_lrn",), seeds=2))
    (line,) = load_lines(store, ["activation"])
    assert not re.search("better|worse", headline(line), re.IGNORECASE)
    assert "relu" in headline(line)


def test_the_table_has_every_variant_and_its_numbers(full_store: Store) -> None:
    frame = summary(load_lines(full_store, ["activation"])[0])
    by = frame.set_index("variant")
    assert by.loc["elu", ["published_top1", "published_gain"]].tolist() == pytest.approx([48.8, 1.7])
    assert by.loc["relu", ["params", "images_per_s"]].tolist() == [11_239_306, 900]
    assert by.loc[["relu", "linear_nopool"], "data_wait"].tolist() == pytest.approx([5, 41])
    assert by["trials"][["arcsinh", "elu"]].tolist() == ["3 diverged", "3 finished"]
    assert by[["gain", "gain_half"]].loc["relu"].isna().all()
    text = readable(frame).set_index("variant")
    assert " ± " in text.loc["elu", "gain, points"]
    assert text.loc["selu", "top-1, % (95 %)"] == "–"
    assert text.loc["sigmoid", "published top-1, %"] == "–"
    assert markdown(text.reset_index()).count("\n") == 28
    assert html(text.reset_index()).count("<tr>") == 27


def test_analysis_loads_neither_torch_nor_ray() -> None:
    code = "import sys, raysweep.analysis.page.report, raysweep.analysis.figures as f; f.figures()\n"
    code += "sys.exit(bool({'torch', 'ray', 'matplotlib.pyplot'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
