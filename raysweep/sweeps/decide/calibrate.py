"""Calibrate the baseline: its learning rate, and the dropout of a narrow head, on held-out images.

A rate that is wrong for the network and the length of training decides a comparison more than most variants do. The
runs have a seed that no race uses, so that the baseline is not compared by the run that it was chosen for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from raysweep.request import Request
from raysweep.sweeps.decide.lab import FRESH_SEED, RATE, Batch, Lab, Step, each
from raysweep.sweeps.decide.trials import Entry
from raysweep.units import brief

STEP = "calibrate"
DROPOUT = "network.dropout"
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
FURTHER = 2
"""Most steps by a factor of two beyond the grid, while its end is best."""
NARROW = 1024
"""A head with fewer inputs of its last layer is starved by the dropout of a wider one: 0.5 on 512 cost a quarter-width
network 3 points (65.6 v 62.3 % after 2,500 updates)."""
DROPOUTS = (0.0, 0.2)


def calibrate(lab: Lab) -> Step[None]:
    """Choose the rate and the dropout that classify most held-out images right, and set them in the lab's request."""
    if lab.logged(STEP) or lab.num_results:
        return  # what was chosen is part of the settings that the logs have
    given, patches = lab.request.settings, [variant.patch for variant in lab.study.variants]
    if RATE not in given:
        yield from _best_rate(lab)
    if DROPOUT not in given and not any(DROPOUT in changes for changes in patches) and has_narrow_head(lab.baseline()):
        own = lab.baseline().recipe.network.dropout
        yield from _choose(lab, DROPOUT, sorted({*DROPOUTS, own}))


def _best_rate(lab: Lab) -> Step[None]:
    """Go beyond the grid while its end is best."""
    tried = [lab.baseline().recipe.solver.lr * factor for factor in FACTORS]
    for _ in range(FURTHER):
        scores = yield from _scores(lab, RATE, tried)
        best = max(scores, key=lambda rate: scores[rate], default=None)
        if best is None or min(tried) < best < max(tried):
            break
        tried = sorted([*tried, best * 2 if best == max(tried) else best / 2])
    yield from _choose(lab, RATE, tried)


def _choose(lab: Lab, path: str, values: Sequence[float]) -> Step[None]:
    scores = yield from _scores(lab, path, values)
    found = ", ".join(f"{brief(value)}: {_points(scores.get(value))}" for value in values)
    if not scores:
        lab.log(STEP, f"no {path} trains the baseline, its own value stays ({found})", {"settings": {}})
        return
    best = max(scores, key=lambda value: scores[value])
    lab.request = _with(lab, path, best)
    text = f"{path} {brief(best)} is best on held-out images ({found})"
    lab.log(STEP, text, {"settings": {path: best}})


def _scores(lab: Lab, path: str, values: Sequence[float]) -> Step[dict[float, float]]:
    """Value of a field -> top-1 of the baseline with it, points, if it trained. One run each."""
    entries = {value: _candidate(lab, path, value) for value in values}
    batch = Batch(lab, each(entries.values(), [FRESH_SEED]))
    yield batch
    found = {value: batch.summary(entry) for value, entry in entries.items()}
    return {value: runs.mean for value, runs in found.items() if runs}


def _candidate(lab: Lab, path: str, value: float) -> Entry:
    """The baseline with a value, as a variant of the study `calibration`."""
    recipe = lab.baseline(_with(lab, path, value)).recipe
    return lab.entry("calibration", f"{path.rpartition('.')[2]}_{brief(value)}", recipe, lab.baseline().recipe)


def _with(lab: Lab, path: str, value: float) -> Request:
    return replace(lab.request, settings=dict(lab.request.settings) | {path: value})


def _points(score: float | None) -> str:
    return "did not train" if score is None else f"{score:.1f} %"


def has_narrow_head(entry: Entry) -> bool:
    """Whether the last layer has dropout before it and few inputs."""
    if not entry.recipe.network.dropout:
        return False
    import torch

    from raysweep.networks import build_network

    with torch.device("meta"):
        network = build_network(entry.recipe.network, entry.recipe.data.shape)
    *_, last = [None, *(layer for layer in network.modules() if isinstance(layer, torch.nn.Linear))]
    return last is not None and last.in_features < NARROW
