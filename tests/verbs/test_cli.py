from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysweep.__main__ import raysweep as command
from raysweep.store.store import Store
from raysweep.verbs.list import KINDS

SMALL = ("--protocol", "demo", "--width", "0.0625", "--epochs", "2", "--variants", "elu,tanh")
ROOT = Path(__file__).resolve().parents[2]


def raysweep(*words: object, cwd: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raysweep", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout)


def good(*words: object, cwd: Path | None = None, timeout: float = 240) -> str:
    done = raysweep(*words, cwd=cwd, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*words: object, cwd: Path | None = None) -> str:
    """The sentence on standard error; a mistake of the user's never shows a traceback."""
    done = raysweep(*words, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, small_images: Path) -> Path:
    """A study run without Ray."""
    folder = tmp_path_factory.mktemp("store") / "results"
    good("run", "activation", *SMALL, "--data", small_images, "--store", folder, "--inline")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_list_names_everything_with_a_sentence(kind: str) -> None:
    words = ("list", kind, "activation") if kind == "variants" else ("list", kind)
    as_json, as_table = (
        CliRunner().invoke(command, [*words, *more], catch_exceptions=False) for more in (["--json"], [])
    )
    rows = json.loads(as_json.output)
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    assert rows[0]["name"] in as_table.output


def test_plan_json_keeps_its_contract() -> None:
    rows = json.loads(good("plan", "activation", "--protocol", "imagenet128", "--json"))
    assert len(rows) == 26
    for row in rows:
        assert row.keys() >= {"trial", "studies", "seed", "action", "reason", "diff", "params", "macs", "epochs"}
        assert isinstance(row["estimated_gpu_h"], float)
    assert rows[0]["params"] == 13_300_072
    assert rows[0]["macs"] == 208_986_240


def test_a_space_is_listed_planned_and_left_out_of_all() -> None:
    named = {row["name"]: row["summary"] for row in json.loads(good("list", "studies", "--json"))}
    assert "Which combination" in named["joint"]
    ranges = {row["name"]: row["summary"] for row in json.loads(good("list", "variants", "joint", "--json"))}
    assert "only where network.norm is batch" in ranges["network.norm_position"]
    assert ranges["network.width"].endswith("0.25 to 1.5 times the baseline, log scale")
    rows = json.loads(good("plan", "joint", "--protocol", "cifar10", "--trials", "12", "--json"))
    assert [row["studies"][0]["variant"] for row in rows] == ["baseline", *(f"s{k:03}" for k in range(11))]
    assert rows[0]["diff"] == {}
    assert rows[1]["diff"].keys() >= {"network.width", "solver.lr"}
    assert rows[1]["assignment"]["network.width"] != 1.0
    assert "12 trials in all, 12 known: 12 run." in good("plan", "joint", "--protocol", "cifar10", "--trials", "12")
    told = good("plan", "joint", "--searcher", "optuna", "--trials", "12")
    assert "12 trials in all, 0 known" in told
    assert "depends on the results" in told
    whole = json.loads(good("plan", "all", "--protocol", "cifar10", "--json"))
    assert all(member["study"] != "joint" for row in whole for member in row["studies"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("plan", "activation", "--trials", "5"), "--trials is for search spaces (joint); a study has its variants"),
        (("run", "activation", "--searcher", "optuna", "--scheduler", "asha"), "--searcher, --scheduler is for search"),
        (("run", "joint", "activation"), "joint is a search space: name it alone"),
        (("run", "joint", "--seeds", "3"), "--seeds is for studies"),
        (("plan", "joint", "--variants", "s000"), "--variants is for studies"),
        (("plan", "joint", "--price", "2"), "--price 2: what a search costs is not known"),
        (("run", "joint", "--inline", "--searcher", "optuna"), "--searcher optuna is Ray Tune's"),
        (("run", "joint", "--inline", "--scheduler", "asha"), "--scheduler asha is Ray Tune's"),
        (("run", "joint", "--searcher", "gird"), "unknown searcher 'gird'"),
    ],
)
def test_a_search_that_cannot_be_is_refused(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(*words, "--protocol", "demo", "--store", tmp_path / "s", cwd=tmp_path)
    assert not (tmp_path / "s").exists()


def test_settings_show_in_the_diff_and_change_the_id() -> None:
    plain, changed = (
        json.loads(good("plan", "activation", "--protocol", "cifar10", *more, "--json"))
        for more in ((), ("--epochs", "3", "--width", "0.25", "--set", "solver.lr=0.02"))
    )
    assert changed[0]["diff"] == {"training.epochs": 3.0, "network.width": 0.25, "solver.lr": 0.02}
    assert {row["trial"] for row in plain}.isdisjoint(row["trial"] for row in changed)
    assert changed[0]["params"] < plain[0]["params"]


def test_a_plan_for_people_has_totals_and_its_assumption() -> None:
    out = good("plan", "activation", "--protocol", "imagenet128", "--price", "2.5")
    assert "26 trials: 26 run." in out
    assert "at 2.5 each" in out
    assert "not measured" in out


def test_help_of_every_verb_teaches_by_example() -> None:
    assert "raysweep report activation" in good("--help")
    for verb in ("plan", "run", "data write"):
        assert "raysweep " in good(*verb.split(), "--help").split("Options:")[0].partition("\n")[2]


def test_help_loads_neither_torch_nor_ray() -> None:
    code = "import sys, raysweep, raysweep.__main__; sys.exit(bool({'torch', 'ray', 'pyarrow'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_is_in_status_results_and_show(store: Path) -> None:
    (status,) = json.loads(good("status", "--store", store, "--json"))
    assert (status["study"], status["protocol"], status["finished"], status["waiting"]) == ("activation", "demo", 3, 0)
    rows = json.loads(good("results", "activation", "--store", store, "--format", "json"))
    assert [row["variant"] for row in rows] == ["relu", "tanh", "elu"]
    assert all(row["status"] == "finished" and row["epochs"] == 2 and row["top1"] > 0 for row in rows)
    shown = json.loads(good("show", rows[1]["trial"][:6], "--store", store, "--json"))
    assert shown["trial"] == rows[1]["trial"]
    assert shown["diff"]["network.activation"] == "tanh"
    assert shown["recipe"]["solver.momentum"] == 0.9
    assert "solver.momentum" in good("show", rows[1]["trial"], "--store", store, "--all")
    assert shown["studies"] == [{"study": "activation", "variant": "tanh"}]
    for words in (("status",), ("results", "activation"), ("show", rows[0]["trial"])):
        assert rows[0]["trial"][:6] in good(*words, "--store", store)


def test_results_as_files(store: Path, tmp_path: Path) -> None:
    for form in ("csv", "parquet", "json"):
        good("results", "activation", "--store", store, "--format", form, "--out", tmp_path / f"r.{form}")
    header = (tmp_path / "r.csv").read_text().splitlines()[0].replace('"', "")
    assert header.startswith("trial,study,variant,seed,status,top1,logloss,best_top1,epochs,params,macs,wall_s")


def test_a_second_run_trains_nothing(store: Path, small_images: Path) -> None:
    words = ("activation", *SMALL, "--data", small_images, "--store", store)
    before = {path: path.stat().st_mtime_ns for path in (store / "trials").iterdir()}
    done = raysweep("run", *words, "--inline")
    assert done.returncode == 0
    assert "3 finished before" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (store / "trials").iterdir()} == before
    assert {row["action"] for row in json.loads(good("plan", *words, "--json"))} == {"skip"}


def test_another_seed_keeps_what_is_finished(store: Path, small_images: Path) -> None:
    words = ("activation", *SMALL, "--data", small_images, "--store", store, "--seeds", "2")
    actions = [row["action"] for row in json.loads(good("plan", *words, "--json"))]
    assert actions == ["skip"] * 3 + ["run"] * 3


def test_a_trial_trained_alone_gives_the_same_numbers(store: Path, small_images: Path, tmp_path: Path) -> None:
    trial = json.loads(good("results", "activation", "--store", store, "--json"))[2]
    words = ("trial", trial["trial"], "--store", store, "--data", small_images)
    assert "--into" in refused(*words)
    good(*words, "--into", tmp_path / "again")
    again = json.loads(good("show", trial["trial"], "--store", tmp_path / "again", "--json"))
    assert (again["top1"], again["logloss"]) == (trial["top1"], trial["logloss"])


def test_a_report_is_one_page(store: Path, tmp_path: Path) -> None:
    page = Path(good("report", "activation", "--store", store, "--out", tmp_path / "report").strip())
    assert page.suffix == ".html"
    assert "no claim" in page.read_text()


def test_run_py_is_the_same_verb(store: Path, small_images: Path, tmp_path: Path) -> None:
    """As `ray submit` starts it: by path, from any folder, the package's folder first on the path."""
    words = ["activation", *SMALL, "--data", str(small_images), "--store", str(store), "--inline"]
    for script in (ROOT / "raysweep" / "run.py", tmp_path / "run.py"):
        if not script.exists():
            script.write_text((ROOT / "raysweep" / "run.py").read_text())
        done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "3 finished before" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("plan", "activaton"), "unknown study 'activaton'. Did you mean activation or"),
        (("plan", "activation", "--protocol", "cifar"), "unknown protocol 'cifar'. Did you mean cifar10?"),
        (("plan", "activation", "--variants", "elo"), "unknown variant of study activation 'elo'. Did you mean elu"),
        (("plan", "activation", "--set", "solver.lrate=1"), "unknown recipe field 'solver.lrate'. Did you mean"),
        (("plan", "activation", "--set", "solver.lr=fast"), "solver.lr must be a number, not 'fast'"),
        (("plan", "activation", "--set", "solver.lr"), "write it as --set FIELD=VALUE"),
        (("plan", "activation", "--batch-size", "0"), "training.batch_size is 0: it must be at least 1"),
        (("plan", "activation", "--seeds", "0"), "--seeds is 0"),
        (("plan", "activation", "--data", "nowhere"), "nowhere"),
        (("list", "studys"), "unknown kind of thing to list 'studys'. Did you mean studies"),
        (("list", "variants"), "name the study"),
        (("status", "--store", "nowhere"), "no results in"),
        (("results", "activation", "--store", "nowhere"), "no results in"),
        (("report", "activation", "--store", "nowhere"), "no results in"),
        (("show", "abc", "--store", "nowhere"), "no results in"),
        (("run", "activation", "--protocol", "cifar10"), "protocol cifar10 needs images: write them with"),
        (("plan", "activation", "--sedes", "3"), "No such option"),
        (("plan",), "Missing argument"),
        (("data", "write", "nowhere", "out"), "nowhere"),
        (("data", "check", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(*words, cwd=tmp_path)


def test_fewer_outputs_than_classes_are_refused_before_training(small_images: Path, tmp_path: Path) -> None:
    words = ("activation", "--protocol", "demo", "--data", small_images, "--classes", "8", "--store", tmp_path / "s")
    message = refused("run", *words, "--inline")
    assert "network.outputs is 8" in message
    assert "10 classes" in message
    assert not (tmp_path / "s").exists()


def test_a_side_larger_than_stored_is_refused(small_images: Path, tmp_path: Path) -> None:
    words = ("activation", "--protocol", "demo", "--data", small_images, "--set", "data.side=64")
    assert "36" in refused("plan", *words)


def test_a_truncated_image_file_is_refused_before_training(small_images: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(small_images, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    file = copy / manifest["splits"]["train"]["file"]
    for damage in ("truncated", "foreign"):
        content = bytearray((small_images / file.name).read_bytes())
        if damage == "foreign":
            content[len(content) // 2] ^= 0xFF
        file.write_bytes(content[: -100 if damage == "truncated" else None])
        message = refused("run", "activation", *SMALL, "--data", copy, "--store", tmp_path / "s", "--inline")
        assert file.name in message
        assert not (tmp_path / "s").exists()


def test_a_store_that_cannot_be_written_is_refused(small_images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ("run", "activation", *SMALL, "--data", small_images, "--inline")
    assert "is a file" in refused(*words, "--store", tmp_path / "file")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "store.json").write_text('{"schema_version": 7}')
    assert "schema 7" in refused(*words, "--store", tmp_path / "newer")


def _has_an_epoch(store: Path) -> bool:
    """Whether a trial's row says so: it is written after the checkpoint, and resuming begins with it."""
    opened = Store.open_if_exists(str(store))
    return opened is not None and any(opened.trials(["trial", "epochs"])["epochs"].to_pylist())


def test_ctrl_c_leaves_a_store_that_continues(small_images: Path, tmp_path: Path) -> None:
    import signal

    words = ["activation", "--protocol", "demo", "--variants", "elu", "--epochs", "40", "--width", "0.0625"]
    words += ["--data", str(small_images), "--store", str(tmp_path / "s"), "--inline"]
    process = subprocess.Popen(
        [sys.executable, "-m", "raysweep", "run", *words],
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not _has_an_epoch(tmp_path / "s") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command continues" in errors
    rows = json.loads(good("plan", *words[:-1], "--json"))
    assert rows[0]["action"] == "resume"
    assert rows[0]["reason"].startswith("epoch ")
    assert rows[1]["action"] == "run"


def test_failed_trials_make_the_run_fail(small_images: Path, tmp_path: Path) -> None:
    """A trial that cannot be trained is recorded, and the others are trained all the same."""
    words = ("activation", *SMALL, "--data", small_images, "--store", tmp_path / "s", "--inline")
    (tmp_path / "s" / "epochs").mkdir(parents=True)
    (tmp_path / "s" / "store.json").write_text('{"schema_version": 1}')
    trial = json.loads(good("plan", *words[:-1], "--json"))[1]["trial"]
    (tmp_path / "s" / "epochs" / f"{trial}.parquet").mkdir()  # nothing can be renamed onto a folder
    done = raysweep("run", *words)
    assert done.returncode == 1
    assert "2 finished, 0 diverged, 1 failed" in done.stderr
    rows = json.loads(good("results", "activation", "--store", tmp_path / "s", "--json"))
    by_trial = {row["trial"]: row["status"] for row in rows}
    assert sorted(by_trial.values()) == ["failed", "finished", "finished"]
    assert by_trial[trial] == "failed"
    (tmp_path / "s" / "epochs" / f"{trial}.parquet").rmdir()
    plan = {row["trial"]: row for row in json.loads(good("plan", *words[:-1], "--json"))}
    assert plan[trial]["action"] == "retry"
    good("run", *words)
