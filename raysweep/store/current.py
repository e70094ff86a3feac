"""Which trial counts if a store has several of one variant and seed under the same settings.

A store has several if a variant was edited, or the images of a variant were written again, between two sweeps: the
settings are still those of the baseline, but the recipe and with it the id of the trial are others. Both trials stay in
the store. Results use the one that the study gives now, and name the others. Trials of another network than that of
the one that counts are left out at every seed, so that no mean is over two networks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.patch import diff, flatten, set_fields
from raysweep.planning import changes
from raysweep.protocols import find_protocol
from raysweep.recipe import Recipe
from raysweep.study import find_study

Row = Mapping[str, Any]
LINE = ("study", "protocol", "line")
REPEAT = (*LINE, "variant", "seed")
"""Columns that only one trial should have in common."""
TRUNK = "init.trunk_trial"
"""A field that is set when the trained network is found."""


def settle(rows: Sequence[Row], updated: Mapping[str, Any], note: Callable[[str], None]) -> list[tuple[int, str]]:
    """The members that count, by place in `rows`, each with the name of its variant.

    Points of a search are all kept: drivers that ran at the same time may have given one name to two of them, of which
    the second gets its trial id as a suffix.

    Args:
        rows: Members, with at least the columns of a repeat, `trial`, `baseline`, `recipe`, `assignment` and `search`.
        updated: Trial id -> time of its last change, for those that have started.
        note: Receives a sentence for each variant of which trials are left out.
    """
    others = _of_other_networks(rows, updated, note)
    repeats: dict[tuple[Any, ...], dict[str, int]] = {}
    for place, row in enumerate(rows):
        if row["trial"] in others:
            continue
        repeats.setdefault(tuple(row[name] for name in REPEAT), {}).setdefault(row["trial"], place)
    if all(len(places) == 1 for places in repeats.values()):
        return [(place, rows[place]["variant"]) for places in repeats.values() for place in places.values()]
    left: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    kept: list[tuple[int, str]] = []
    for key, places in repeats.items():
        variant, first = key[-2], next(iter(places))
        if _is_point(rows[places[first]]):
            kept += [(place, f"{variant}-{trial}" if trial != first else variant) for trial, place in places.items()]
            continue
        chosen = _choose([rows[place] for place in places.values()], rows, updated)
        kept.append((places[chosen], variant))
        if len(places) > 1:
            left.setdefault(key[:-1], {})[chosen] = [trial for trial in places if trial != chosen]
    for text in _sentences(left):
        note(text)
    return kept


def _of_other_networks(rows: Sequence[Row], updated: Mapping[str, Any], note: Callable[[str], None]) -> set[str]:
    """The trials whose variant has others of the network that counts; says which these are."""
    variants: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for row in rows:
        if not _is_point(row):
            key = (*(row[name] for name in LINE), row["variant"])
            variants.setdefault(key, {}).setdefault(_network(row["recipe"]), []).append(row)
    found: set[str] = set()
    for (study, protocol, line, variant), networks in variants.items():
        if len(networks) > 1:
            counting = _choose(list(chain.from_iterable(networks.values())), rows, updated)
            trials = {key: dict.fromkeys(str(row["trial"]) for row in of) for key, of in networks.items()}
            left = [name for names in trials.values() if counting not in names for name in names]
            found.update(left)
            note(
                f"{study}/{variant} ({protocol}, line {line}) was another network before. Results use the network of "
                f"{counting} and leave out {', '.join(left)}: see `raysweep show TRIAL`."
            )
    return found


def _network(recipe: str) -> str:
    """The fields of the network in a recipe's JSON; a recipe that cannot be read has a network of its own."""
    try:
        changed = json.loads(recipe)["changes"]
        return str({path: value for path, value in changed.items() if path.startswith("network.")})
    except (ValueError, KeyError, TypeError, AttributeError):
        return recipe


def _is_point(row: Row) -> bool:
    """Whether a member is a point of a search space or a proposal of an architecture search."""
    return isinstance(row["assignment"], str) or isinstance(row["search"], str)


def _choose(repeats: Sequence[Row], rows: Sequence[Row], updated: Mapping[str, Any]) -> str:
    """The trial that the study gives now, or the one that changed last if none is or several are."""
    one, *others = repeats
    if not others:
        return str(one["trial"])
    same_line = (row for row in rows if all(row[name] == one[name] for name in LINE))
    baseline = next((row["recipe"] for row in same_line if row["variant"] == row["baseline"]), None)
    current = [row for row in repeats if baseline is not None and _is_given(row, recipe_from_json(baseline))]
    trials = [str(row["trial"]) for row in current or repeats]
    return max(trials, key=lambda trial: (trial in updated, updated.get(trial), trial))


def _is_given(row: Row, baseline: Recipe) -> bool:
    """Whether a study, as it is now, gives a trial of this recipe; images and trained networks aside."""
    try:
        study, protocol = find_study(row["study"]), find_protocol(row["protocol"])
        # What the baseline itself changes is taken back: variants are patches of the settings.
        own = diff(study.variant(study.baseline).apply(protocol), protocol)
        settings = set_fields(baseline, {path: value for path, value in flatten(protocol).items() if path in own})
        differing = changes(recipe_from_json(row["recipe"]), study.variant(row["variant"]).apply(settings))
    except RaysweepError:
        return False
    return not differing.keys() - {TRUNK}


def _sentences(left: Mapping[tuple[Any, ...], Mapping[str, Sequence[str]]]) -> Iterator[str]:
    for (study, protocol, line, variant), repeats in left.items():
        kept, others = ", ".join(repeats), ", ".join(chain.from_iterable(repeats.values()))
        yield (
            f"{study}/{variant} ({protocol}, line {line}) or its images changed between two sweeps. Results "
            f"use {kept} and leave out {others}: see `raysweep show TRIAL`."
        )
