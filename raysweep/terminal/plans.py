"""A plan as text: per study the settings that its trials share once, then what each trial changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raysweep.pace import Pace
from raysweep.planning import PlannedTrial, changes, planned_studies
from raysweep.recipe import Recipe
from raysweep.terminal.tables import table, wrapped
from raysweep.units import brief, rough_duration, short

WIDTH = 100
"""Characters of a line."""
INDENT = "    "
INLINE = 28
"""Longest reason that stands in the table; longer ones follow it as notes."""


class Planned(Protocol):
    """A row of a plan."""

    @property
    def action(self) -> str:
        """What `run` does with the trial."""

    @property
    def reason(self) -> str:
        """Why."""


@dataclass(frozen=True)
class Column:
    """A column that moves into the heading if all its values are equal."""

    header: str
    heading: str
    """The heading's words around the value."""
    value: Callable[[PlannedTrial], str]


COLUMNS = (
    Column("seed", "seed {}", lambda planned: str(planned.recipe.seed)),
    Column("params", "{} parameters", lambda planned: short(planned.cost.params)),
    Column("MACs", "{} MACs", lambda planned: short(planned.cost.macs)),
    Column("GPU time", "{} of GPU time", lambda planned: _time(3600 * planned.estimated_gpu_h)),
    Column("action", "{}", lambda planned: action_text(planned)),
)


def columns(pace: Pace | None) -> tuple[Column, ...]:
    """The columns: with a measured pace, the time that each trial takes here instead of on an assumed GPU."""
    if pace is None:
        return COLUMNS
    here = Column("time here", "{} each here", lambda planned: _time(pace.left_s(planned)))
    return tuple(here if column.header == "GPU time" else column for column in COLUMNS)


def _time(seconds: float) -> str:
    return rough_duration(seconds) if seconds else "-"


def plan_text(plan: Sequence[PlannedTrial], protocol: Recipe, pace: Pace | None = None) -> str:
    """The trials of a plan, study by study, in lines of `WIDTH` characters."""
    return "\n\n".join(
        _study_text(plan, study, protocol, columns(pace)) for study in planned_studies(plan) if _of(plan, study)
    )


def _of(plan: Sequence[PlannedTrial], study: str) -> list[PlannedTrial]:
    """The trials that are listed with a study: those that no earlier study of the plan has."""
    return [planned for planned in plan if planned.members[0].study == study]


def _study_text(plan: Sequence[PlannedTrial], study: str, protocol: Recipe, shown: Sequence[Column]) -> str:
    trials, baseline = _of(plan, study), baseline_of(plan, study)
    varying = [column for column in shown if len({column.value(planned) for planned in trials}) > 1]
    same = [column.heading.format(column.value(trials[0])) for column in shown if column not in varying]
    heading = f"{study}: baseline {trials[0].members[0].baseline}, {baseline.training.epochs:.4g} epochs"
    settings = settings_text(changes(baseline, protocol))
    rows = (
        (
            planned.trial,
            planned.members[0].variant,
            *(column.value(planned) for column in varying),
            settings_text(changes(planned.recipe, baseline), nothing="-"),
        )
        for planned in trials
    )
    lines = [*paragraph("; every trial: ".join([heading, ", ".join(same)]) if same else heading)]
    lines += [*paragraph(f"settings: {settings}"), table(_header(varying), rows, WIDTH)]
    for names, reason in reasons(trials).items():
        lines += _note(names, reason)
    return "\n".join(lines)


def _note(names: str, reason: str) -> Iterator[str]:
    """The variants that a reason holds for, and the reason; a command has a line of its own, to be pasted."""
    words, colon, command = reason.partition(": raysweep ")
    yield from paragraph(f"{names}: {words}{colon[:1]}")
    if colon:
        yield f"{INDENT}raysweep {command}"


def _header(varying: Sequence[Column]) -> tuple[str, ...]:
    return ("trial", "variant", *(column.header for column in varying), "changes")


def baseline_of(plan: Sequence[PlannedTrial], study: str) -> Recipe:
    """The recipe that the variants of a study are compared with."""
    return next(
        planned.recipe
        for planned in plan
        for member in planned.members
        if member.study == study and member.variant == member.baseline
    )


def settings_text(settings: Mapping[str, Any], nothing: str = "the protocol's own") -> str:
    """Fields and values as `--set` takes them, in one line."""
    return " ".join(f"{path}={brief(value)}" for path, value in settings.items()) or nothing


def action_text(planned: Planned) -> str:
    """The action, with its reason if that is short; that of a trial which has not started is plain."""
    if planned.action == "run" or len(planned.reason) > INLINE:
        return planned.action
    return f"{planned.action}: {planned.reason}"


def reasons(trials: Sequence[PlannedTrial]) -> dict[str, str]:
    """The reasons that are too long for the table, each with the variants that it holds for."""
    found: dict[str, dict[str, None]] = {}
    for planned in trials:
        if len(planned.reason) > INLINE:
            found.setdefault(planned.reason, {})[f"{planned.action} {planned.members[0].variant}"] = None
    return {", ".join(names): reason for reason, names in found.items()}


def paragraph(text: str) -> Iterator[str]:
    """The lines of a paragraph, the later ones indented."""
    first, *more = wrapped(text, WIDTH - len(INDENT))
    yield first
    yield from (INDENT + line for line in more)
