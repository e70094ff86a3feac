from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raysweep.errors import RaysweepError
from raysweep.write.sources.generated import CLASSES, GeneratedSource


def test_images_depend_on_their_number_and_the_seed_alone() -> None:
    first, again, other = (GeneratedSource(50, 20, side=36, seed=seed) for seed in (0, 0, 1))
    for split in ("train", "test"):
        np.testing.assert_array_equal(first.splits[split].labels, again.splits[split].labels)
        np.testing.assert_array_equal(first.splits[split].picture(7), again.splits[split].picture(7))
        assert not np.array_equal(first.splits[split].picture(7), other.splits[split].picture(7))
    assert not np.array_equal(first.splits["train"].picture(7), first.splits["test"].picture(7))


def test_classes_are_balanced() -> None:
    labels = GeneratedSource(1003, 20).splits["train"].labels
    assert set(np.bincount(labels, minlength=len(CLASSES)).tolist()) == {100, 101}


@pytest.mark.parametrize("arguments", [(9, 10), (10, 0), (10, 10, 8)])
def test_sets_that_make_no_sense_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(RaysweepError):
        GeneratedSource(*arguments)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take minutes for these small networks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def accuracy(network: nn.Module, data: dict[str, tuple[Tensor, Tensor]], epochs: int) -> float:
    solver = torch.optim.Adam(network.parameters(), 2e-3)
    images, labels = data["train"]
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(32):
            solver.zero_grad()
            F.cross_entropy(network(images[rows]), labels[rows]).backward()
            solver.step()
    images, labels = data["test"]
    return float((network(images).argmax(1) == labels).float().mean())


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_small_network_learns_what_a_linear_classifier_cannot() -> None:
    torch.manual_seed(0)
    source, data = GeneratedSource(1500, 300, side=32), {}
    for split, samples in source.splits.items():
        images = torch.from_numpy(np.stack([samples.picture(index) for index in range(len(samples))]))
        data[split] = (images.permute(0, 3, 1, 2).float() - 120) / 60, torch.from_numpy(samples.labels)
    linear = accuracy(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)), data, 4)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(32 * 16, 10)]
    small = accuracy(nn.Sequential(*layers), data, 6)
    assert linear < 0.25
    assert small > 0.5
