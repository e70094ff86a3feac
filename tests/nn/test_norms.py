from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from raysweep.nn.norms import NORMS, CaffeBatchNorm
from raysweep.optim.solvers import is_bias
from raysweep.train import checkpoint


class ByHand:
    """batch_norm_layer.cpp, Forward_cpu, with its three blobs."""

    def __init__(self, channels: int) -> None:
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.var = torch.zeros(channels, dtype=torch.float64)
        self.factor = 0.0

    def train(self, x: Tensor) -> Tensor:
        values = x.double().transpose(0, 1).flatten(1)
        m = values.shape[1]
        mean = values.mean(1)
        var = (values - mean[:, None]).square().mean(1)
        self.factor = 0.95 * self.factor + 1
        self.mean = 0.95 * self.mean + mean
        self.var = 0.95 * self.var + (m / (m - 1) if m > 1 else 1) * var
        return self._apply(x, mean, var)

    def test(self, x: Tensor) -> Tensor:
        return self._apply(x, self.mean / self.factor, self.var / self.factor)

    def _apply(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        shape = (-1, *[1] * (x.dim() - 2))
        return ((x.double() - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()).float()


@pytest.mark.parametrize("shape", [(8, 5, 4, 3), (8, 5)])
def test_training_and_test_are_caffes(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm, by_hand = CaffeBatchNorm(5), ByHand(5)
    for step in range(30):
        x = torch.randn(shape) * (1 + step) + step
        torch.testing.assert_close(norm.train()(x), by_hand.train(x), rtol=1e-4, atol=1e-5)
    x = torch.randn(shape)
    torch.testing.assert_close(norm.eval()(x), by_hand.test(x), rtol=1e-4, atol=1e-5)


def test_a_batch_is_normalised_as_by_torch() -> None:
    x = torch.randn(16, 3, 5, 5) * 4 + 7
    torch.testing.assert_close(CaffeBatchNorm(3)(x), nn.BatchNorm2d(3, affine=False)(x))


def test_the_learned_forms_begin_as_in_the_published_files() -> None:
    affine = dict(NORMS["batch_affine"](4).named_parameters())
    assert affine["weight"].tolist() == [1.0] * 4
    assert affine["bias"].tolist() == pytest.approx([1e-4] * 4)
    scale = dict(NORMS["batch_scale"](4).named_parameters())
    assert scale["1.weight"].tolist() == pytest.approx([1.0000001] * 4)
    assert scale["1.shift"].tolist() == [0.0] * 4
    assert not list(NORMS["batch"](4).parameters())


def test_the_early_shift_learns_as_a_bias_and_the_later_one_as_a_weight() -> None:
    names = [name for make in ("batch_affine", "batch_scale") for name, _ in NORMS[make](4).named_parameters()]
    assert [name for name in names if is_bias(name)] == ["bias"]


@pytest.mark.parametrize("name", ["batch_affine", "batch_scale"])
def test_the_learned_forms_scale_and_shift_what_the_plain_one_gives(name: str) -> None:
    x = torch.randn(6, 4, 3, 3)
    norm = NORMS[name](4)
    for parameter, value in zip(norm.parameters(), (2.0, 0.5), strict=True):
        parameter.data.fill_(value)
    torch.testing.assert_close(norm(x), 2 * NORMS["batch"](4)(x) + 0.5)


def test_the_running_average_continues_from_a_checkpoint() -> None:
    device = torch.device("cpu")

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        net = NORMS["batch_affine"](4)
        return net, torch.optim.SGD(net.parameters(), 0.1)

    first, solver = fresh()
    for _ in range(3):
        first(torch.randn(8, 4) + 3)
    saved = checkpoint.save(first, solver, {"epoch": 1}, device)
    second, other = fresh()
    checkpoint.load(saved, second, other, device)
    x = torch.randn(8, 4)
    for net in (first, second):
        net(x)
        net.eval()
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("name", ["batch_current", "batch_affine_current"])
def test_the_published_googlenets_normalise_by_the_batch_of_test(name: str) -> None:
    current, running = NORMS[name](3), NORMS[name.removesuffix("_current")](3)
    x = torch.randn(16, 3, 5, 5) * 4 + 7
    torch.testing.assert_close(current.train()(x), running.train()(x))
    kept = {key: value.clone() for key, value in current.state_dict().items() if "running" in key}
    y = torch.randn(16, 3, 5, 5) * 2 - 3
    torch.testing.assert_close(current.eval()(y), running.train()(y))
    assert all(torch.equal(current.state_dict()[key], value) for key, value in kept.items())


@pytest.mark.parametrize("name", [entry.name for entry in NORMS])
def test_a_test_batch_of_one_image_is_normalised(name: str) -> None:
    norm, running = NORMS[name](3), NORMS[name.removesuffix("_current")](3)
    for _ in range(5):
        x = torch.randn(16, 3) * 4 + 7
        torch.testing.assert_close(norm.train()(x), running.train()(x))
    one = torch.randn(1, 3) * 4 + 7
    torch.testing.assert_close(norm.eval()(one), running.eval()(one), msg="a single value has no variance of its own")
    picture = torch.randn(1, 3, 5, 5)
    expected = running.train(name.endswith("_current"))(picture)
    torch.testing.assert_close(norm.eval()(picture), expected, msg="the values of one map have one")
