"""Whether a recipe and an image set fit together, before anything is trained."""

from __future__ import annotations

from pathlib import Path

from raysweep.data.manifest import Manifest, read_manifest, verify
from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.recipe import Recipe


def check_data(recipe: Recipe, folder: Path) -> Manifest:
    """The manifest of the folder, if the recipe can be trained on it.

    Raises:
        RaysweepError: no whole image set, or one that does not fit; names both values and what to do.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest, full=False)
    _check_digest(recipe, manifest, folder)
    _check_sides(recipe, manifest, folder)
    _check_classes(recipe, manifest, folder)
    return manifest


def _check_digest(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    if recipe.data.digest and recipe.data.digest != manifest.digest:
        raise RaysweepError(
            f"the recipe is for the images with digest {recipe.data.digest}, {folder} holds {manifest.name} with "
            f"digest {manifest.digest}: name the folder of the first with --data, or plan again for this one."
        )


def _check_sides(recipe: Recipe, manifest: Manifest, folder: Path) -> None:
    data = recipe.data
    if data.short_side != manifest.short_side:
        raise RaysweepError(
            f"data.short_side is {data.short_side} but the images in {folder} are {manifest.short_side} px: "
            f"write them with `--side {data.short_side}`, or add `--set data.short_side={manifest.short_side}`."
        )
    if data.side > data.short_side + 2 * data.pad:
        raise RaysweepError(
            f"data.side is {data.side}, but images of {data.short_side} px with a border of {data.pad} px have no crop "
            f"of that size: use `--set data.side={data.short_side}`, or write larger images."
        )
    if data.side > data.short_side:
        raise RaysweepError(
            f"data.side is {data.side}, but test images are not padded and have {data.short_side} px: use "
            f"`--set data.side={data.short_side}`, or write larger images."
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
            f"{folder} has no training image of {', '.join(empty[:5])}: add some to the source and write it again."
        )


def bind_data(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe on these images: their digest and number go into it."""
    images = {f"data.{name}_images": split.images for name, split in manifest.splits.items()}
    return patch(recipe, {"data.digest": manifest.digest, **images})
