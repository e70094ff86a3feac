from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import InapplicableError, RaysweepError
from raysweep.nn.norms import CaffeBatchNorm
from raysweep.nn.surgery import operate, own_values
from raysweep.recipe import NetworkRecipe
from tests.nn.surgery.outside_networks import SMALL, assert_nothing_changes


class Functional(nn.Module):
    """A network whose layers are called in code: one shared layer, functions, a gate, a branch that depends on data."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.gate = nn.Linear(8, 8)
        self.fc = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.act(self.norm1(self.conv1(x))), 3, stride=2, padding=1)
        x = F.avg_pool2d(self.act(self.norm2(self.conv2(x))), kernel_size=3, stride=1, padding=1)
        x = torch.relu(x).mean((2, 3))
        return self.fc(F.relu(x) * torch.sigmoid(self.gate(x)))


class Untraceable(Functional):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return self.fc(x.new_zeros(len(x), 8))
        return self.fc(F.relu(self.norm2(self.conv2(self.norm1(self.conv1(x))))).mean((2, 3)))


class Branching(Functional):
    """A branch that tracing takes the wrong way."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x))
        x = F.relu(x) if isinstance(x, Tensor) else F.relu(x) * 2
        return self.fc(self.norm2(self.conv2(x)).mean((2, 3)))


SHAPE = (3, 16, 16)


def recipe_of(network: nn.Module, **factors: object) -> tuple[NetworkRecipe, dict[str, object]]:
    own = own_values(network, SHAPE)
    return NetworkRecipe(**{"name": "mine:net", "outputs": 10, **own, **factors}), own  # type: ignore[arg-type]


def changed(kind: type[nn.Module] = Functional, **factors: object) -> tuple[nn.Module, nn.Module, list[str]]:
    """A network, the same one with these factors, and what was replaced."""
    torch.manual_seed(0)
    original = kind()
    recipe, own = recipe_of(original, **factors)
    torch.manual_seed(0)
    network, done = operate(lambda channels: kind(), recipe, own, SHAPE)
    return original.eval(), network.eval(), [str(each) for each in done]


def answer(network: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3)))
    return result


def by_hand(network: nn.Module, act: nn.Module, pool: nn.Module) -> Tensor:
    """What `Functional` computes, with another non-linearity and pooling."""
    n = network
    with torch.no_grad():
        x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
        x = pool(act(n.norm1(n.conv1(x))))
        x = act(F.avg_pool2d(act(n.norm2(n.conv2(x))), 3, 1, 1)).mean((2, 3))
        result: Tensor = n.fc(act(x) * torch.sigmoid(n.gate(x)))
    return result


@pytest.mark.parametrize("name", SMALL)
def test_its_own_values_change_nothing(name: str) -> None:
    assert_nothing_changes(name, 64)


def test_the_own_values_are_found() -> None:
    own = own_values(Functional(), SHAPE)
    assert own == {
        "head": "own",
        "stem_kernel": 3,
        "stem_stride": 1,
        "pool_pad": 1,
        "norm": "batch_affine",
        "norm_position": "before",
        "dropout": 0.0,
        "conv_bias": False,
    }


@pytest.mark.parametrize(("name", "layer"), [("elu", nn.ELU()), ("prelu", nn.PReLU(init=0.3)), ("tanh", nn.Tanh())])
def test_functions_and_a_shared_layer_become_another_non_linearity(name: str, layer: nn.Module) -> None:
    original, network, done = changed(activation=name)
    assert done == [f"4 of 4 ReLU, relu -> {name}"]
    torch.testing.assert_close(answer(network), by_hand(original, layer, nn.MaxPool2d(3, 2, 1)))


def test_calls_of_a_shared_layer_get_weights_of_their_own() -> None:
    _, network, _ = changed(activation="prelu")
    slopes = [layer.weight for layer in network.modules() if isinstance(layer, nn.PReLU)]
    assert [len(slope) for slope in slopes] == [4, 8, 8, 8]
    assert "act" in dict(network.named_children())
    assert network.training is False
    assert type(network).__name__ == "Functional"


def test_only_the_pooling_that_shrinks_the_map_is_replaced() -> None:
    original, network, done = changed(pooling="average")
    assert done == ["1 of 1 max_pool2d -> average"]
    torch.testing.assert_close(answer(network), by_hand(original, nn.ReLU(), nn.AvgPool2d(3, 2, 1)))


def test_several_factors_in_the_code_of_one_module() -> None:
    original, network, done = changed(pooling="average", activation="elu")
    assert len(done) == 2
    torch.testing.assert_close(answer(network), by_hand(original, nn.ELU(), nn.AvgPool2d(3, 2, 1)))


def test_norms_are_replaced_in_place_or_moved_behind_the_non_linearities() -> None:
    _, before, done = changed(norm="batch")
    assert done == ["2 of 2 BatchNorm2d -> batch"]
    assert [type(before.norm1), type(before.norm2)] == [CaffeBatchNorm] * 2
    _, after, done = changed(norm="batch_affine", norm_position="after")
    assert done == ["2 of 2 BatchNorm2d -> none", "4 of 4 non-linearities followed by batch_affine"]
    assert [len(layer.running_mean) for layer in after.modules() if isinstance(layer, CaffeBatchNorm)] == [4, 8, 8, 8]
    assert isinstance(after.norm1, nn.Identity)
    assert answer(after).isfinite().all()


def test_biases_dropout_and_first_layer() -> None:
    _, network, done = changed(conv_bias=True, dropout=0.3, stem_kernel=5, stem_stride=2)
    assert done == [
        "1 of 1 first layer (3 channels, 3x3, stride 1) -> (3 channels, 5x5, stride 2)",
        "1 of 1 classifier behind dropout of 0.3",
        "2 of 4 layers given biases",
    ]
    assert network.conv1.padding == (2, 2)
    assert isinstance(network.fc[0], nn.Dropout)
    _, network, done = changed(bias=False)
    assert done == ["2 of 4 layers left without biases"]
    assert network.fc.bias is None


def test_another_number_of_outputs_and_of_channels() -> None:
    recipe, own = recipe_of(Functional(), outputs=7, input_net="grayscale")
    network, done = operate(lambda channels: Functional(), recipe, own, SHAPE, fits_outputs=True)
    assert [str(each) for each in done] == [
        "1 of 1 image behind input net grayscale, 3 -> 1 channels",
        "1 of 1 first layer (3 channels, 3x3, stride 1) -> (1 channels, 3x3, stride 1)",
        "1 of 1 classifier of 10 outputs -> 7",
    ]
    assert answer(network).shape == (2, 7)


@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ({"activation": "maxout"}, "maxout"),
        ({"pooling": "strided_conv"}, "strided_conv"),
        ({"lrn": True}, "network.lrn"),
        ({"head": "fc"}, "network.head"),
        ({"widths": (4, 8)}, "network.widths"),
    ],
)
def test_a_factor_that_finds_nothing_to_act_on_is_refused(factors: dict[str, object], word: str) -> None:
    with pytest.raises(InapplicableError, match=word):
        changed(**factors)


def test_code_that_does_not_trace_is_named() -> None:
    with pytest.raises(InapplicableError, match=r"mine:net.*relu"):
        changed(Untraceable, activation="elu")


def test_code_that_traces_to_another_function_is_refused() -> None:
    with pytest.raises(RaysweepError, match="Branching") as error:
        changed(Branching, activation="elu")
    assert not isinstance(error.value, InapplicableError)


def test_an_unknown_non_linearity_is_refused() -> None:
    with pytest.raises(RaysweepError, match="eluu"):
        changed(activation="eluu")
