"""The sentences that say where the numbers of a figure come from."""

from __future__ import annotations

from analysis.load import Line


def caption(line: Line) -> str:
    """Study, protocol, images, epochs, device and number of seeds of a line."""
    recipe = line.baseline_recipe
    data = ", ".join(line.present("data_name")) or "no images yet"
    device = ", ".join(line.present("device")) or "no device yet"
    where = f"Study {line.study}, protocol {line.protocol} on {data}, {recipe.training.epochs:g} epochs, {device}."
    return f"{where} {_seeds(line)}"


def _seeds(line: Line) -> str:
    if line.is_architecture_search:
        return f"{line.trials['trial'].nunique()} trials, each trained once."
    counts = line.finished.groupby("variant")["seed"].nunique()
    if not len(counts):
        return "No trial has finished."
    if counts.max() == 1:
        return "n = 1 seed: no intervals and no claims."
    n = f"n = {counts.min()}" if counts.nunique() == 1 else f"n = {counts.min()} to {counts.max()}"
    return f"{n} seeds."


def search_caption(study: str, line: Line | None) -> str:
    """Study, protocol, images and device of searches; only the study if no line of it is known."""
    if line is None:
        return f"Searches of {study}."
    data, device = ", ".join(line.present("data_name")), ", ".join(line.present("device"))
    return f"Searches of {study}, protocol {line.protocol} on {data or 'no images yet'}, {device or 'no device yet'}."
