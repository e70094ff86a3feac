"""The sentences that say where the numbers of a figure come from."""

from __future__ import annotations

from raysweep.analysis.load import Line


def caption(line: Line) -> str:
    """Study, protocol, images, epochs, device and number of seeds of a line."""
    epochs = line.baseline_recipe.training.epochs
    raced = (
        " Gains of raysweep decide: intervals over every look, not adjusted for other contrasts." if line.asked else ""
    )
    return f"Study {line.study}, {_images(line)}, {epochs:g} epochs, {_device(line)}. {_seeds(line)}{raced}"


def _images(line: Line) -> str:
    return f"protocol {line.protocol} on {', '.join(line.present('data_name')) or 'no images yet'}"


def _device(line: Line) -> str:
    return ", ".join(line.present("device")) or "no device yet"


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
    return f"Searches of {study}, {_images(line)}, {_device(line)}." if line else f"Searches of {study}."
