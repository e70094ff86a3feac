"""`raysweep predict`: classes of images by an export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError
from raysweep.own_code import take_file
from raysweep.terminal.notes import note, say
from raysweep.terminal.tables import table
from raysweep.verbs.options import EXIT_FAILED, LocalPath, json_option, print_json

if TYPE_CHECKING:
    from raysweep.export.predict import Pixels, Prediction

MOST_MISTAKES, MOST_ROWS = 12, 20
"""Of each class on the sheet, and its rows."""


@click.command()
@click.argument("folder", type=LocalPath())
@click.argument("images", type=LocalPath(), nargs=-1, required=True)
@click.option("--sheet", type=LocalPath(), metavar="FILE", help="PNG of mistakes.  [default: FOLDER/mistakes.png]")
@click.option("--code", default="", metavar="FILE", help="File of your own network, if the export is of one.")
@json_option
def predict(folder: Path, images: tuple[Path, ...], sheet: Path | None, code: str, as_json: bool) -> None:
    """Predict the classes of IMAGES with the export in FOLDER.

    IMAGES are files or folders. They are prepared as those of the test split. Folders with the names of classes are
    labels: then it prints the accuracy and the confusion matrix, and writes a sheet of the surest mistakes.

    \b
    raysweep predict mine photo.jpg
    raysweep predict mine data/originals/test --json
    """
    from raysweep.export.predict import image_files, open_export, predictions

    if code:
        take_file(code)
    export = open_export(folder)
    for path in images:
        if not path.exists():
            raise RaysweepError(f"{path} does not exist.")
    files = [file for path in images for file in image_files(path)]
    found = list(predictions(export, files))
    rows = [one for one, _ in found]
    if as_json:
        print_json([asdict(one) for one in rows])
    else:
        say(table(("image", "class", "probability"), [_cells(one) for one in rows]))
    labelled = [one for one in rows if one.label and not one.error]
    if labelled and not as_json:
        say("\n" + confusion_text(labelled, export.classes))
    if wrong := sorted((pair for pair in found if pair[0].is_wrong), key=lambda pair: -pair[0].probability):
        write_mistakes(wrong, sheet or folder / "mistakes.png")
    if any(one.error for one in rows):
        raise click.exceptions.Exit(EXIT_FAILED)


def _cells(one: Prediction) -> tuple[str, str, str]:
    return one.path, one.error or one.predicted, "" if one.error else f"{one.probability:.3f}"


def confusion_text(rows: Sequence[Prediction], classes: Sequence[str]) -> str:
    """Accuracy, and the number of images by class and predicted class; only classes that occur."""
    counts = Counter((one.label, one.predicted) for one in rows)
    used = [name for name in classes if any(name in pair for pair in counts)]
    right = sum(number for (label, predicted), number in counts.items() if label == predicted)
    header = ("class", *used, "right")
    lines = [_line(name, used, counts) for name in used if any(label == name for label, _ in counts)]
    return f"{right} of {len(rows)} right: {100 * right / len(rows):.2f} %\n\n{table(header, lines)}"


def _line(name: str, used: Sequence[str], counts: Counter[tuple[str, str]]) -> tuple[str, ...]:
    own = [counts[name, other] for other in used]
    return name, *(str(number) if number else "." for number in own), f"{100 * counts[name, name] / sum(own):.1f} %"


def write_mistakes(wrong: Sequence[tuple[Prediction, Pixels | None]], path: Path) -> None:
    """Write a sheet of mistakes, the surest first: a row for each class and what it was taken for."""
    from raysweep.write.contact_sheet import contact_sheet
    from raysweep.write.look import thumbnail

    shown: dict[str, list[tuple[str, Pixels]]] = {}
    for one, pixels in wrong:
        name = f"{one.label} as {one.predicted}"
        if pixels is None or (name not in shown and len(shown) == MOST_ROWS):
            continue
        row = shown.setdefault(name, [])
        if len(row) < MOST_MISTAKES:
            row.append(("", thumbnail(pixels)))
    surest = f"{wrong[0][0].probability:.3f}"
    write_whole(path, contact_sheet(shown, f"the surest of {len(wrong)} mistakes, up to probability {surest}"))
    note(f"the surest mistakes: {path}")
