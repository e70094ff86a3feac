"""`raysweep data`: write image sets as FFCV files, and check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.data.manifest import ENCODINGS, FILE_NAME
from raysweep.data.passed_over import PassedOver, lines
from raysweep.safe import printable
from raysweep.terminal.notes import note, say
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.validate import RESCALES
from raysweep.verbs.options import FloatRange, LocalPath, begin_work, json_option, print_json

if TYPE_CHECKING:
    from raysweep.data.manifest import Manifest
    from raysweep.write.sources.base import Source

LISTED = 10
"""Number of skipped images that are printed."""


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
    "--download", is_flag=True, help="Download a torchvision set if it is missing; nothing else uses the network."
)
@click.option(
    "--root",
    type=LocalPath(),
    metavar="FOLDER",
    default=Path("downloads"),
    show_default=True,
    help="Folder of torchvision's sets.",
)
@click.option(
    "--image-column",
    metavar="NAME",
    help="Column of a Parquet SOURCE with the images.  [default: image, or the only column that can be it]",
)
@click.option(
    "--label-column",
    metavar="NAME",
    help="Column of a Parquet SOURCE with the labels.  [default: label, or the only column that can be it]",
)
@click.option(
    "--holdout",
    type=FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Test on this share of the training images of each class, and leave out the test split.  [default: 0.2 if "
    "SOURCE has no test split]",
)
@click.option(
    "--per-class",
    type=click.IntRange(0, 10**9),
    nargs=2,
    default=None,
    metavar="TRAIN TEST",
    help="Use only the first TRAIN training and TEST test images of each class.  [default: all]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    default=None,
    help="Number of processes.  [default: one per core]",
)
def write(  # one argument per option
    source: str,
    folder: Path,
    also: str,
    download: bool,
    root: Path,
    image_column: str | None,
    label_column: str | None,
    holdout: float | None,
    per_class: tuple[int, int] | None,
    **options: Any,
) -> None:
    """Write the images of SOURCE to FOLDER as FFCV files with a manifest.

    \b
    SOURCE has folders of classes (train/CLASS/*.jpg and val/CLASS/*.jpg, or CLASS/*.jpg), or is a Parquet file or
    folder with columns of images and labels, torchvision:CIFAR10 or torchvision:CIFAR100.
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

    found: Source = open_source(
        source, root=root, download=download, image_column=image_column, label_column=label_column, holdout=holdout
    )
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
@click.argument("folder", type=LocalPath())
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Verify the checksums of the files in FOLDER and print the manifest.

    \b
    raysweep data check data/mine
    """
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
