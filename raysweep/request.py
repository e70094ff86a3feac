"""What a user asks for, resolved into a plan: studies, protocol, settings, data, store. Loads neither torch nor ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.patch import patch
from raysweep.planning import Found, PlannedTrial, make_plan, needing
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import Study, find_studies

if TYPE_CHECKING:
    from raysweep.data.image_sets import ImageSets
    from raysweep.store.store import Store


GENERATED = "demo"
"""The protocol whose images are generated when there are none."""


@dataclass(frozen=True)
class Request:
    """Studies on a protocol with settings."""

    studies: tuple[str | Study, ...]
    protocol: str = "imagenet128"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path -> value, on top of the protocol; variants are patched on top of these."""
    seeds: int = 1
    variants: tuple[str, ...] = ()
    """Only these variants and the baselines; empty: all."""
    data: Path | None = None
    """Folder of FFCV files; none: `data/PROTOCOL` where that exists."""
    store: str | None = None
    trunks: str | None = None
    """Store of the trained networks that recipes with `init.trunk` start from."""

    @property
    def data_folder(self) -> Path | None:
        """The folder named, or the protocol's default one; none where images are still to be written or generated."""
        folder = self.data or default_data(self.protocol)
        required = self.data is not None and self.protocol != GENERATED
        return folder if required or (folder / "manifest.json").is_file() else None

    def find_studies(self) -> tuple[Study, ...]:
        """The studies, cut down to the variants asked for.

        Raises:
            RaysweepError: unknown study or variant.
        """
        studies = find_studies(self.studies)
        return tuple(study.only(self.variants) for study in studies) if self.variants else studies

    def baseline(self) -> Recipe:
        """The protocol with the settings, on the images of the data folder if there is one.

        Raises:
            RaysweepError: unknown protocol or field, wrong value, or a data folder that does not serve.
        """
        recipe = patch(find_protocol(self.protocol), self.settings)
        sets = self.image_sets()
        return sets.bind_baseline(recipe) if sets else recipe

    def image_sets(self) -> ImageSets | None:
        """The image sets of the data folder, if there is one."""
        if self.data_folder is None:
            return None
        from raysweep.data.image_sets import ImageSets

        return ImageSets(self.data_folder)

    def plan(self) -> list[PlannedTrial]:
        """Every trial asked for, with what the store knows of it.

        Raises:
            RaysweepError: whatever of the request cannot be done.
        """
        if self.seeds < 1:
            raise RaysweepError(f"--seeds is {self.seeds}: at least 1 seed is needed.")
        found = found_in(self.store) if self.store else {}
        protocol, sets, seeds = find_protocol(self.protocol), self.image_sets(), range(self.seeds)
        baseline = patch(protocol, self.settings)
        if sets:
            sets.bind_baseline(baseline)
        bind = self._binding(sets)
        plan = make_plan(self.find_studies(), baseline, seeds, protocol=protocol, found=found, bind=bind)
        if sets is None or sets.are_generated:  # as are those still missing, when they are needed
            return plan
        return [needing(planned, need) if (need := sets.need(planned.recipe.data)) else planned for planned in plan]

    def _binding(self, sets: ImageSets | None) -> Callable[[Recipe], Recipe]:
        """What puts images and trained networks into a recipe."""
        images = sets.bind if sets else (lambda recipe: recipe)
        if self.trunks is None:
            return images
        from raysweep.store.trunks import Trunks

        trunks = Trunks(self.trunks)
        return lambda recipe: trunks.bind(images(recipe))


def default_data(protocol: str) -> Path:
    """Where a protocol's images lie when nothing else is said."""
    return Path("data") / protocol


def found_in(uri: str) -> dict[str, Found]:
    """What a store knows of its trials; nothing where there is no store yet.

    Raises:
        RaysweepError: the store is there but cannot be read.
    """
    if "://" not in uri and not Path(uri).expanduser().exists():
        return {}  # without Arrow, which takes half of a plan's time
    from raysweep.store.store import Store

    store = Store.open_if_exists(uri)
    return found_by(store) if store else {}


def found_by(store: Store) -> dict[str, Found]:
    """What an open store knows of its trials."""
    columns = ["trial", "status", "epochs", "attempts", "diverged_epoch", "error"]
    return {row.pop("trial"): Found(**row) for row in store.trials(columns).to_pylist()}
