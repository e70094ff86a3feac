"""`raysweep list`: everything a recipe or a command can name, with one sentence and its paper."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import click

from raysweep.analysis.our_networks import our_network
from raysweep.cost import find_cost, native_recipe
from raysweep.errors import RaysweepError, unknown
from raysweep.networks import networks
from raysweep.networks.outside import EXAMPLES, NAMES
from raysweep.patch import recipe_fields, type_name
from raysweep.registry import Registry
from raysweep.space import Space, find_space
from raysweep.study import Study, find_studies, find_study, space_names
from raysweep.terminal.notes import say
from raysweep.terminal.tables import table
from raysweep.units import brief
from raysweep.verbs.options import json_option, print_json

Row = dict[str, str]


def _studies(of: str | None) -> Iterable[Row]:
    named: list[Study | Space] = [*find_studies(["all"]), *map(find_space, space_names())]
    return [{"name": s.name, "summary": f"{s.question} {s.finding}", "paper": s.paper} for s in named]


def _variants(of: str | None) -> Iterable[Row]:
    if of is None:
        raise RaysweepError("name the study: raysweep list variants activation.")
    if of in space_names():
        space = find_space(of)
        return [{"name": p.name, "summary": p.words(), "paper": space.paper} for p in space.parameters]
    study = find_study(of)
    return [
        {"name": v.name, "summary": v.sentence, "paper": study.paper, "our network": our_network(study, v.name)}
        for v in study.variants
    ]


def _fields(of: str | None) -> Iterable[Row]:
    return [
        {
            "name": info.path,
            "summary": f"{info.doc} ({type_name(info)}, default {brief(info.default) or 'empty'})",
            "paper": "",
        }
        for info in recipe_fields().values()
    ]


def _networks(of: str | None) -> Iterable[Row]:
    if of is not None:
        yield from _networks_of(of)
        return
    for entry in networks():
        recipe = native_recipe(entry.name)
        cost = find_cost(recipe)
        size = f"{cost.params / 1e6:.4g} M parameters, {cost.macs / 1e6:,.0f} M MACs at {recipe.data.side} px"
        yield {"name": entry.name, "summary": f"{entry.summary}; {size}", "paper": entry.paper}
    for source in NAMES:
        words = f"a network of {source}, e.g. {EXAMPLES[source]}; `raysweep list networks {source}` lists them"
        yield {"name": f"{source}:NAME", "summary": words, "paper": ""}


def _networks_of(source: str) -> Iterable[Row]:
    """The networks of a package, by the names that `--network` takes."""
    if source not in NAMES:
        raise unknown("source of networks", source, NAMES)
    return [{"name": f"{source}:{name}", "summary": f"{source}'s {name}", "paper": ""} for name in NAMES[source]()]


def _registered(place: str) -> Callable[[str | None], Iterable[Row]]:
    """The rows of the registry at MODULE:NAME, or of what the function there returns; loaded when called."""

    def rows(of: str | None) -> Iterable[Row]:
        module, _, name = place.partition(":")
        found = getattr(importlib.import_module(module), name)
        registry: Registry[Any] = found if isinstance(found, Registry) else found()
        return [{"name": entry.name, "summary": entry.summary, "paper": entry.paper} for entry in registry]

    return rows


KINDS: dict[str, Callable[[str | None], Iterable[Row]]] = {
    "studies": _studies,
    "variants": _variants,
    "protocols": _registered("raysweep.protocols:PROTOCOLS"),
    "fields": _fields,
    "preprocessings": _registered("raysweep.data.preprocess:PREPROCESSINGS"),
    "networks": _networks,
    "activations": _registered("raysweep.nn.activations:ACTIVATIONS"),
    "norms": _registered("raysweep.nn.norms:NORMS"),
    "poolings": _registered("raysweep.nn.pooling:POOLINGS"),
    "heads": _registered("raysweep.nn.heads:HEADS"),
    "input_nets": _registered("raysweep.nn.input_nets:INPUT_NETS"),
    "inits": _registered("raysweep.nn.inits:INITS"),
    "solvers": _registered("raysweep.optim.solvers:SOLVERS"),
    "schedules": _registered("raysweep.optim.schedules:SCHEDULES"),
    "methods": _registered("raysweep.nas.method:methods"),
    "nas_spaces": _registered("raysweep.nas_trials.trial_spaces:SPACES"),
}


@click.command(name="list")
@click.argument("kind", metavar="|".join(KINDS))
@click.argument("of", required=False, metavar="[STUDY|SOURCE]")
@json_option
def list_things(kind: str, of: str | None, as_json: bool) -> None:
    """List studies, networks, recipe fields and other names.

    Prints one row for each, with a sentence and its paper; for variants also whether our network is the one of the
    published number.

    \b
    raysweep list studies
    raysweep list variants activation
    raysweep list networks timm
    raysweep list fields
    """
    if kind not in KINDS:
        raise unknown("kind of thing to list", kind, KINDS)
    rows = list(KINDS[kind](of))
    if as_json:
        print_json(rows)
    else:
        more = [name for name in ("our network",) if any(name in row for row in rows)]
        columns = ("name", "summary", "paper", *more)
        say(table(("name", "what it is", "paper", *more), ([row[name] for name in columns] for row in rows)))
