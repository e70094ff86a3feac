"""Searches with shared weights on the small images: three cells of four channels, two epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.nas_trials.nas_request import NasRequest
from raysweep.request import Request
from raysweep.store.store import Store
from raysweep.sweeps.resources import Resources
from raysweep.sweeps.supernet_sweep import PreparedSupernets, prepare_supernets

OPTIONS = {
    "epochs": "3",
    "rewards": "2",
    "sampled": "3",
    "rescored": "2",
    "preset": "small",
    "cells": "3",
    "width": "4",
}
SETTINGS = {"training.batch_size": 30, "training.epochs": 1.0, "data.side": 8, "network.cell_repeats": 1}
TIMES = ("cost_s", "clock_s")


def ask_supernets(images: Path, store: Path, *methods: str, seeds: int = 1, **options: str) -> NasRequest:
    request = Request((), "demo", SETTINGS, data=images, store=str(store))
    return NasRequest("enas", methods or ("enas",), None, request, seeds, OPTIONS | options)


def prepare(images: Path, store: Path, *methods: str, **more: Any) -> PreparedSupernets:
    return prepare_supernets(ask_supernets(images, store, *methods, **more), Resources(inline=True))


def found(store: Path) -> list[dict[str, Any]]:
    """The evaluations in a store, but for the times they took."""
    rows = Store.open(str(store)).evaluations().drop_columns(list(TIMES)).to_pylist()
    return sorted(rows, key=lambda row: (row["search"], row["place"]))
