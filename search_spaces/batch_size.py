"""Which batch size, and should the learning rate scale with it?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228), section on batch size and learning rate.
Published finding: with a rate proportional to the batch, sizes of 32 to 512 do equally well (47.0 to 47.5); at a
constant rate a batch of 1024 loses five points.
Cost: 12 trials per seed of 64 epochs; a batch of 1 means 82 million updates.

The number of images seen is constant, so the number of updates depends on the batch. Momentum and weight decay are
unchanged. Batches are relative to the protocol's (256 in the paper). Without batch normalisation, `--set
training.accumulate=N` computes the same updates in N parts if memory is short; the results record it.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import batch
from raysweep.study import Study, Variant

STUDY = Study(
    name="batch_size",
    question="Which batch size, and should the learning rate scale with it?",
    paper="Mishkin et al. 2017, batch size and learning rate",
    finding="It should; sizes up to 512 then differ little.",
    baseline="bs256_lr0_01",
    variants=(
        Variant("bs1024_lr0_04", batch(1024, 4), "4 times the batch, 4 times the rate"),
        Variant("bs1024_lr0_01", batch(1024), "4 times the batch, the same rate"),
        Variant("bs512_lr0_02", batch(512, 2), "twice the batch, twice the rate"),
        Variant("bs512_lr0_01", batch(512), "twice the batch, the same rate"),
        Variant("bs256_lr0_01", {}, "the baseline's batch and rate"),
        Variant("bs128_lr0_01", batch(128), "half the batch, the same rate"),
        Variant("bs128_lr0_005", batch(128, 1 / 2), "half the batch, half the rate"),
        Variant("bs64_lr0_01", batch(64), "a quarter of the batch, the same rate"),
        Variant("bs64_lr0_0025", batch(64, 1 / 4), "a quarter of the batch, a quarter of the rate"),
        Variant("bs32_lr0_01", batch(32), "an eighth of the batch, the same rate"),
        Variant("bs32_lr0_00125", batch(32, 1 / 8), "an eighth of the batch, an eighth of the rate"),
        Variant("bs1_lr0_000039", batch(1, 1 / 256), "a 256th of the batch (at least 1), a 256th of the rate"),
    ),
)
