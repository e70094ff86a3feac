"""A sentence about the user's code that has changed since trials of a store were trained."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.identity import recipe_from_json
from raysweep.planning import PlannedTrial
from raysweep.recipe import Recipe


def changed_code(plan: Iterable[PlannedTrial], store: str | None) -> str:
    """Says which code has changed, and how many trials of the same studies had its earlier form; empty if none has."""
    current: dict[str, set[Recipe]] = {}
    for planned in plan:
        for member in planned.members:
            current.setdefault(member.study, set()).add(planned.recipe)
    if not store or not any(own_sources(recipe) for recipes in current.values() for recipe in recipes):
        return ""
    from raysweep.store.store import Store

    opened = Store.open_if_exists(store)
    rows = [row for row in opened.members().to_pylist() if row["study"] in current] if opened else []
    earlier: dict[str, set[str]] = {}
    for row in rows:
        now = {name: source for recipe in current[row["study"]] for name, source in own_sources(recipe).items()}
        for name, source in own_sources(recipe_from_json(row["recipe"])).items():
            if now.get(name, source) != source:
                earlier.setdefault(name, set()).add(row["trial"])
    return "; ".join(
        f"{name} has changed since {len(trials)} trial{'s' * (len(trials) > 1)} of this store: the new ones are others"
        for name, trials in earlier.items()
    )


def own_sources(recipe: Recipe) -> dict[str, str]:
    """What a recipe needs from outside the package -> its version or digest."""
    named = {recipe.network.name: recipe.network.source, "the study's file": recipe.own_code}
    return {name: source for name, source in named.items() if source}
