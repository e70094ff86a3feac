"""In front of the network: dropout of the image and the recipe's input net."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from raysweep.nn.input_nets import INPUT_NETS
from raysweep.recipe import NetworkRecipe


class Fronted(nn.Module):
    """A network with layers between the image and its first layer."""

    def __init__(self, front: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.front = front
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """image (N, C, H, W) -> what the network gives for the output of the layers in front."""
        result: Tensor = self.network(self.front(image))
        return result


def in_front(recipe: NetworkRecipe, channels: int) -> tuple[Callable[[nn.Module], nn.Module], int, list[str]]:
    """What puts the recipe's layers in front of a network, the channels of their output, and what was added."""
    layers: list[nn.Module] = []
    said: list[str] = []
    if recipe.input_dropout:
        layers.append(nn.Dropout(recipe.input_dropout))
        said.append(f"input: dropout of {recipe.input_dropout:g} in front")
    if recipe.input_net != "none":
        net = INPUT_NETS[recipe.input_net](channels)
        layers.append(net.layer)
        said.append(f"input: {recipe.input_net} in front, {channels} -> {net.channels} channels")
        channels = net.channels
    return (lambda network: Fronted(nn.Sequential(*layers), network) if layers else network), channels, said
