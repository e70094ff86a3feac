"""The image sets of one `--data` folder: its own, and the same pictures in other sizes in its subfolders.

A trial uses the folder's own set if its recipe has the same short side and rescaling method. Otherwise it uses the
subfolder named after both, such as `short80` or `short144-nearest`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from raysweep.data.fit import bind_data, check_fit
from raysweep.data.manifest import (
    FILE_NAME,
    Manifest,
    read_manifest,
    size_text,
    subfolder_name,
    verify,
    write_command,
)
from raysweep.errors import RaysweepError
from raysweep.recipe import DataRecipe, Recipe


def image_folder(folder: Path, data: DataRecipe) -> Path:
    """The folder or subfolder that contains the images of a recipe.

    Raises:
        RaysweepError: it contains no finished image set; the error gives the command that writes it.
    """
    sets = ImageSets(folder)
    if need := sets.need(data):
        raise RaysweepError(
            f"images of {data.short_side} px with rescaling {data.rescale} are missing: write them with `{need}`."
        )
    return sets.folder_of(data)


class ImageSets:
    """The image sets of a folder; each manifest is read and each file is checked once."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the value of `--data`."""
        self.folder = folder
        self._manifests: dict[Path, Manifest] = {}

    def manifest(self, folder: Path) -> Manifest:
        """The manifest of the folder or a subfolder, after a check that its files exist in their full sizes.

        Raises:
            RaysweepError: there is no finished image set, or a file is missing or incomplete.
        """
        if folder not in self._manifests:
            manifest = read_manifest(folder)
            verify(folder, manifest, full=False)
            self._manifests[folder] = manifest
        return self._manifests[folder]

    def folder_of(self, data: DataRecipe) -> Path:
        """The folder that contains these images, or that they belong in.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        main = self.manifest(self.folder)
        fits = (main.short_side, main.rescale) == (data.short_side, data.rescale)
        return self.folder if fits else self.folder / subfolder_name(data.short_side, data.rescale)

    def has(self, data: DataRecipe) -> bool:
        """Whether these images have been written.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        return (self.folder_of(data) / FILE_NAME).is_file()

    @property
    def are_generated(self) -> bool:
        """Whether the folder's own set was generated for the demo, so that `run` can generate missing ones.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        source = self.manifest(self.folder).source
        return source.startswith("generated:") and source.endswith("seed 0")

    def bind(self, recipe: Recipe) -> Recipe:
        """The recipe with the digest and the numbers of its images; unchanged if they have not been written.

        Raises:
            RaysweepError: the images do not fit the recipe.
        """
        if not self.has(recipe.data):
            return recipe
        folder = self.folder_of(recipe.data)
        check_fit(recipe, self.manifest(folder), folder)
        return bind_data(recipe, self.manifest(folder))

    def bind_baseline(self, recipe: Recipe) -> Recipe:
        """Do the same for the recipe that all others are variants of, whose images must exist.

        Raises:
            RaysweepError: they do not exist or do not fit.
        """
        if not self.has(recipe.data):
            check_fit(recipe, self.manifest(self.folder), self.folder)
        return self.bind(recipe)

    def need(self, data: DataRecipe) -> str:
        """The command that writes these images if they are missing; otherwise empty."""
        if self.has(data):
            return ""
        return write_command(self.folder_of(data), "--side", data.short_side, *_rescaled(data.rescale))

    def need_together(self, required: Iterable[DataRecipe]) -> str:
        """One command that writes all missing images in one pass and keeps the folder's own.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        main = self.manifest(self.folder)
        missing = [data for data in required if not self.has(data)]
        sizes = dict.fromkeys(size_text(data.short_side, data.rescale, main.rescale) for data in missing)
        side = ("--side", main.short_side, *_rescaled(main.rescale))
        return write_command(self.folder, *side, "--also", ",".join(sizes))


def _rescaled(method: str) -> tuple[str, ...]:
    return () if method == "auto" else ("--rescale", method)
