"""Published cells by the names of their networks."""

from __future__ import annotations

from raysweep.genotypes.cells import (
    AMOEBANET_A,
    AMOEBANET_DARTS,
    DARTS_V1,
    DARTS_V2,
    ENAS_MICRO,
    NASNET_A,
    NASNET_DARTS,
)

GENOTYPES = {
    "nasnet_a": NASNET_A,
    "nasnet_darts": NASNET_DARTS,
    "amoebanet_a": AMOEBANET_A,
    "amoebanet_darts": AMOEBANET_DARTS,
    "enas_micro": ENAS_MICRO,
    "darts_v1": DARTS_V1,
    "darts_v2": DARTS_V2,
}
