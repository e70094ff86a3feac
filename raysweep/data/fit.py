"""Check that a recipe and an image set fit together, before anything is trained."""

from __future__ import annotations

import math
from pathlib import Path

from raysweep.data.manifest import Manifest, read_manifest, verify
from raysweep.data.windows import window_side
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.recipe import Recipe


def check_data(recipe: Recipe, folder: Path) -> Manifest:
    """The manifest of a folder on whose images the recipe can be trained.

    Raises:
        RaysweepError: the image set is missing, incomplete or does not fit the recipe.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest, full=False)
    check_fit(recipe, manifest, folder)
    return manifest


def check_fit(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    """Check that a recipe can be trained on the images of a manifest.

    Raises:
        RaysweepError: it cannot; the error gives both values and what to do.
    """
    _check_digest(recipe, manifest, folder)
    _check_written(recipe, manifest, folder)
    _check_sides(recipe)
    _check_classes(recipe, manifest, folder)


def _check_digest(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    if recipe.data.digest and recipe.data.digest != manifest.digest:
        raise RaysweepError(
            f"the recipe was planned for images with digest {recipe.data.digest}, but {folder} holds {manifest.name} "
            f"with digest {manifest.digest}: pass the folder of the former with --data, or plan again for the latter."
        )


def _check_written(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    data = recipe.data
    if data.short_side != manifest.short_side:
        raise RaysweepError(
            f"data.short_side is {data.short_side} but the images in {folder} are {manifest.short_side} px: "
            f"write them with `--side {data.short_side}`, or add `--set data.short_side={manifest.short_side}`."
        )
    if data.rescale != manifest.rescale:
        raise RaysweepError(
            f"data.rescale is {data.rescale} but the images in {folder} were written with {manifest.rescale}: "
            f"write them with `--rescale {data.rescale}`, or add `--set data.rescale={manifest.rescale}`."
        )


def _check_sides(recipe: Recipe) -> None:
    data = recipe.data
    for kind, field, scale, pad in (
        ("training", "data.scales", min(data.scales), data.pad),
        ("test", "data.test_scale", data.test_scale, 0),
    ):
        window = window_side(data.side, scale)
        if window > data.short_side + 2 * pad:
            takes = "" if window == data.side else f", which at scale {scale:g} ({field}) takes {window} px"
            side = math.floor(data.short_side * min(1.0, *data.scales, data.test_scale))
            raise RaysweepError(
                f"data.side is {data.side}{takes}, but {kind} images of {data.short_side} px "
                f"with a border of {pad} px are smaller: use `--set data.side={side}`, or write larger images."
            )


def _check_classes(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    classes = len(manifest.classes)
    if recipe.network.outputs < classes:
        raise RaysweepError(
            f"network.outputs is {recipe.network.outputs} but {manifest.name} has {classes} classes: "
            f"add --classes {classes}."
        )
    empty = [
        name for name, count in zip(manifest.classes, manifest.splits["train"].class_counts, strict=True) if not count
    ]
    if empty:
        raise RaysweepError(
            f"{folder} has no training images of {', '.join(empty[:5])}: add some to the source and write it again."
        )


def bind_data(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe with the digest and the numbers of these images."""
    images = {f"data.{name}_images": split.images for name, split in manifest.splits.items()}
    return patch(recipe, {"data.digest": manifest.digest, **images})
