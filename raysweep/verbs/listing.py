"""`raysweep list`: everything a recipe or a command can name, with one sentence and its paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from raysweep.errors import RaysweepError, unknown
from raysweep.patch import recipe_fields, type_name
from raysweep.protocols import PROTOCOLS
from raysweep.registry import Registry
from raysweep.space import Space, find_space
from raysweep.study import Study, find_studies, find_study, space_names
from raysweep.tables import table
from raysweep.verbs.options import json_option, print_json
from raysweep.verbs.planning import brief

Row = dict[str, str]


def _registry(registry: Registry[Any]) -> list[Row]:
    return [{"name": entry.name, "summary": entry.summary, "paper": entry.paper} for entry in registry]


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
    return [{"name": v.name, "summary": v.sentence, "paper": study.paper} for v in study.variants]


def _fields(of: str | None) -> Iterable[Row]:
    return [
        {
            "name": info.path,
            "summary": f"{info.doc} ({type_name(info)}, default {brief(info.default) or 'empty'})",
            "paper": "",
        }
        for info in recipe_fields().values()
    ]


def _protocols(of: str | None) -> Iterable[Row]:
    return _registry(PROTOCOLS)


def _preprocessings(of: str | None) -> Iterable[Row]:
    from raysweep.data.preprocess import PREPROCESSINGS

    return _registry(PREPROCESSINGS)


def _activations(of: str | None) -> Iterable[Row]:
    from raysweep.nn.activations import ACTIVATIONS

    return _registry(ACTIVATIONS)


def _norms(of: str | None) -> Iterable[Row]:
    from raysweep.nn.norms import NORMS

    return _registry(NORMS)


def _poolings(of: str | None) -> Iterable[Row]:
    from raysweep.nn.pooling import POOLINGS

    return _registry(POOLINGS)


def _heads(of: str | None) -> Iterable[Row]:
    from raysweep.nn.heads import HEADS

    return _registry(HEADS)


def _input_nets(of: str | None) -> Iterable[Row]:
    from raysweep.nn.input_nets import INPUT_NETS

    return _registry(INPUT_NETS)


def _networks(of: str | None) -> Iterable[Row]:
    from raysweep.networks import networks

    return _registry(networks())


def _inits(of: str | None) -> Iterable[Row]:
    from raysweep.nn.inits import INITS

    return _registry(INITS)


def _solvers(of: str | None) -> Iterable[Row]:
    from raysweep.optim.solvers import SOLVERS

    return _registry(SOLVERS)


def _schedules(of: str | None) -> Iterable[Row]:
    from raysweep.optim.schedules import SCHEDULES

    return _registry(SCHEDULES)


KINDS: dict[str, Callable[[str | None], Iterable[Row]]] = {
    "studies": _studies,
    "variants": _variants,
    "protocols": _protocols,
    "fields": _fields,
    "preprocessings": _preprocessings,
    "networks": _networks,
    "activations": _activations,
    "norms": _norms,
    "poolings": _poolings,
    "heads": _heads,
    "input_nets": _input_nets,
    "inits": _inits,
    "solvers": _solvers,
    "schedules": _schedules,
}


@click.command(name="list")
@click.argument("kind", metavar="|".join(KINDS))
@click.argument("of", required=False, metavar="[STUDY]")
@json_option
def list_things(kind: str, of: str | None, as_json: bool) -> None:
    """List what can be named, one sentence and paper each.

    \b
    raysweep list studies
    raysweep list variants activation
    raysweep list fields
    """
    if kind not in KINDS:
        raise unknown("kind of thing to list", kind, KINDS)
    rows = list(KINDS[kind](of))
    if as_json:
        print_json(rows)
    else:
        click.echo(
            table(("name", "what it is", "paper"), ((row["name"], row["summary"], row["paper"]) for row in rows))
        )
