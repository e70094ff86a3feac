"""`raysweep data`: write image sets as FFCV files, and check them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.data.manifest import ENCODINGS, FILE_NAME
from raysweep.data.passed_over import PassedOver, lines
from raysweep.safe import printable
from raysweep.terminal.notes import note, say, warn
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.validate import RESCALES
from raysweep.verbs.options import Command, FloatRange, LocalPath, begin_work, json_option, print_json, write_output

if TYPE_CHECKING:
    from raysweep.data.manifest import Manifest
    from raysweep.write.check_source import Checked
    from raysweep.write.sources.base import Source

READING = ("download", "root", "image_column", "label_column", "holdout")
"""The options that say how to read a source."""
LISTED = 10
"""Number of skipped images that are printed."""


SOURCE_OPTIONS = (
    click.option(
        "--download", is_flag=True, help="Download a torchvision set if it is missing; nothing else uses the network."
    ),
    click.option(
        "--root",
        type=LocalPath(),
        metavar="FOLDER",
        default=Path("downloads"),
        show_default=True,
        help="Folder of torchvision's sets.",
    ),
    click.option(
        "--image-column",
        metavar="NAME",
        help="Column of a Parquet file or table with the images.  [default: image, or the only column that can be it]",
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="Column of a Parquet file or table with the labels.  [default: label, or the only column that can be it]",
    ),
    click.option(
        "--holdout",
        type=FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Test on this share of the training images of each class, and leave out the test split.  [default: 0.2 if "
        "SOURCE has no test split]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        metavar="N",
        default=None,
        help="Number of processes.  [default: one per core]",
    ),
)


def source_options(command: Command) -> Command:
    """How to read original images."""
    for option in reversed(SOURCE_OPTIONS):
        command = option(command)
    return command


@click.group()
def data() -> None:
    """Write and check image sets."""


@data.command()
@click.argument("source")
@click.argument("folder", type=LocalPath())
@click.option(
    "--side",
    type=click.IntRange(1, 65_535),
    metavar="PX",
    default=None,
    help="Short side to store, px.  [default: original size]",
)
@click.option(
    "--also",
    default="",
    metavar="SIZES",
    help="Also write these sizes in the same pass, e.g. 80,110,144-nearest, to FOLDER/short80 and so on.",
)
@click.option(
    "--rescale",
    type=click.Choice(RESCALES),
    default="auto",
    show_default=True,
    help="Method to resize images; auto uses area to shrink and cubic to enlarge.",
)
@click.option(
    "--encoding",
    type=click.Choice(["auto", *ENCODINGS]),
    default="auto",
    show_default=True,
    help="Store images as jpg, raw (uncompressed pixels), mixed (some each way), or auto (raw below 1 GiB, else jpg).",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), metavar="1-100", default=90, show_default=True, help="JPEG quality."
)
@click.option(
    "--raw-share",
    type=FloatRange(0, 1),
    metavar="SHARE",
    default=0.5,
    show_default=True,
    help="With --encoding mixed: share of images stored as pixels, chosen by a hash of the image's number.",
)
@click.option("--skip-bad", is_flag=True, help="Skip images that cannot be decoded, and list them in the manifest.")
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse a SOURCE that has anything besides the images to write. Without it, what is passed over is counted by "
    "reason, at the end and in the manifest.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing sets in FOLDER, and discard unfinished work started with other options.",
)
@click.option(
    "--per-class",
    type=click.IntRange(0, 10**9),
    nargs=2,
    default=None,
    metavar="TRAIN TEST",
    help="Use only the first TRAIN training and TEST test images of each class.  [default: all]",
)
@source_options
def write(source: str, folder: Path, also: str, per_class: tuple[int, int] | None, **options: Any) -> None:
    """Write the images of SOURCE to FOLDER as FFCV files with a manifest.

    \b
    SOURCE has folders of classes (train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg), is a Parquet file or folder,
    a CSV or JSON lines file of paths and labels, a folder with one, WebDataset archives, or torchvision:NAME.
    \b
    raysweep data write cifar10.parquet data/cifar10
    raysweep data write /data/imagenet data/imagenet128 --side 144
    raysweep data write torchvision:CIFAR100 data/cifar100 --download
    raysweep data write cifar10.parquet data/small --per-class 500 200
    \b
    Variants that need the images in another size, or rescaled by another method, use subfolders of FOLDER.
    One pass over the originals writes all sizes; with --also, existing sets are kept:
    raysweep data write /data/imagenet data/imagenet128 --side 144 --also 80,110,144-nearest
    raysweep data write /data/imagenet data/imagenet128/short80 --side 80
    \b
    It first estimates the time and disk space, and refuses to start if the disk is too small. If it is killed or
    stopped, the same command continues; unfinished work is in FOLDER/.writing. Images that cannot be decoded are listed
    at the end, when all others are encoded: repair them or add --skip-bad, and the same command finishes quickly.
    Whatever else SOURCE has, such as thumbnails and hidden files, is counted by reason; --strict refuses it.
    """
    from raysweep.write.sources import open_source
    from raysweep.write.sources.subset import Subset
    from raysweep.write.write_sets import write_sets

    found: Source = open_source(source, **{name: options.pop(name) for name in READING})
    if per_class:
        found = Subset(found, *per_class)
    sizes = [size for size in also.split(",") if size.strip()]
    begin_work("the images that are encoded are kept")
    with counted(f"writing {folder}") as progress:
        sets = write_sets(found, folder, also=sizes, progress=progress, say=note, **options)
    _print_written(sets, folder, found)


def _print_written(sets: Mapping[Path, Manifest], folder: Path, source: Source) -> None:
    for path, manifest in sets.items():
        splits = ", ".join(f"{split.images:,} {name}" for name, split in manifest.splits.items())
        say(f"{path}: {splits} images of {len(manifest.classes)} classes, digest {manifest.digest}")
    skipped = sets[folder].skipped
    for name in skipped[:LISTED]:
        note(f"skipped {printable(name)}")
    if len(skipped) > LISTED:
        note(f"skipped {len(skipped) - LISTED:,} more; {folder / FILE_NAME} lists all")
    for line in lines(source.passed_over):
        note(f"passed over {line}")


@data.command()
@click.argument("folder", type=LocalPath(), metavar="PATH")
@source_options
@click.option(
    "--sheet",
    type=LocalPath(),
    metavar="FILE",
    help="Where to write the contact sheet of original images, a PNG file.  [default: check-NAME.png]",
)
@json_option
def check(folder: Path, as_json: bool, sheet: Path | None, workers: int | None, **options: Any) -> None:
    """Look at original images before they are written, or verify the checksums of an image set.

    Original images, in all forms that `raysweep data write` reads, are decoded once. A table lists the splits, and what
    may be a mistake: broken images, duplicates within and across splits, extreme shapes, classes with few images. A
    contact sheet shows images of each class. Of an image set, the manifest is printed.

    \b
    raysweep data check /path/to/images
    raysweep data check data/mine
    """
    from raysweep.sweeps.unwritten import has_originals

    if has_originals(folder):
        _check_originals(str(folder), as_json, sheet, workers, options)
    else:
        _check_set(folder, as_json)


def _check_originals(
    spec: str, as_json: bool, sheet: Path | None, workers: int | None, options: Mapping[str, Any]
) -> None:
    from raysweep.write.check_source import check_source
    from raysweep.write.contact_sheet import contact_sheet
    from raysweep.write.sources import open_source

    source = open_source(spec, **options)
    with counted(f"looking at {source.name}") as progress:
        checked = check_source(source, workers, progress)
    out = sheet or Path(f"check-{source.name.replace('/', '-')}.png")
    if as_json:
        found = asdict(replace(checked, sheet={})) | {"source": source.spec, "notes": source.notes, "sheet": str(out)}
        print_json([found])
    else:
        _print_checked(source, checked)
    write_output(out, contact_sheet(checked.sheet, source.spec))
    if not as_json:
        say(f"\ncontact sheet: {out}")


def _print_checked(source: Source, checked: Checked) -> None:
    for sentence in source.notes:
        note(sentence)
    say(_splits_table(checked))
    found = [finding for finding in checked.findings if finding.count]
    rows = ((f"{finding.count:,}", finding.what, ", ".join(finding.examples)) for finding in found)
    say("\n" + (table(("count", "what", "such as"), rows) if found else "Nothing unusual was found."))
    for sentence in checked.warnings:
        warn(sentence)


def _splits_table(checked: Checked) -> str:
    """The splits with the numbers of their images and classes, and the sides of the images."""
    rows = [
        (
            name,
            f"{seen.images:,}",
            sum(map(bool, seen.counts)),
            *_ends(checked.classes, seen.counts),
            _sides(seen.sides),
        )
        for name, seen in checked.splits.items()
    ]
    header = ("split", "images", "classes", "fewest in a class", "most in a class", "short sides, px")
    return table(header, rows)


def _ends(classes: Sequence[str], counts: Sequence[int]) -> tuple[str, str]:
    if not counts:
        return "-", "-"
    few, many = (pick(range(len(counts)), key=counts.__getitem__) for pick in (min, max))
    return f"{counts[few]:,} ({classes[few]})", f"{counts[many]:,} ({classes[many]})"


def _sides(sides: tuple[int, int, int]) -> str:
    least, median, most = sides
    return f"{least}" if least == most else f"{least} to {most}, median {median}"


def _check_set(folder: Path, as_json: bool) -> None:
    from raysweep.data.manifest import read_manifest, verify

    manifest = read_manifest(folder)
    verify(folder, manifest, full=True)
    rows = asdict(manifest)
    if as_json:
        print_json([rows])
        return
    rows["classes"] = ", ".join(manifest.classes)
    rows["skipped"] = PassedOver(len(manifest.skipped), manifest.skipped[:LISTED]).text() or "nothing"
    rows["passed_over"] = _passed_over(manifest)
    say(table((manifest.name, ""), ((key, value) for key, value in rows.items() if key != "splits")))
    splits = ((name, split.images, f"{split.bytes:,}", split.sha256[:12]) for name, split in manifest.splits.items())
    say("\n" + table(("split", "images", "bytes", "sha256"), splits))


def _passed_over(manifest: Manifest) -> str:
    if manifest.passed_over is None:
        return "not counted by the raysweep that wrote this set; write it again to see what its source has besides it"
    return "; ".join(lines(manifest.passed_over)) or "nothing"
