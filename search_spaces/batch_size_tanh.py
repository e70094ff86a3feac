"""Which batch size and learning rate, with tanh?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: the same as with ReLU; smaller batches at a larger rate do not converge.
Cost: 10 trials per seed of 64 epochs.

The published file of bs256 describes another network (ReLU with LRN); its number is that of tanh in `activation`.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import act, batch
from raysweep.study import Study, Variant

_TANH = act("tanh")

STUDY = Study(
    name="batch_size_tanh",
    question="Which batch size and learning rate, with tanh?",
    paper="Mishkin et al. 2017, repository",
    finding="The rate should scale with the batch, or at least not grow as the batch shrinks.",
    baseline="bs256_lr0_01",
    variants=(
        Variant("bs256_lr0_01", _TANH, "the baseline's batch and rate"),
        Variant("bs128_lr0_02", _TANH | batch(128, 2), "half the batch, twice the rate"),
        Variant("bs128_lr0_01", _TANH | batch(128), "half the batch, the same rate"),
        Variant("bs128_lr0_005", _TANH | batch(128, 1 / 2), "half the batch, half the rate"),
        Variant("bs64_lr0_04", _TANH | batch(64, 4), "a quarter of the batch, 4 times the rate"),
        Variant("bs64_lr0_01", _TANH | batch(64), "a quarter of the batch, the same rate"),
        Variant("bs64_lr0_0025", _TANH | batch(64, 1 / 4), "a quarter of the batch, a quarter of the rate"),
        Variant("bs32_lr0_08", _TANH | batch(32, 8), "an eighth of the batch, 8 times the rate"),
        Variant("bs32_lr0_01", _TANH | batch(32), "an eighth of the batch, the same rate"),
        Variant("bs32_lr0_00125", _TANH | batch(32, 1 / 8), "an eighth of the batch, an eighth of the rate"),
    ),
)
