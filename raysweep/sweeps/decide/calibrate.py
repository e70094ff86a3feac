"""Calibrate the baseline: its learning rate, and the dropout of a narrow head, on held-out images.

A rate that is wrong for the network and the length of training decides a comparison more than most variants do. The
runs have a seed that no race uses, so that the baseline is not compared by the run that it was chosen for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
Scores = Mapping[float, float | None]


def calibrate(lab: Lab) -> Step[None]:
    """Choose the rate and the dropout that classify most held-out images right, and set them in the lab's request."""
    if lab.logged(STEP) or lab.num_results:
        return  # what was chosen is part of the settings that the logs have
    given, patches = lab.request.settings, [variant.patch for variant in lab.study.variants]
    if RATE not in given:
        _choose(lab, RATE, (yield from _rates(lab)))
    if DROPOUT not in given and not any(DROPOUT in changes for changes in patches) and has_narrow_head(lab.baseline()):
        own = lab.baseline().recipe.network.dropout
        _choose(lab, DROPOUT, (yield from _scores(lab, DROPOUT, sorted({*DROPOUTS, own}))))


def _rates(lab: Lab) -> Step[Scores]:
    """The scores of the grid of rates, and of further ones while an end is best."""
    own = lab.baseline().recipe.solver.lr
    scores = yield from _scores(lab, RATE, [own * factor for factor in FACTORS])
    for _ in range(FURTHER):
        best = _best(scores)
        if best is None or min(scores) < best < max(scores):
            break
        further = best * 2 if best == max(scores) else best / 2
        scores = yield from _scores(lab, RATE, sorted([*scores, further]))
    return scores


def _best(scores: Scores) -> float | None:
    """The value with the highest score; None if none trained."""
    trained = {value: score for value, score in scores.items() if score is not None}
    return max(trained, key=lambda value: trained[value], default=None)


def _choose(lab: Lab, path: str, scores: Scores) -> None:
    """Set the best value in the lab's request, and record it."""
    found = ", ".join(f"{brief(value)}: {_points(score)}" for value, score in scores.items())
    best = _best(scores)
    if best is None:
        lab.log(STEP, f"no {path} trains the baseline, its own value stays ({found})", {"settings": {}})
        return
    lab.request = lab.request.with_settings({path: best})
    text = f"{path} {brief(best)} is best on held-out images ({found})"
    lab.log(STEP, text, {"settings": {path: best}})


def _scores(lab: Lab, path: str, values: Sequence[float]) -> Step[Scores]:
    """The top-1 of the baseline with each value, points; None for one with which it did not train. One run each."""
    baseline, field = lab.baseline(), path.rpartition(".")[2]
    entries = {}
    for value in values:
        recipe = lab.baseline(lab.request.with_settings({path: value})).recipe
        entries[value] = lab.variant("calibration", f"{field}_{brief(value)}", recipe, baseline)
    batch = Batch(lab, each(entries.values(), [FRESH_SEED]))
    yield batch
    found = {value: batch.summary(entry) for value, entry in entries.items()}
    return {value: runs.mean if runs else None for value, runs in found.items()}


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
