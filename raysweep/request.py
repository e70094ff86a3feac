"""Requests: studies, protocol, settings, data and store as a user names them, and the plan they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.addresses import check_address, is_uri
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
"""The protocol whose images are generated if they are missing."""


@dataclass(frozen=True)
class Request:
    """A request to train studies."""

    studies: tuple[str | Study, ...]
    protocol: str = "imagenet128"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path -> value; applied to the protocol before the variants."""
    seeds: int = 1
    variants: tuple[str, ...] = ()
    """Variants to train along with the baselines; empty: all."""
    data: Path | None = None
    """Folder of FFCV files; None: `data/PROTOCOL`, if it exists."""
    store: str | None = None
    """Folder or URI of the results; None: nothing has been trained yet."""
    write: bool = False
    """Whether to write the image set first if `data` names original images."""
    trunks: str | None = None
    """Store with the trained networks that recipes with `init.trunk` start from."""

    def __post_init__(self) -> None:
        for address in (self.store, self.trunks):
            if address is not None:
                check_address(address)

    @property
    def data_folder(self) -> Path | None:
        """The requested or default folder; None if its images still have to be written or generated."""
        folder = self.data or default_data(self.protocol)
        is_required = self.data is not None and self.protocol != GENERATED
        return folder if is_required or (folder / "manifest.json").is_file() else None

    def with_settings(self, settings: Mapping[str, Any]) -> Request:
        """The request with further settings, or other values of its own."""
        return replace(self, settings={**self.settings, **settings})

    def find_studies(self) -> tuple[Study, ...]:
        """The studies, restricted to the requested variants.

        Raises:
            RaysweepError: unknown study or variant.
        """
        studies = find_studies(self.studies)
        return tuple(study.only(self.variants) for study in studies) if self.variants else studies

    def baseline(self) -> Recipe:
        """The recipe of the protocol with the settings and, if there is a data folder, its images.

        Raises:
            RaysweepError: unknown protocol or field, a wrong value, or a data folder that does not fit.
        """
        recipe = patch(find_protocol(self.protocol), self.settings)
        sets = self.image_sets()
        return sets.bind_baseline(recipe) if sets else recipe

    def image_sets(self) -> ImageSets | None:
        """The image sets of the data folder; None without one."""
        if self.data_folder is None:
            return None
        from raysweep.data.image_sets import ImageSets

        return ImageSets(self.data_folder)

    def plan(self) -> list[PlannedTrial]:
        """Every requested trial, with what is left to do.

        Raises:
            RaysweepError: a part of the request that cannot be carried out.
        """
        if self.seeds < 1:
            raise RaysweepError(f"--seeds is {self.seeds}: use 1 or more.")
        found = found_in(self.store) if self.store else {}
        protocol, sets, seeds = find_protocol(self.protocol), self.image_sets(), range(self.seeds)
        baseline = patch(protocol, self.settings)
        if sets:
            sets.bind_baseline(baseline)
        bind = self._binding(sets)
        plan = make_plan(self.find_studies(), baseline, seeds, protocol=protocol, found=found, bind=bind)
        if sets is None or sets.are_generated:  # missing sets are generated when they are needed
            return plan
        return [needing(planned, need) if (need := sets.need(planned.recipe.data)) else planned for planned in plan]

    def _binding(self, sets: ImageSets | None) -> Callable[[Recipe], Recipe]:
        """The function that sets images and trained networks in a recipe."""
        images = sets.bind if sets else (lambda recipe: recipe)
        if self.trunks is None:
            return images
        from raysweep.store.trunks import Trunks

        trunks = Trunks(self.trunks)
        return lambda recipe: trunks.bind(images(recipe))


def default_data(protocol: str) -> Path:
    """The default folder of a protocol's images."""
    return Path("data") / protocol


def found_in(uri: str) -> dict[str, Found]:
    """Trial id -> state, for all trials of a store; empty if there is no store yet.

    Raises:
        RaysweepError: the store exists but cannot be read.
    """
    check_address(uri)
    with suppress(RuntimeError):  # no home, or no such user: the store refuses it
        if not is_uri(uri) and not Path(uri).expanduser().exists():
            return {}  # without loading Arrow, which takes half the time of a plan
    from raysweep.store.store import Store

    store = Store.open_if_exists(uri)
    return found_by(store) if store else {}


def found_by(store: Store) -> dict[str, Found]:
    """Trial id -> state, for all trials of an open store."""
    from raysweep.store.claims import holders

    columns = ["trial", "status", "epochs", "attempts", "diverged_epoch", "error"]
    found = {row.pop("trial"): Found(**row) for row in store.trials(columns).to_pylist()}
    for trial, holder in holders(store.files).items():
        found[trial] = replace(found.get(trial, Found("running")), elsewhere=holder.place)
    return found
