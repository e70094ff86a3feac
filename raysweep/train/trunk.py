"""The trunk of a trained network in a new one: loaded, and then frozen or trained further.

The classifier starts from new weights: it is the last child with weights of the network and of each auxiliary head.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.nn.blocks import AuxiliaryHead
from raysweep.nn.inits import weighted_layers
from raysweep.nn.norms import is_batch_norm
from raysweep.nn.surgery.front import inner
from raysweep.train import checkpoint


def classifiers(network: nn.Module) -> list[nn.Module]:
    """Return the modules that are new in a network with a trained trunk."""
    heads = [layer.layers for layer in network.modules() if isinstance(layer, AuxiliaryHead)]
    return [_last_weighted(part) for part in (inner(network), *heads)]


def _last_weighted(network: nn.Module) -> nn.Module:
    return [child for child in network.children() if next(weighted_layers(child), None) is not None][-1]


def _trunk_names(network: nn.Module) -> Iterator[str]:
    fresh = {id(layer) for classifier in classifiers(network) for layer in classifier.modules()}
    kept = [name for name, layer in network.named_modules() if id(layer) not in fresh]
    for name in network.state_dict():
        if name.rpartition(".")[0] in kept:
            yield name


def load_trunk(network: nn.Module, saved: bytes) -> None:
    """Load weights and running averages of all but the classifier from a checkpoint.

    Raises:
        RaysweepError: not a checkpoint, or the checkpoint of another network; names the layer.
    """
    trained, own = checkpoint.weights(saved), network.state_dict()
    names = list(_trunk_names(network))
    for name in names:
        if name not in trained or _shape(trained[name]) != _shape(own[name]):
            theirs = _shape(trained[name]) if name in trained else "nothing"
            raise RaysweepError(
                f"the trained trunk does not fit: {name} has shape {_shape(own[name])} here and {theirs} there. Use "
                "the same network and image side for both, or a head that averages over the feature map."
            )
    network.load_state_dict(own | {name: trained[name] for name in names})


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def freeze(network: nn.Module) -> None:
    """Let only the classifiers learn from now on."""
    network.requires_grad_(False)
    for classifier in classifiers(network):
        classifier.requires_grad_(True)


def hold_norms(network: nn.Module) -> None:
    """Keep the running averages of a frozen trunk's normalisations; those of a classifier keep learning."""
    fresh = {id(layer) for classifier in classifiers(network) for layer in classifier.modules()}
    for layer in network.modules():
        if is_batch_norm(layer) and id(layer) not in fresh:
            layer.eval()
