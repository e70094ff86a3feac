from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from raysweep.store.store import Store
from raysweep.verbs.entry import raysweep as command
from raysweep.verbs.list import KINDS
from tests.orchestrate.processes import let_ctrl_c_through

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
    assert "network.norm is batch" in ranges["network.norm_position"]
    assert ranges["network.width"].endswith("0.25 to 1.5 times the baseline, log scale")
    rows = json.loads(good("plan", "joint", "--protocol", "cifar10", "--trials", "12", "--json"))
    assert [row["studies"][0]["variant"] for row in rows] == ["baseline", *(f"s{k:03}" for k in range(11))]
    assert rows[0]["diff"] == {}
    assert rows[1]["diff"].keys() >= {"network.width", "solver.lr"}
    assert rows[1]["assignment"]["network.width"] != 1.0
    assert "12 known: 12 run" in good("plan", "joint", "--protocol", "cifar10", "--trials", "12")
    assert "12 trials in total, 0 known" in good("plan", "joint", "--searcher", "optuna", "--trials", "12")
    whole = json.loads(good("plan", "all", "--protocol", "cifar10", "--json"))
    assert all(member["study"] != "joint" for row in whole for member in row["studies"])


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("plan", "activation", "--trials", "5"), ("--trials", "joint", "activation")),
        (("run", "activation", "--searcher", "optuna", "--scheduler", "asha"), ("--searcher, --scheduler", "joint")),
        (("run", "joint", "activation"), ("joint",)),
        (("run", "joint", "--seeds", "3"), ("--seeds", "joint")),
        (("plan", "joint", "--variants", "s000"), ("--variants", "joint")),
        (("plan", "joint", "--price", "2"), ("--price 2",)),
        (("plan", "activation", "--price", "-1"), ("--price", "-1")),
        (("run", "joint", "--inline", "--searcher", "optuna"), ("--searcher optuna", "--inline")),
        (("run", "joint", "--inline", "--scheduler", "asha"), ("--scheduler asha", "--inline")),
        (("run", "joint", "--searcher", "gird"), ("'gird'", "grid")),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(
    words: tuple[str, ...], values: tuple[str, ...], tmp_path: Path
) -> None:
    message = refused(*words, "--protocol", "demo", "--store", tmp_path / "s", cwd=tmp_path)
    assert all(value in message for value in values), message
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


def commands(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, *words, name)
        else:
            yield (*words, name), found


COMMANDS = dict(commands(command))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_every_command_teaches_by_example(words: tuple[str, ...]) -> None:
    text = CliRunner().invoke(command, [*words, "--help"]).output
    if any(isinstance(parameter, click.Argument) for parameter in COMMANDS[words].params):
        assert f"raysweep {' '.join(words)} " in text.split("Options:")[0].partition("\n")[2]
    for option in COMMANDS[words].params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.is_flag or option.metavar or isinstance(option.type, click.Choice), option.name


def test_summaries_are_whole_sentences() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output.partition("Commands:")[2].split("\n\n")[0]
    lines = [line for line in shown.splitlines() if line.strip()]
    assert len(lines) == len(command.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), shown


def test_verbs_have_files_of_their_names() -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "raysweep" / "verbs").glob("[a-z]*.py")}
    assert files - {"crash", "entry", "options", "resources"} == set(command.commands)


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
    assert "3 of them finished" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (store / "trials").iterdir()} == before
    assert {row["action"] for row in json.loads(good("plan", *words, "--json"))} == {"skip"}


def test_another_seed_keeps_what_is_finished(store: Path, small_images: Path) -> None:
    words = ("activation", *SMALL, "--data", small_images, "--store", store, "--seeds", "2")
    actions = [row["action"] for row in json.loads(good("plan", *words, "--json"))]
    assert actions == ["skip"] * 3 + ["run"] * 3


def test_a_trial_trained_alone_gives_the_same_numbers(store: Path, small_images: Path, tmp_path: Path) -> None:
    trial = json.loads(good("results", "activation", "--store", store, "--json"))[2]
    words = ("trial", trial["trial"], "--store", store, "--data", small_images)
    message = refused(*words)
    assert trial["trial"] in message
    assert "--into" in message
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
        assert "3 of them finished" in done.stderr


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("plan", "activaton"), ("'activaton'", "activation")),
        (("plan", "activation", "--protocol", "cifar"), ("'cifar'", "cifar10")),
        (("plan", "activation", "--variants", "elo"), ("'elo'", "activation", "elu")),
        (("plan", "activation", "--set", "solver.lrate=1"), ("'solver.lrate'", "solver.lr")),
        (("plan", "activation", "--set", "solver.lr=fast"), ("solver.lr", "'fast'")),
        (("plan", "activation", "--set", "solver.lr"), ("--set solver.lr", "FIELD=VALUE")),
        (("plan", "activation", "--batch-size", "0"), ("--batch-size", "0", "1")),
        (("plan", "activation", "--seeds", "0"), ("--seeds", "0")),
        (("plan", "activation", "--data", "nowhere"), ("nowhere",)),
        (("list", "studys"), ("'studys'", "studies")),
        (("list", "variants"), ("raysweep list variants",)),
        (("status", "--store", "nowhere"), ("nowhere",)),
        (("results", "activation", "--store", "nowhere"), ("nowhere",)),
        (("report", "activation", "--store", "nowhere"), ("nowhere",)),
        (("show", "abc", "--store", "nowhere"), ("nowhere",)),
        (("run", "activation", "--protocol", "cifar10"), ("cifar10", "raysweep data write", "--data")),
        (("run", "activation", "--workers", "0"), ("--workers", "0")),
        (("run", "activation", "--threads", "0"), ("--threads", "0")),
        (("run", "activation", "--workers-per-trial", "0"), ("--workers-per-trial", "0")),
        (("run", "activation", "--attempts", "0", "--inline"), ("--attempts", "0")),
        (("plan", "activation", "--sedes", "3"), ("--sedes", "--seeds")),
        (("plan",), ("STUDY",)),
        (("data", "write", "nowhere", "out"), ("nowhere",)),
        (("data", "check", "nowhere"), ("nowhere",)),
    ],
)
def test_mistakes_get_a_sentence_and_status_2(words: tuple[str, ...], values: tuple[str, ...], tmp_path: Path) -> None:
    message = refused(*words, cwd=tmp_path)
    assert all(value in message for value in values), message


@pytest.mark.parametrize(("verb", "option"), [("results activation --store", "--out"), ("compare", "--csv")])
def test_output_into_a_folder_that_does_not_exist_is_refused(
    verb: str, option: str, store: Path, tmp_path: Path
) -> None:
    stores = (store, store) if verb == "compare" else (store,)
    message = refused(*verb.split(), *stores, option, tmp_path / "missing" / "x.csv")
    assert str(tmp_path / "missing" / "x.csv") in message


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
        preexec_fn=let_ctrl_c_through,
    )
    deadline = time.monotonic() + 120
    while not _has_an_epoch(tmp_path / "s") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"raysweep run {' '.join(words)}" in errors
    rows = json.loads(good("plan", *words[:-1], "--json"))
    assert rows[0]["action"] == "resume"
    assert "of 40" in rows[0]["reason"]
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
