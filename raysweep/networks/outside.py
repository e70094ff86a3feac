"""Networks from outside this package, by SOURCE:NAME: `torchvision:resnet18`, `timm:convnext_atto`, `models.py:build`.

They are built without pretrained weights, and nothing is downloaded. What a recipe changes in them is done by surgery
on the finished module, see `raysweep.nn.surgery`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.disk.cache import recall, remember
from raysweep.errors import RaysweepError
from raysweep.networks.making import Outside, Wanted
from raysweep.networks.own_network import TRIED_SIDES, find_own, plain_name
from raysweep.networks.packages import from_timm, from_torchvision, timm_names, torchvision_names
from raysweep.recipe import NetworkRecipe

if TYPE_CHECKING:
    from torch import nn

    from raysweep.nn.surgery.operation import Replaced


def is_outside(name: str) -> bool:
    """Whether a network's name is that of one from outside the package."""
    return ":" in name


def find_outside(name: str, source: str = "") -> Outside:
    """The network of that name; `source` is that of a recipe which has it, and empty for a name that is given now.

    Raises:
        RaysweepError: no such source, network or function, the message lists the nearest ones; or another version.
    """
    package, _, rest = name.partition(":")
    found = SOURCES[package](rest) if package in SOURCES else find_own(name, source, SOURCES)
    if source and source != found.version:
        raise RaysweepError(
            f"{name} is a network of {source}, but here is {found.version}: another version may be another network, so "
            "its trials are other ones. Plan the study again, or install the earlier version."
        )
    return found


SOURCES: dict[str, Callable[[str], Outside]] = {"torchvision": from_torchvision, "timm": from_timm}
"""What finds a network in a source. To add one: a function from the name after the colon to an `Outside`. Any
other name is that of a user's file or module."""
NAMES: dict[str, Callable[[], Sequence[str]]] = {"torchvision": torchvision_names, "timm": timm_names}
"""What lists the networks of a source."""
EXAMPLES = {"torchvision": "torchvision:resnet18", "timm": "timm:convnext_atto"}


def own_of_outside(name: str, source: str = "") -> Mapping[str, Any]:
    """The values of recipe fields that a network from outside has, with its source; remembered between runs.

    Raises:
        RaysweepError: no such source or network.
    """
    found = find_outside(name, source)
    return {**_own_values(plain_name(name), found), "source": found.version}


def _own_values(name: str, found: Outside) -> Mapping[str, Any]:
    file_name = f"{name}-{found.version}".replace(":", "-").replace("/", "-").replace(" ", "-")
    key = f"own-{_code()}/{file_name}"
    if known := recall(key):
        return known
    own = _values_at(found, [found.side] if found.is_released else TRIED_SIDES, name)
    remember(key, own)
    return own


def _values_at(found: Outside, sides: Sequence[int], name: str) -> dict[str, Any]:
    """The values of a network, at the first of these sides at which it runs.

    Raises:
        RaysweepError: it runs at none of them.
    """
    import torch

    from raysweep.nn.surgery import own_values

    for side in sides:
        with torch.device("meta"):
            network = found.build(Wanted(found.classes, 3, side))
            try:
                return own_values(network, (3, side, side))
            except (RuntimeError, ValueError, AssertionError) as error:
                last = error
    tried = ", ".join(map(str, sides))
    raise RaysweepError(
        f"{name} does not run on images of 3 channels and {tried} px ({last}): let its function take image_size."
    )


@cache
def _code() -> str:
    """Digest of the files that decide which values a network is found to have."""
    folder = Path(__file__).parent.parent
    own = [folder / "networks" / f"{name}.py" for name in ("making", "outside", "own_network", "packages")]
    files = [*own, *sorted((folder / "nn" / "surgery").glob("*.py"))]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=6).hexdigest()


def build_outside(recipe: NetworkRecipe, shape: tuple[int, ...]) -> nn.Module:
    """Build the recipe's network from outside for images of `shape` (channels, side, side), on torch's default device.

    Raises:
        RaysweepError: an unknown network or factor.
        InapplicableError: a factor that the network does not have.
    """
    return operated(recipe, shape)[0]


def operated(recipe: NetworkRecipe, shape: tuple[int, ...]) -> tuple[nn.Module, list[Replaced]]:
    """The recipe's network from outside, and everything that was replaced in it.

    Raises:
        RaysweepError: an unknown network or factor.
        InapplicableError: a factor that the network does not have.
    """
    from raysweep.nn.surgery import operate

    found, own = find_outside(recipe.name, recipe.source), own_of_outside(recipe.name, recipe.source)
    dropped = None if recipe.survival == own.get("survival", 1.0) else 1 - recipe.survival

    def make(channels: int) -> nn.Module:
        wanted = Wanted(recipe.outputs, channels, shape[-1], recipe.width, dropped, recipe.aux_weight > 0)
        return found.build(wanted)

    return operate(make, recipe, own, shape, not found.takes_outputs)


def check_outside(recipe: NetworkRecipe, shape: tuple[int, ...]) -> None:
    """Refuse a network from outside that cannot be trained, before anything is.

    Raises:
        RaysweepError: its output is not one tensor of the recipe's number of logits for each image, or two networks
            made with the same seed differ.
        InapplicableError: it does not run on images of `shape`, or does not have a factor.
    """
    import torch

    from raysweep.nn.surgery.checks import check_equal, check_outputs

    own = vars(NetworkRecipe()) | dict(own_of_outside(recipe.name, recipe.source))
    with torch.device("meta"):
        check_outputs(build_outside(recipe, shape), recipe, own, shape)
    if not find_outside(recipe.name, recipe.source).is_released:
        check_equal(lambda: build_outside(recipe, shape), recipe)
