"""Networks from outside this package, by SOURCE:NAME: `torchvision:resnet18`, `timm:convnext_atto`, `models.py:build`.

They are built without pretrained weights, and nothing is downloaded. What a recipe changes in them is done by surgery
on the finished module, see `raysweep.nn.surgery`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raysweep.disk.cache import recall, remember
from raysweep.errors import InapplicableError, RaysweepError, unknown
from raysweep.networks.making import Outside, Wanted, inapplicable
from raysweep.networks.own_network import TRIED_SIDES, find_own, plain_name
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


def torchvision_names() -> Sequence[str]:
    """The names of torchvision's classifiers."""
    models = _torchvision()
    names: list[str] = models.list_models(module=models)
    return names


def _torchvision() -> ModuleType:
    from raysweep.import_torchvision import import_torchvision

    models: ModuleType = import_torchvision().models
    return models


def _from_torchvision(name: str) -> Outside:
    if name not in torchvision_names():
        raise unknown("torchvision network", name, torchvision_names(), "raysweep list networks torchvision")
    side = 299 if name == "inception_v3" else 224
    return Outside(partial(_make_torchvision, name), _version("torchvision"), side)


def _version(package: str) -> str:
    return f"{package} {metadata.version(package)}"


WITH_AUXILIARY = ("googlenet", "inception_v3")
STOCHASTIC_DEPTH = ("stochastic_depth_prob", "drop_path_rate")
"""The argument for the probability of leaving out the last block, in torchvision and in timm."""


def _make_torchvision(name: str, wanted: Wanted) -> nn.Module:
    settings: dict[str, Any] = {"num_classes": wanted.outputs}
    if name in WITH_AUXILIARY:
        # Their own initialisation takes minutes with SciPy's truncated normal; the recipe's replaces it.
        settings |= {"aux_logits": wanted.auxiliary, "init_weights": False}
    elif wanted.auxiliary:
        raise inapplicable(f"torchvision:{name}", "network.aux_weight", 0)
    if name.startswith("vit_"):
        settings["image_size"] = wanted.side
    if wanted.width != 1:
        settings |= _torchvision_width(name, wanted.width)
    if wanted.dropped is not None:
        settings["stochastic_depth_prob"] = wanted.dropped
    return _made(f"torchvision:{name}", partial(_torchvision().get_model, name, weights=None), settings)


def _made(name: str, make: Callable[..., nn.Module], settings: Mapping[str, Any]) -> nn.Module:
    """The network that `make` makes with these settings.

    Raises:
        InapplicableError: it does not take them.
    """
    try:
        return make(**settings)
    except (TypeError, ValueError, AssertionError) as error:
        dropping = next((setting for setting in STOCHASTIC_DEPTH if setting in settings), None)
        if dropping and dropping in str(error):
            raise inapplicable(name, "network.survival", 1) from None
        text = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise InapplicableError(f"{name} cannot be made with {text}: {error}.") from error


def _torchvision_width(name: str, width: float) -> dict[str, Any]:
    """The argument that scales the width of one of torchvision's networks."""
    if name.startswith("mobilenet"):
        return {"width_mult": width}
    own = {"resnet50": 64, "resnet101": 64, "resnet152": 64, "wide_resnet50_2": 128, "wide_resnet101_2": 128}
    own |= {"resnext50_32x4d": 4, "resnext101_32x8d": 8, "resnext101_64x4d": 4}
    if name not in own:
        raise inapplicable(f"torchvision:{name}", "network.width", 1)
    return {"width_per_group": max(1, round(own[name] * width))}


def timm_names() -> Sequence[str]:
    """The names of timm's networks."""
    names: list[str] = _timm().list_models()
    return names


def _timm() -> ModuleType:
    from raysweep.import_torchvision import import_torchvision

    import_torchvision()  # timm imports it
    try:
        import timm
    except ImportError:
        raise RaysweepError("networks of timm need timm: install it with `pip install raysweep[timm]`.") from None
    return timm  # type: ignore[no-any-return]


def _from_timm(name: str) -> Outside:
    if not _timm().is_model(name):
        raise unknown("timm network", name, timm_names(), "raysweep list networks timm")
    own = _timm().get_pretrained_cfg(name)
    side = own.input_size[1] if own else 224
    make = partial(_make_timm, name, own is not None and own.fixed_input_size)
    return Outside(make, _version("timm"), side)


def _make_timm(name: str, sized: bool, wanted: Wanted) -> nn.Module:
    """A network of timm. `sized`: it is built for one image side."""
    settings: dict[str, Any] = {"num_classes": wanted.outputs, "in_chans": wanted.channels}
    if sized:
        settings["img_size"] = wanted.side
    if wanted.auxiliary:
        raise inapplicable(f"timm:{name}", "network.aux_weight", 0)
    if wanted.width != 1:
        raise inapplicable(f"timm:{name}", "network.width", 1)
    if wanted.dropped is not None:
        settings["drop_path_rate"] = wanted.dropped
    return _made(f"timm:{name}", partial(_timm().create_model, name, pretrained=False), settings)


SOURCES: dict[str, Callable[[str], Outside]] = {"torchvision": _from_torchvision, "timm": _from_timm}
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
            network = found.make(Wanted(found.classes, 3, side))
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
    files = [Path(__file__), *sorted((folder / "nn" / "surgery").glob("*.py"))]
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
