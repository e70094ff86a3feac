"""Around the network: dropout of the image and the recipe's input net in front, several outputs as one behind."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from raysweep.nn.input_nets import INPUT_NETS
from raysweep.nn.surgery.operation import Replaced
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


class Stacked(nn.Module):
    """A network whose several outputs in training, the logits first, become one tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """image (N, C, H, W) -> logits (N, outputs); in training (1 + heads, N, outputs)."""
        result = self.network(image)
        return torch.stack(list(result)) if self.training and isinstance(result, tuple) else result


def inner(network: nn.Module) -> nn.Module:
    """The network without what surgery put around it."""
    while isinstance(network, Fronted | Stacked):
        network = network.network
    return network


def in_front(recipe: NetworkRecipe, channels: int) -> tuple[Callable[[nn.Module], nn.Module], int, list[Replaced]]:
    """What puts the recipe's layers in front of a network, the channels of their output, and what was added."""
    layers: list[nn.Module] = []
    said: list[Replaced] = []
    if recipe.input_dropout:
        layers.append(nn.Dropout(recipe.input_dropout))
        said.append(Replaced(1, 1, f"image behind dropout of {recipe.input_dropout:g}"))
    if recipe.input_net != "none":
        net = INPUT_NETS[recipe.input_net](channels)
        layers.append(net.layer)
        words = f"image behind input net {recipe.input_net}, {channels} -> {net.channels} channels"
        said.append(Replaced(1, 1, words))
        channels = net.channels
    return (lambda network: Fronted(nn.Sequential(*layers), network) if layers else network), channels, said
