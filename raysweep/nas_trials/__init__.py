"""Architecture search by real training: what `raysweep.nas` proposes becomes trials of a store."""
