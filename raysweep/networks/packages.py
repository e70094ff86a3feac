"""The networks of torchvision and timm, by their names there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raysweep.errors import InapplicableError, RaysweepError, unknown
from raysweep.networks.making import Outside, Wanted, inapplicable

if TYPE_CHECKING:
    from torch import nn


def torchvision_names() -> Sequence[str]:
    """The names of torchvision's classifiers."""
    models = _torchvision()
    names: list[str] = models.list_models(module=models)
    return names


def _torchvision() -> ModuleType:
    from raysweep.import_torchvision import import_torchvision

    models: ModuleType = import_torchvision().models
    return models


def from_torchvision(name: str) -> Outside:
    """The network of torchvision of that name.

    Raises:
        RaysweepError: no such network; the message lists the nearest ones.
    """
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


def from_timm(name: str) -> Outside:
    """The network of timm of that name.

    Raises:
        RaysweepError: no such network; the message lists the nearest ones.
    """
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
