"""Architecture search by real training: proposals of `raysweep.nas` become trials in a store."""
