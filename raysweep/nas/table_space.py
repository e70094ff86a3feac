"""The design choices of the paper as a search space, so that every method can search over `joint`.

An adapter: parameters, conditions and values are those of `raysweep.space`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from raysweep.identity import digest
from raysweep.nas.space import Decision, Generator, check_code
from raysweep.space import Choice, Parameter, Space, Value, find_space, label


@dataclass(frozen=True)
class Design:
    """A value for every active parameter, in the order of the space."""

    values: tuple[tuple[str, Value], ...]

    @property
    def assignment(self) -> dict[str, Value]:
        """The values as `raysweep.space` takes them."""
        return dict(self.values)

    def __str__(self) -> str:
        return ", ".join(f"{name} {label(value)}" for name, value in self.values)


@dataclass(frozen=True)
class DesignChoices:
    """A space of `raysweep.space`, as search methods see it.

    A mutation picks one of the active parameters uniformly and changes its value: to a different option, uniformly, or
    to a new draw from a range. Parameters that become active are drawn as in a sample. A code has a number for every
    parameter, 0 for an inactive one. For codes and neighbours a range is reduced to the points that its study tries.
    """

    space: Space

    @property
    def name(self) -> str:
        """The name of the space."""
        return self.space.name

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision for each parameter."""
        return tuple(Decision(p.name, tuple(map(label, p.domain.points))) for p in self.space.parameters)

    def sample(self, rng: Generator) -> Design:
        """A random design, drawn with the weights of the space."""
        return self._design(self.space.sample(_random(rng)))

    def mutate(self, architecture: Design, rng: Generator) -> Design:
        """The design with one parameter changed."""
        name, value = architecture.values[int(rng.integers(len(architecture.values)))]
        return self._with(architecture, name, _other(self.space.parameter(name), value, _random(rng)), _random(rng))

    def neighbours(self, architecture: Design) -> list[Design]:
        """All designs with one parameter changed; parameters that become active are at the baseline."""
        return [
            self._with(architecture, name, point)
            for name, value in architecture.values
            for point in self.space.parameter(name).domain.points
            if point != value
        ]

    def encode(self, architecture: Design) -> tuple[int, ...]:
        """The number of the nearest point, for every parameter."""
        values = architecture.assignment
        return tuple(_nearest(p, values[p.name]) if p.name in values else 0 for p in self.space.parameters)

    def decode(self, code: Sequence[int]) -> Design:
        """The design of a code.

        Raises:
            RaysweepError: an invalid code.
        """
        check_code(code, self.decisions)
        points = {p.name: p.domain.points[at] for p, at in zip(self.space.parameters, code, strict=True)}
        return self._design(self.space.walk(lambda parameter: points[parameter.name]))

    def key(self, architecture: Design) -> str:
        """Digest of the values."""
        return digest(architecture.assignment, size=8)

    def _with(self, design: Design, name: str, value: Value, random: Random | None = None) -> Design:
        values = design.assignment | {name: value}

        def pick(parameter: Parameter) -> Value:
            if parameter.name in values:
                return values[parameter.name]
            return parameter.domain.sample(random) if random else parameter.domain.baseline

        return self._design(self.space.walk(pick))

    def _design(self, assignment: Mapping[str, Value]) -> Design:
        return Design(tuple(assignment.items()))


def design_choices(name: str = "joint") -> DesignChoices:
    """A built-in space by name.

    Raises:
        RaysweepError: no such space.
    """
    return DesignChoices(find_space(name))


def _random(rng: Generator) -> Random:
    return Random(int(rng.integers(2**63)))


def _other(parameter: Parameter, value: Value, random: Random) -> Value:
    domain = parameter.domain
    if isinstance(domain, Choice):
        return random.choice([option for option in domain.points if option != value])
    return domain.sample(random)


def _nearest(parameter: Parameter, value: Value) -> int:
    points = parameter.domain.points
    if isinstance(value, str):
        return points.index(value)
    return min(range(len(points)), key=lambda at: abs(float(points[at]) - value))
