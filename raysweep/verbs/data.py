"""`raysweep data`: images into FFCV files, and a look at what is in a folder of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysweep.data.manifest import ENCODINGS
from raysweep.terminal.progress import counted
from raysweep.terminal.tables import table
from raysweep.validate import RESCALES
from raysweep.verbs.options import json_option, print_json

if TYPE_CHECKING:
    from raysweep.write.sources.base import Source


@click.group()
def data() -> None:
    """Write and check image sets."""


@data.command()
@click.argument("source")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--side", type=int, default=None, help="Short side to store, px.  [default: as the images are]")
@click.option(
    "--also",
    default="",
    metavar="SIZES",
    help="Further sizes in the same pass, such as 80,110,144-nearest: into FOLDER/short80 and so on.",
)
@click.option(
    "--rescale",
    type=click.Choice(RESCALES),
    default="auto",
    show_default=True,
    help="How to resize to that side; auto: area where images shrink, cubic where they grow.",
)
@click.option(
    "--encoding",
    type=click.Choice(["auto", *ENCODINGS]),
    default="auto",
    show_default=True,
    help="jpg, raw: pixels as they are, mixed: some this way, some that; auto: raw below a GiB, else jpg.",
)
@click.option("--quality", type=int, default=90, show_default=True, help="JPEG quality.")
@click.option(
    "--raw-share",
    type=float,
    default=0.5,
    show_default=True,
    help="Of mixed: share of images stored as pixels; a hash of an image's number says which.",
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out images that cannot be decoded; they are listed in the manifest."
)
@click.option("--overwrite", is_flag=True, help="Replace what is in FOLDER, and unfinished work that was another.")
@click.option("--download", is_flag=True, help="Let torchvision download the set (the only use of the network).")
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path("downloads"), help="Where torchvision's sets lie."
)
@click.option(
    "--per-class",
    type=int,
    nargs=2,
    default=None,
    metavar="TRAIN TEST",
    help="Only the first so many training and test images of each class.  [default: all]",
)
@click.option("--workers", type=int, default=None, help="Processes.  [default: one per core]")
def write(  # one argument an option
    source: str,
    folder: Path,
    also: str,
    download: bool,
    root: Path,
    per_class: tuple[int, int] | None,
    **options: Any,
) -> None:
    """Write SOURCE into FOLDER as FFCV files with a manifest.

    \b
    SOURCE is a class folder (train/CLASS/*.jpg and val/CLASS/*.jpg), a Parquet file or folder with `image` and
    `label` columns, torchvision:CIFAR10 or torchvision:CIFAR100.
    \b
    raysweep data write cifar10.parquet data/cifar10
    raysweep data write /data/imagenet data/imagenet128 --side 144
    raysweep data write torchvision:CIFAR100 data/cifar100 --download
    raysweep data write cifar10.parquet data/small --per-class 500 200
    \b
    Variants that need the same images in another size or rescaled in another way have them in subfolders of FOLDER.
    One pass over the originals writes all sizes; with --also, sets that are there already are kept:
    raysweep data write /data/imagenet data/imagenet128 --side 144 --also 80,110,144-nearest
    raysweep data write /data/imagenet data/imagenet128/short80 --side 80
    \b
    How long it will take and how much room is said first; too small a disk is refused. Killed or stopped, the same
    command goes on where it was: unfinished work is in FOLDER/.writing. Images that cannot be decoded are named at the
    end, when all others are written; mended, or with --skip-bad, the same command then has little left to do.
    """
    from raysweep.write.sources import open_source
    from raysweep.write.sources.subset import Subset
    from raysweep.write.write_sets import write_sets

    found: Source = open_source(source, root=root, download=download)
    if per_class:
        found = Subset(found, *per_class)
    sizes = [size for size in also.split(",") if size.strip()]
    with counted(f"writing {folder}") as progress:
        sets = write_sets(found, folder, also=sizes, progress=progress, say=_say, **options)
    for path, manifest in sets.items():
        splits = ", ".join(f"{split.images:,} {name}" for name, split in manifest.splits.items())
        click.echo(f"{path}: {splits} images of {len(manifest.classes)} classes, digest {manifest.digest}")
    for name in sets[folder].skipped:
        click.echo(f"skipped {name}", err=True)


def _say(text: str) -> None:
    click.echo(text, err=True)


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Check the files in FOLDER against their checksums and print what is in them."""
    from raysweep.data.manifest import read_manifest, verify

    manifest = read_manifest(folder)
    verify(folder, manifest, full=True)
    rows = asdict(manifest)
    if as_json:
        print_json([rows])
        return
    click.echo(table((manifest.name, ""), ((key, value) for key, value in rows.items() if key != "splits")))
    splits = ((name, split.images, f"{split.bytes:,}", split.sha256[:12]) for name, split in manifest.splits.items())
    click.echo("\n" + table(("split", "images", "bytes", "sha256"), splits))
