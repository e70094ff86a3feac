"""Networks from outside this package, named `SOURCE:NAME`: `torchvision:resnet18`, `timm:convnext_atto`.

They are built without pretrained weights, and nothing is downloaded. What a recipe changes in them is done by surgery
on the finished module, see `raysweep.nn.surgery`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raysweep.disk.cache import recall, remember
from raysweep.errors import InapplicableError, RaysweepError, unknown
from raysweep.recipe import NetworkRecipe

if TYPE_CHECKING:
    from torch import nn

    from raysweep.nn.surgery.operation import Replaced


@dataclass(frozen=True)
class Wanted:
    """The network asked for. A function that makes networks uses what it can; surgery does the rest."""

    outputs: int
    channels: int
    """Of its input."""
    side: int
    """Of its input, px."""
    width: float = 1.0
    """Multiplier of the width."""
    dropped: float | None = None
    """Probability of leaving out the last block in training; None: the network's own."""
    auxiliary: bool = False
    """Whether auxiliary heads are trained."""


@dataclass(frozen=True)
class Outside:
    """A network from outside the package."""

    make: Callable[[Wanted], nn.Module]
    """Builds it on torch's default device.

    Raises `InapplicableError` for a width, a probability or auxiliary heads that it cannot have."""
    version: str
    """Of the code that builds it."""
    side: int = 224
    """Native image side, px."""
    classes: int = 1000
    """Native number of classes."""
    takes_outputs: bool = True
    """Whether it is made with the number of outputs asked for; otherwise its classifier is replaced."""
    is_released: bool = True
    """Whether it comes from a released package, whose networks of one seed are known to be equal."""


def is_outside(name: str) -> bool:
    """Whether a network's name is that of one from outside the package."""
    return ":" in name


@cache
def find_outside(name: str) -> Outside:
    """The network of that name.

    Raises:
        RaysweepError: no such source or network; the message lists the nearest ones.
    """
    source, _, rest = name.partition(":")
    if source not in SOURCES:
        raise unknown("source of networks", source, SOURCES, "raysweep list networks")
    return SOURCES[source](rest)


def _inapplicable(name: str, field: str, neutral: object) -> InapplicableError:
    return InapplicableError(f"{name} cannot have another {field}: leave it at {neutral}.")


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
    return Outside(partial(_make_torchvision, name), metadata.version("torchvision"), side)


WITH_AUXILIARY = ("googlenet", "inception_v3")
STOCHASTIC_DEPTH = ("stochastic_depth_prob", "drop_path_rate")
"""The argument for the probability of leaving out the last block, in torchvision and in timm."""


def _make_torchvision(name: str, wanted: Wanted) -> nn.Module:
    settings: dict[str, Any] = {"num_classes": wanted.outputs}
    if name in WITH_AUXILIARY:
        # Their own initialisation takes minutes with SciPy's truncated normal; the recipe's replaces it.
        settings |= {"aux_logits": wanted.auxiliary, "init_weights": False}
    elif wanted.auxiliary:
        raise _inapplicable(f"torchvision:{name}", "network.aux_weight", 0)
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
            raise _inapplicable(name, "network.survival", 1) from None
        text = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise InapplicableError(f"{name} cannot be made with {text}: {error}.") from error


def _torchvision_width(name: str, width: float) -> dict[str, Any]:
    """The argument that scales the width of one of torchvision's networks."""
    if name.startswith("mobilenet"):
        return {"width_mult": width}
    own = {"resnet50": 64, "resnet101": 64, "resnet152": 64, "wide_resnet50_2": 128, "wide_resnet101_2": 128}
    own |= {"resnext50_32x4d": 4, "resnext101_32x8d": 8, "resnext101_64x4d": 4}
    if name not in own:
        raise _inapplicable(f"torchvision:{name}", "network.width", 1)
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
    return Outside(make, metadata.version("timm"), side)


def _make_timm(name: str, sized: bool, wanted: Wanted) -> nn.Module:
    """A network of timm. `sized`: it is built for one image side."""
    settings: dict[str, Any] = {"num_classes": wanted.outputs, "in_chans": wanted.channels}
    if sized:
        settings["img_size"] = wanted.side
    if wanted.auxiliary:
        raise _inapplicable(f"timm:{name}", "network.aux_weight", 0)
    if wanted.width != 1:
        raise _inapplicable(f"timm:{name}", "network.width", 1)
    if wanted.dropped is not None:
        settings["drop_path_rate"] = wanted.dropped
    return _made(f"timm:{name}", partial(_timm().create_model, name, pretrained=False), settings)


SOURCES: dict[str, Callable[[str], Outside]] = {"torchvision": _from_torchvision, "timm": _from_timm}
"""What finds a network in a source. To add one: a function from the name after the colon to an `Outside`."""
NAMES: dict[str, Callable[[], Sequence[str]]] = {"torchvision": torchvision_names, "timm": timm_names}
"""What lists the networks of a source."""
EXAMPLES = {"torchvision": "torchvision:resnet18", "timm": "timm:convnext_atto"}


@cache
def own_of_outside(name: str) -> Mapping[str, Any]:
    """The values of recipe fields that a network from outside has; remembered between runs.

    Raises:
        RaysweepError: no such source or network.
    """
    found = find_outside(name)
    key = f"own-{_code()}/{name.replace(':', '-').replace('/', '-')}-{found.version}"
    if known := recall(key):
        return known
    import torch

    from raysweep.nn.surgery import own_values

    with torch.device("meta"):
        network = found.make(Wanted(found.classes, 3, found.side))
        own = own_values(network, (3, found.side, found.side))
    remember(key, own)
    return own


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

    found, own = find_outside(recipe.name), own_of_outside(recipe.name)
    dropped = None if recipe.survival == own.get("survival", 1.0) else 1 - recipe.survival

    def make(channels: int) -> nn.Module:
        wanted = Wanted(recipe.outputs, channels, shape[-1], recipe.width, dropped, recipe.aux_weight > 0)
        return found.make(wanted)

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

    own = vars(NetworkRecipe()) | dict(own_of_outside(recipe.name))
    with torch.device("meta"):
        check_outputs(build_outside(recipe, shape), recipe, own, shape)
    if not find_outside(recipe.name).is_released:
        check_equal(lambda: build_outside(recipe, shape), recipe)
