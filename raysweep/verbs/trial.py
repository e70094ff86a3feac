"""`raysweep trial`: train one trial by its id, in this process, without Ray."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.orchestrate.events import headline
from raysweep.request import default_data
from raysweep.safe import command
from raysweep.terminal.notes import note, say
from raysweep.terminal.progress import numbers
from raysweep.train.task import DONE
from raysweep.verbs.options import DETERMINISTIC, EXIT_FAILED, KEPT, LocalPath, begin_work, open_store, store_option
from raysweep.verbs.show import stored_trial

if TYPE_CHECKING:
    from raysweep.train.task import Placement, TrialTask


@click.command()
@click.argument("trial")
@store_option
@click.option("--data", type=LocalPath(), metavar="FOLDER", help="Images.  [default: data/PROTOCOL]")
@click.option("--into", metavar="STORE", help="Train from scratch into another store, and keep the original trial.")
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N", help="CPU threads.")
@click.option("--trunks", default="", metavar="STORE", help="Store of the trained network that it starts from, if any.")
@click.option("--deterministic", is_flag=True, help=DETERMINISTIC)
@click.option("--keep-checkpoint", is_flag=True, help="Keep the last checkpoint in the store.")
def trial(
    trial: str,
    store: str,
    data: Path | None,
    into: str | None,
    device: str,
    threads: int,
    trunks: str,
    deterministic: bool,
    keep_checkpoint: bool,
) -> None:
    """Train a single trial in this process, without Ray.

    TRIAL is an id, or the beginning of one, of a trial in the store. It continues from its last checkpoint. A trial
    that another process trains is refused.

    \b
    raysweep trial 0c38f6f9 --store results
    raysweep trial 0c38f6f9 --store results --into again
    """
    from raysweep.data.image_sets import image_folder
    from raysweep.data.manifest import read_manifest
    from raysweep.store.claims import new_owner
    from raysweep.store.store import Store
    from raysweep.sweeps.unwritten import has_originals, image_set
    from raysweep.train.devices import check_device
    from raysweep.train.task import Placement, TrialTask

    found = stored_trial(open_store(store), trial)
    if found["status"] in DONE and into is None:
        raise RaysweepError(
            f"trial {found['trial']} is already {found['status']}: to train it again, use --into OTHER_STORE."
        )
    check_device(device)
    images = _images(found, data)
    recipe = recipe_from_json(found["recipe"])
    if has_originals(images):
        images = image_set(images, recipe.data)
    folder, protocol = str(image_folder(images, recipe.data)), found["protocol"]
    target = store
    if into:
        opened = Store.open(into, create=True)
        opened.write_manifest(read_manifest(Path(folder)))
        target = opened.uri
    task = TrialTask(found["trial"], recipe, folder, target, protocol, keep_checkpoint, trunks, deterministic)
    begin_work(KEPT)
    note(f"trial {task.trial}")
    _train(task, Placement(device=device, threads=threads, owner=new_owner(), on_wait=_note_waiting))


def _images(found: Mapping[str, Any], data: Path | None) -> Path:
    """The folder with the images of a stored trial.

    Raises:
        RaysweepError: none was named, and the protocol's own folder has none.
    """
    from raysweep.data.manifest import FILE_NAME

    images = data or default_data(found["protocol"] or "")
    if data is None and not (images / FILE_NAME).is_file():
        raise RaysweepError(f"{images} has no images for trial {found['trial']}: pass their folder with --data.")
    return images


def _note_waiting(reason: str) -> None:
    note(f"waiting {reason}")


def _train(task: TrialTask, place: Placement) -> None:
    from raysweep.train.run_trial import record_end, run_trial

    try:
        for row in run_trial(task, place, attempt=1):
            say(numbers(row))
    except RaysweepError:
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        record_end(task, "failed", text, place.owner)
        note(f"failed: {headline(text)}. See why: `{command('raysweep', 'show', task.trial, '--store', task.store)}`")
        raise click.exceptions.Exit(EXIT_FAILED) from None
    say(row["status"])
