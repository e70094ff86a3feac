"""ENAS with shared weights on the images of RESULTS.md, and how its scores rank cells beside trainings of each alone.

    python packaging/shared_weights.py IMAGES STORE

What is found, and 20 cells drawn at random, are trained by themselves on the same images; the store gets the ranking.
Killed, the same command goes on: the shared weights from their last epoch, the search from its log.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from raysweep.architectures.standalone import StandAlone
from raysweep.data.check import bind_data
from raysweep.data.manifest import read_manifest
from raysweep.nas import cell_space, search
from raysweep.nas.ranking import compare
from raysweep.nas.weight_sharing import Enas
from raysweep.patch import patch
from raysweep.protocols import find_protocol
from raysweep.results.store import Store
from raysweep.train.shared_recipe import small
from raysweep.train.weight_sharing import SharedTraining

SHARED = {"data.holdout": 0.3, "training.epochs": 63.0, "training.batch_size": 32}
"""Three cycles of the learning rate, of 9, 18 and 36 epochs."""
ALONE = {
    "network.name": "enas_cells",
    "network.width": 8 / 36,
    "network.cell_repeats": 1,
    "network.norm": "batch_affine",
    "schedule.name": "cosine",
    "training.epochs": 4.0,
    "training.batch_size": 32,
}
"""Of a training by itself; a network of as many cells, and of the width, that share weights."""
SEED = 0


def main(images: Path, uri: str) -> None:
    """Search, then compare; prints what was found and the rank correlation."""
    space, store = cell_space("enas"), Store.open(uri, create=True)
    recipe = small(bind_data(find_protocol("cifar10"), read_manifest(images)))
    recipe = replace(recipe, training=patch(recipe.training, SHARED))
    work = Path(f"{uri}-shared")
    shared = SharedTraining(space, recipe, images, work)
    method = Enas(epochs=int(recipe.training.training.epochs), rewards=30)
    history = search(space, shared, method=method, budget=method.evaluations, seed=SEED, log=work / "search.log")
    print(f"best with shared weights, {history.best.value:.3f}: {history.best.architecture}", flush=True)
    alone = StandAlone(patch(recipe.training, ALONE), str(images), uri)
    ranking = compare(space, shared, alone, seed=SEED, pairs=21, architectures=[history.best.architecture])
    store.write_ranking("enas-cifar10", ranking.to_table(**shared.columns))
    print(f"Kendall's tau {ranking.kendall_tau:.3f} over {ranking.num_pairs} cells")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
