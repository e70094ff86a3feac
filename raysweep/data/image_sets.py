"""The image sets of one `--data` folder: the one in it, and in its subfolders the same pictures in other sizes.

A trial whose recipe has the short side and the rescaling of the folder's own manifest is trained on that one; any other
on the subfolder named after both, `short80` or `short144-nearest`. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from raysweep.data.fit import bind_data, check_fit
from raysweep.data.manifest import FILE_NAME, Manifest, read_manifest, size_text, subfolder_name, verify
from raysweep.errors import RaysweepError
from raysweep.recipe import DataRecipe, Recipe


def subfolder(data: DataRecipe) -> str:
    """Name of the subfolder for these images where the folder itself has others."""
    return subfolder_name(data.short_side, data.rescale)


def image_folder(folder: Path, data: DataRecipe) -> Path:
    """Where the images of a recipe are: the folder or a subfolder.

    Raises:
        RaysweepError: the folder has no finished image set, or the subfolder has none; says how it is written.
    """
    sets = ImageSets(folder)
    if need := sets.need(data):
        raise RaysweepError(
            f"images of {data.short_side} px, rescaled {data.rescale}, are missing: write them with `{need}`."
        )
    return sets.folder_of(data)


class ImageSets:
    """The sets of a folder, each manifest read and each file looked at once."""

    def __init__(self, folder: Path) -> None:
        """`folder` as named by the user."""
        self.folder = folder
        self._manifests: dict[Path, Manifest] = {}

    def manifest(self, folder: Path) -> Manifest:
        """The manifest of the folder or a subfolder, its files there in their sizes.

        Raises:
            RaysweepError: no finished image set, or a file missing or cut short.
        """
        if folder not in self._manifests:
            manifest = read_manifest(folder)
            verify(folder, manifest, full=False)
            self._manifests[folder] = manifest
        return self._manifests[folder]

    def folder_of(self, data: DataRecipe) -> Path:
        """Where these images are, or belong.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        main = self.manifest(self.folder)
        fits = (main.short_side, main.rescale) == (data.short_side, data.rescale)
        return self.folder if fits else self.folder / subfolder(data)

    def has(self, data: DataRecipe) -> bool:
        """Whether these images have been written.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        return (self.folder_of(data) / FILE_NAME).is_file()

    @property
    def are_generated(self) -> bool:
        """Whether `run` can make missing sets itself: the folder's own was generated for the demo.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        source = self.manifest(self.folder).source
        return source.startswith("generated:") and source.endswith("seed 0")

    def bind(self, recipe: Recipe) -> Recipe:
        """The recipe with digest and number of its images; as it is where they have not been written.

        Raises:
            RaysweepError: images that do not fit the recipe.
        """
        if not self.has(recipe.data):
            return recipe
        folder = self.folder_of(recipe.data)
        check_fit(recipe, self.manifest(folder), folder)
        return bind_data(recipe, self.manifest(folder))

    def bind_baseline(self, recipe: Recipe) -> Recipe:
        """The same for the recipe that all others are variants of: its images must be there.

        Raises:
            RaysweepError: they are not, or do not fit; says how to get them.
        """
        if not self.has(recipe.data):
            check_fit(recipe, self.manifest(self.folder), self.folder)
        return self.bind(recipe)

    def need(self, data: DataRecipe) -> str:
        """The command that writes these images where they are missing; empty where they are not."""
        if self.has(data):
            return ""
        rescale = f" --rescale {data.rescale}" if data.rescale != "auto" else ""
        return f"raysweep data write SOURCE {self.folder_of(data)} --side {data.short_side}{rescale}"

    def need_together(self, wanted: Iterable[DataRecipe]) -> str:
        """One command that writes all of these that are missing, in one pass; the folder's own images are kept.

        Raises:
            RaysweepError: the folder has no finished image set.
        """
        main = self.manifest(self.folder)
        missing = [data for data in wanted if not self.has(data)]
        sizes = dict.fromkeys(size_text(data.short_side, data.rescale, main.rescale) for data in missing)
        rescale = f" --rescale {main.rescale}" if main.rescale != "auto" else ""
        return f"raysweep data write SOURCE {self.folder} --side {main.short_side}{rescale} --also {','.join(sizes)}"
