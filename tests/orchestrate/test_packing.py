from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.errors import RaysweepError
from raysweep.orchestrate.packing import Layout, bounded, waiting_text
from raysweep.train.worker import GangShape

LAPTOP = {"CPU": 2.0}
GPU_NODE = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "shape", "at_once", "trials", "gangs"),
    [
        ([LAPTOP], GangShape(), None, 10, 2),
        ([LAPTOP], GangShape(), None, 1, 1),
        ([LAPTOP], GangShape(), 1, 10, 1),
        ([LAPTOP], GangShape(), 9, 10, 2),
        ([LAPTOP], GangShape(workers=2), None, 10, 1),
        ([LAPTOP, LAPTOP], GangShape(workers=3), None, 10, 1),
        ([GPU_NODE], GangShape(gpus=1.0), None, 10, 4),
        ([GPU_NODE, LAPTOP], GangShape(cpus=4, gpus=0.5), None, 10, 4),
        ([GPU_NODE], GangShape(gpus=1 / 3), None, 99, 12),
        ([{"CPU": 3.0}, {"CPU": 3.0}], GangShape(cpus=2), None, 10, 2),
        ([{"CPU": 8.0, "memory": 10.0 * 2**30}], GangShape(memory_gib=3.0), None, 10, 3),
    ],
)
def test_gangs_that_fit(
    nodes: list[dict[str, float]], shape: GangShape, at_once: int | None, trials: int, gangs: int
) -> None:
    assert Layout(shape, nodes, (), at_once, trials).gangs == gangs


def test_too_many_gpus_are_refused_with_what_is_there() -> None:
    with pytest.raises(RaysweepError, match=r"2 GPUs and 1 CPUs.* has 0 GPUs and 2 CPUs.*--gpus 0"):
        Layout(GangShape(gpus=2.0), [LAPTOP], (), None, 10).check()


def test_too_many_cpus_are_refused_though_the_nodes_together_have_them() -> None:
    with pytest.raises(RaysweepError, match=r"3 CPUs.* 4 CPUs on 2 node"):
        Layout(GangShape(cpus=3), [LAPTOP, LAPTOP], (), None, 10).check()


def test_no_trials_at_once_are_refused() -> None:
    with pytest.raises(RaysweepError, match="--workers is 0"):
        Layout(GangShape(), [LAPTOP], (), 0, 10).check()


@pytest.mark.parametrize(
    ("nodes", "shape", "gangs", "meet"),
    [
        ([LAPTOP], GangShape(), 2, True),
        ([LAPTOP], GangShape(), 1, False),
        ([{"CPU": 1.0}, {"CPU": 1.0}], GangShape(), 2, False),
        ([{"CPU": 1.0}, GPU_NODE], GangShape(gpus=1.0), 4, True),
        ([GPU_NODE], GangShape(workers=4, gpus=1.0), 2, False),
        ([GPU_NODE], GangShape(workers=2, gpus=1.0), 2, True),
    ],
)
def test_gangs_that_may_meet_on_a_node(nodes: list[dict[str, float]], shape: GangShape, gangs: int, meet: bool) -> None:
    assert Layout(shape, nodes, (), None, gangs).meet is meet


def test_the_note_on_waiting_trials() -> None:
    shape = GangShape(gpus=1.0)
    text = waiting_text(shape, 2, [GPU_NODE, GPU_NODE], {"CPU": 24.0, "GPU": 0.0}, 2)
    for words in ("2 trials", "1 CPU and 1 GPU each", "8 of 32 CPUs, 8 of 8 GPUs", "2 node(s)"):
        assert words in text
    text = waiting_text(GangShape(workers=2), 1, [LAPTOP], {}, 0)
    for words in ("1 trial is", "2 workers with 1 CPU each", "2 of 2 CPUs", "will not add"):
        assert words in text


def test_trials_at_once_are_bounded_by_the_memory_of_the_drivers_node() -> None:
    said: list[str] = []
    layout = Layout(GangShape(), [{"CPU": 64.0}] * 4, (), None, 1000)
    assert bounded(layout, 8 * 2**30, said.append).gangs == 12
    (text,) = said
    for number in ("12 ", "256 ", "0.5 GiB", "8.0 GiB"):
        assert number in text
    assert bounded(layout, 1000, said.append).gangs == 1
    del said[:]
    assert bounded(layout, 2**40, said.append).gangs == 256
    assert bounded(layout, 0, said.append) == layout
    chosen = replace(layout, at_once=100)
    assert bounded(chosen, 8 * 2**30, said.append) == chosen
    assert not said
