"""`raysweep export`: a trained network as files that run without raysweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from raysweep.errors import RaysweepError
from raysweep.own_code import take_file
from raysweep.safe import command, printable
from raysweep.terminal.notes import note, say
from raysweep.verbs.options import LocalPath, open_store, store_option

if TYPE_CHECKING:
    from raysweep.store.store import Store

BEST = "best"


@click.command()
@click.argument("trial")
@click.option("--out", type=LocalPath(), required=True, metavar="FOLDER", help="Folder to write; must not exist.")
@click.option("--study", default="", metavar="STUDY", help="With best: only trials of this study.")
@click.option("--code", default="", metavar="FILE", help="File of your own network or study, if the trial needs one.")
@click.option("--replace", is_flag=True, help="Replace an earlier export in FOLDER.")
@store_option
def export(trial: str, out: Path, study: str, code: str, replace: bool, store: str) -> None:
    """Write the trained network of TRIAL into a folder.

    TRIAL is an id, its first characters, or `best`: the kept trial with the highest top-1, on the test split if any was
    tested there. To be told which design choice is better, use `decide`. The folder holds model.safetensors and
    model.py (plain torch), model.pt2 (torch.export), model.onnx if onnx and onnxscript are installed (`pip install
    raysweep[onnx]`), preprocess.json, predict.py and card.md. The weights must have been kept: --keep-checkpoints of
    `run`, the final comparison of `decide`, or --keep-checkpoint of `trial`.

    \b
    raysweep export 0c38f6f9 --out mine
    raysweep export best --study activation --out mine --store results
    python mine/predict.py photo.jpg
    """
    from raysweep.export.files import export as write
    from raysweep.export.gain import gain_text
    from raysweep.export.network import read_trained

    if code:
        take_file(code)
    opened = open_store(store)
    about = ""
    if trial == BEST:
        trial, top, about = best_trial(opened, study)
        note(f"best: trial {trial}, {top}. {about}")
    elif study:
        raise RaysweepError(f"--study {study} is for `best`: a trial's id needs no study.")
    trained = read_trained(opened, trial)
    if gain := gain_text(opened, trained.trial, study):
        note(gain)
    names = write(trained, out, f"{about} {gain}".strip(), replace)
    say("\n".join(printable(str(out / name)) for name in names))
    note(f"try it: `{command('raysweep', 'predict', out, 'IMAGES')}`")


def best_trial(store: Store, study: str) -> tuple[str, str, str]:
    """The finished trial with kept weights and the highest top-1, its top-1, and a sentence on what it was the best of.

    Trials judged on held-out images are only taken if none was tested on the test split.

    Raises:
        RaysweepError: there is none.
    """
    from raysweep.identity import recipe_from_json

    wanted = {row["trial"] for row in store.members().to_pylist() if not study or row["study"] == study}
    kept = wanted & store.with_checkpoint()
    if not wanted:
        raise RaysweepError(f"the store {store.uri} has no trials of {study or 'any study'}: see `raysweep status`.")
    rows = [
        row
        for row in store.trials(["trial", "status", "top1", "recipe"]).to_pylist()
        if row["trial"] in kept and row["status"] == "finished"
    ]
    if not rows:
        raise RaysweepError(
            f"no finished trial of {study or 'the store'} has kept its weights: run with --keep-checkpoints, or export "
            "a trial by its id, whose message says how to train it again."
        )
    held = {row["trial"] for row in rows if recipe_from_json(row["recipe"]).data.holdout}
    tested = [row for row in rows if row["trial"] not in held] or rows
    best = max(tested, key=lambda row: row["top1"])
    where = "held-out images" if best["trial"] in held else "the test split"
    of = f"It is the highest of {len(tested)} trials with kept weights, so a part of it may be luck."
    return best["trial"], f"top-1 {100 * best['top1']:.2f} % on {where}", of if len(tested) > 1 else ""
