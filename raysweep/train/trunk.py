"""The trunk of a trained network in a new one: loaded, frozen, or left to learn on.

The classifier starts anew: the last child with weights of the network, and of each of its auxiliary heads.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.nn.blocks import AuxiliaryHead
from raysweep.nn.inits import weighted_layers
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.train import checkpoint


def classifiers(network: nn.Module) -> list[nn.Module]:
    """What is new in a network with a trained trunk."""
    heads = [layer.layers for layer in network.modules() if isinstance(layer, AuxiliaryHead)]
    return [_last_weighted(part) for part in (network, *heads)]


def _last_weighted(network: nn.Module) -> nn.Module:
    return [child for child in network.children() if next(weighted_layers(child), None) is not None][-1]


def _trunk_names(network: nn.Module) -> Iterator[str]:
    fresh = {id(layer) for classifier in classifiers(network) for layer in classifier.modules()}
    kept = [name for name, layer in network.named_modules() if id(layer) not in fresh]
    for name in network.state_dict():
        if name.rpartition(".")[0] in kept:
            yield name


def load_trunk(network: nn.Module, saved: bytes) -> None:
    """Take weights and running averages of all but the classifier from a checkpoint.

    Raises:
        RaysweepError: not a checkpoint, or of another network; names the layer.
    """
    trained, own = checkpoint.weights(saved), network.state_dict()
    names = list(_trunk_names(network))
    for name in names:
        if name not in trained or _shape(trained[name]) != _shape(own[name]):
            theirs = _shape(trained[name]) if name in trained else "nothing"
            raise RaysweepError(
                f"the trained trunk has {theirs} where {name} of this network has {_shape(own[name])}: use the same "
                "network and image side for both, or a head that averages over the map."
            )
    network.load_state_dict(own | {name: trained[name] for name in names})


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def freeze(network: nn.Module) -> None:
    """Only the classifiers learn from here on."""
    network.requires_grad_(False)
    for classifier in classifiers(network):
        classifier.requires_grad_(True)


def hold_norms(network: nn.Module) -> None:
    """Normalisations of a frozen trunk go on with the averages they were trained with; those of a classifier learn."""
    fresh = {id(layer) for classifier in classifiers(network) for layer in classifier.modules()}
    for layer in network.modules():
        if isinstance(layer, CaffeBatchNorm) and id(layer) not in fresh:
            layer.eval()
