"""Should large filters be several small ones of equal cost?

Paper: the deck of Mishkin et al. on small filters, after He & Sun 2015 (arXiv 1412.1710).
Published finding: yes: 3x3 twice for 5x5 gains 2.4 points, 2x2 twice for 3x3 gains 1.7, both together 2.9 (224 px).
Cost: 5 trials a seed of 64 epochs.

Models A, B, C and D of He & Sun, and A with eight filters of 3x1 and 1x3 in turn for its three of 3x3, which costs the
same; the others are within 4 per cent of A.
"""

from __future__ import annotations

from raysweep.study import Study, Variant
from search_spaces._shared import net

STUDY = Study(
    name="small_filters",
    question="Should large filters be several small ones of equal cost?",
    paper="He & Sun 2015",
    finding="Yes, down to 2x2.",
    baseline="f5x5_f3x3",
    variants=(
        Variant("f5x5_f3x3", net("he_sun_a"), "one 5x5, then three 3x3"),
        Variant("f3x3_twice", net("he_sun_c"), "two 3x3 for the 5x5"),
        Variant("f2x2_twice", net("he_sun_b"), "six 2x2 for the three 3x3"),
        Variant("f3x3_twice_f2x2_twice", net("he_sun_d"), "two 3x3 for the 5x5 and six 2x2 for the three 3x3"),
        Variant("f3x1_f1x3", net("he_sun_a_3x1"), "eight of 3x1 and 1x3 in turn for the three 3x3"),
    ),
)
