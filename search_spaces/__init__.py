"""The studies: one file per question of the paper, its variants as named patches of a baseline recipe."""
