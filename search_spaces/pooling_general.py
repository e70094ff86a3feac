"""Does learned pooling help?

Paper: Lee, Gallagher & Tu 2016 (arXiv 1509.08985), as run in the repository of Mishkin et al.
Published finding: not in this network: tree 46.4 and gated 47.1 against 47.0 with the maximum.
Cost: 10 trials per seed of 64 epochs; those at 227 px cost about four times as much.

Masks are shared over channels: one per layer for the gate, three for the tree. The `tree` rows have the tree at the
first pooling and the gate at the others, `tree_l1` the tree at all; that those with 4096 units are like the one with
2048 is not documented, nor are the initial masks (here near the average, gates near a half). The run of the
method's authors has "longer steps": here one and a half times the length. The number of `tree_128_fc2048` was taken at
227,000 updates.
"""

from __future__ import annotations

from raysweep.search_spaces._shared import FC4096_LRN_224, FC4096_LRN_224_NOTE, fc_widths, pool, published, sides
from raysweep.study import Study, Times, Variant

_TREE = pool("gated") | {"network.first_pooling": "tree"}
_AT_227 = sides(227, 256) | fc_widths(4096)

STUDY = Study(
    name="pooling_general",
    question="Does learned pooling help?",
    paper="Lee et al. 2016; Mishkin et al. 2017, repository",
    finding="Not at 128 px; slightly at 227 px.",
    baseline="max_128_fc2048",
    variants=(
        Variant("max_128_fc2048", pool("max"), "maximum"),
        Variant("gated_128_fc2048", pool("gated"), "maximum and mean mixed by a learned gate"),
        Variant("tree_128_fc2048", _TREE, "tree: two learned averages mixed by a learned gate; then gated"),
        Variant("tree_l1_128_fc2048", pool("tree"), "tree at every pooling"),
        Variant("max_128_fc4096", fc_widths(4096), "maximum, hidden layers of 4096"),
        Variant("tree_128_fc4096", _TREE | fc_widths(4096), "tree, hidden layers of 4096"),
        *published("max_227_fc4096", _AT_227, FC4096_LRN_224, "maximum at 227 px, fc 4096", FC4096_LRN_224_NOTE),
        Variant("tree_227_fc4096", _TREE | _AT_227, "tree at 227 px, hidden layers of 4096"),
        Variant(
            "tree_227_fc4096_authors",
            _TREE | _AT_227 | {"training.epochs": Times(1.5)},
            "tree at 227 px, longer steps, as the method's authors ran it",
        ),
    ),
)
