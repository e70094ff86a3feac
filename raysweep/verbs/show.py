"""`raysweep show`: the recipe, results and provenance behind a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from raysweep.errors import RaysweepError
from raysweep.identity import recipe_from_json
from raysweep.networks.outside import is_outside, operated
from raysweep.patch import diff, flatten
from raysweep.planning import changes
from raysweep.protocols import PROTOCOLS, find_protocol
from raysweep.recipe import Recipe
from raysweep.safe import printable
from raysweep.terminal.notes import say
from raysweep.terminal.plans import paragraph, settings_text
from raysweep.terminal.tables import table
from raysweep.units import brief
from raysweep.verbs.options import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from raysweep.store.store import Store


@click.command()
@click.argument("trial")
@store_option
@click.option("--all", "every", is_flag=True, help="Print every field of the recipe, not only the changes.")
@json_option
def show(trial: str, store: str, every: bool, as_json: bool) -> None:
    """Print the recipe, result and origin of TRIAL.

    TRIAL is the id of a trial or its first characters.

    \b
    raysweep show 0c38f6f9 --store results
    """
    opened = open_store(store)
    found = stored_trial(opened, trial)
    recipe = recipe_from_json(found["recipe"])
    found["recipe"], found["diff"] = flatten(recipe), diff(recipe, protocol_of(found))
    if as_json:
        print_json(found)
        return
    for line in _meaning(found, recipe, opened.members().to_pylist()):
        say(line)
    for line in _surgery(recipe, every):
        say(line)
    if every:
        fields = ((path, brief(value)) for path, value in found["recipe"].items())
        say("\n" + table(("field", "value"), fields))
    shown = ((key, value) for key, value in found.items() if key not in ("recipe", "diff", "studies", "trial"))
    say("\n" + table(("result and provenance", ""), shown))


MOST_PLACES = 4
"""Number of replaced layers that are named, unless all are asked for."""


def _surgery(recipe: Recipe, every: bool) -> Iterator[str]:
    """What was replaced in a network from outside, computed again from the recipe: how many, and where."""
    if not is_outside(recipe.network.name):
        return
    import torch

    try:
        with torch.device("meta"):
            _, done = operated(recipe.network, recipe.data.shape)
    except RaysweepError as error:
        yield f"\nsurgery on {printable(recipe.network.name)} cannot be repeated here: {printable(str(error))}"
        return
    yield f"\nsurgery on {printable(recipe.network.name)}: {'' if done else 'nothing is replaced'}"
    for replaced in done:
        shown = replaced.where if every else replaced.where[:MOST_PLACES]
        more = f" and {len(replaced.where) - len(shown)} more" if len(shown) < len(replaced.where) else ""
        yield from paragraph(printable(f"  {replaced}{': ' if shown else ''}{', '.join(shown)}{more}"))


def protocol_of(found: Mapping[str, Any]) -> Recipe:
    """The protocol of a trial; the defaults for one that is not shipped, as that of a trial in a notebook."""
    return find_protocol(found["protocol"]) if found["protocol"] in PROTOCOLS else Recipe()


def _meaning(found: Mapping[str, Any], recipe: Recipe, members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The studies of a trial: in each the settings that its trials share, and what this one changes."""
    yield f"trial {printable(found['trial'])}, seed {recipe.seed}, protocol {printable(found['protocol'] or 'none')}"
    for own in (member for member in members if member["trial"] == found["trial"]):
        baseline = baseline_of(own, members) or recipe
        yield ""
        yield printable(f"{own['study']}/{own['variant']}")
        yield from paragraph(f"  settings of the study: {settings_text(changes(baseline, protocol_of(found)))}")
        own_changes = settings_text(changes(recipe, baseline), nothing="nothing")
        yield from paragraph(f"  changes from its baseline, {own['baseline']}: {own_changes}")


def baseline_of(own: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> Recipe | None:
    """The recipe that a member is compared with, if the store has it."""
    for member in members:
        if member["variant"] == own["baseline"] and all(member[key] == own[key] for key in ("study", "line")):
            return recipe_from_json(member["recipe"])
    return None


def stored_trial(store: Store, prefix: str) -> dict[str, Any]:
    """All that a store knows of a trial: its row, or only its recipe if it has not started, and its studies.

    Raises:
        RaysweepError: no trial has an id that begins so, or several have.
    """
    from raysweep.store.claims import holders, present_status

    trial = store.find_trial(prefix)
    members = [row for row in store.members().to_pylist() if row["trial"] == trial]
    holder = holders(store.files, trial).get(trial)
    row = store.trial(trial) or {"trial": trial, "status": "waiting", **members[0]}
    row["status"] = present_status(row["status"], holder is not None)
    row |= {"running_on": str(holder)} if holder and row["status"] == "running" else {}
    studies = [{"study": member["study"], "variant": member["variant"]} for member in members]
    return {key: row[key] for key in row if key not in ("diff", "summary")} | {"studies": studies}
