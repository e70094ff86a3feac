"""Search spaces: the values that hyper-parameters may take together, and the conditions under which each is active.

A value is the name of an option, which is a patch of the baseline, or a factor on the baseline's own number, so one
space fits every protocol. An assignment gives a value to every active parameter; the baseline is one of them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from raysweep.errors import unknown
from raysweep.patch import Patch, Times, field_info
from raysweep.study import space_names

Value = str | float
Assignment = Mapping[str, Value]
"""Parameter -> name of its option, or factor on the baseline."""
Condition = Mapping[str, tuple[str, ...]]
"""Earlier parameter -> some of its options; met if every parameter is active and has one of these options."""
BASELINE = "baseline"
POINTS = 5
"""Points of a range, unless another number is asked for."""
DIGITS = 4
"""Significant digits of a factor: no search resolves more, and names of values stay short."""


@dataclass(frozen=True)
class Like:
    """A patch value that scales a field by the factor that the space applies to the field at `path`."""

    path: str


@dataclass(frozen=True)
class Choice:
    """One of several named patches; the first is the baseline and changes nothing."""

    options: Mapping[str, Patch]
    weights: Mapping[str, float] = field(default_factory=dict)
    """Relative probability of an option in random samples; 1 for the options that are not listed."""

    @property
    def baseline(self) -> str:
        """The option that changes nothing."""
        return self.points[0]

    @property
    def points(self) -> tuple[str, ...]:
        """Every option."""
        return tuple(self.options)

    def grid(self, num_points: int) -> tuple[str, ...]:
        """Every option, whatever the number of points of a range."""
        return self.points

    def sample(self, rng: Random) -> str:
        """A random option, drawn by weight."""
        return rng.choices(self.points, [self.weights.get(name, 1.0) for name in self.points])[0]

    def contains(self, value: Value) -> bool:
        """Whether the value is one of the options."""
        return value in self.options

    def words(self) -> str:
        """The options in a sentence."""
        return ", ".join(self.options)


@dataclass(frozen=True)
class Uniform:
    """A factor on the baseline's number, uniform between two bounds; 1 lies between them."""

    low: float
    high: float
    log = False
    baseline = 1.0
    """The factor that changes nothing."""

    @property
    def points(self) -> tuple[float, ...]:
        """Evenly spaced factors from the lowest to the highest, and the baseline."""
        return tuple(sorted({*self.grid(POINTS), self.baseline}))

    def grid(self, num_points: int) -> tuple[float, ...]:
        """`num_points` evenly spaced factors, at least 2; both bounds are among them."""
        return tuple(self._at(step / (num_points - 1)) for step in range(num_points))

    def sample(self, rng: Random) -> float:
        """A random factor."""
        return self._at(rng.random())

    def contains(self, value: Value) -> bool:
        """Whether the factor lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def words(self) -> str:
        """The range in a sentence."""
        return f"{self.low:g} to {self.high:g} times the baseline{', log scale' if self.log else ''}"

    def _at(self, share: float) -> float:
        return rounded(self.low + share * (self.high - self.low))


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A factor on the baseline's number, uniform in its logarithm."""

    log = True

    def _at(self, share: float) -> float:
        return rounded(self.low * (self.high / self.low) ** share)


Domain = Choice | Uniform


def rounded(factor: float) -> float:
    """A factor rounded to the digits that are kept."""
    return float(f"{factor:.{DIGITS}g}")


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter, named by the path of its field, or by a word if its options change several fields."""

    name: str
    domain: Domain
    summary: str
    when: Condition = field(default_factory=dict)
    """The parameter is active only if this condition is met."""
    unless: Condition = field(default_factory=dict)
    """The parameter is inactive if this condition is met; an empty condition never is."""

    def patch(self, value: Value) -> Patch:
        """The changes that a value makes to the baseline."""
        return self.domain.options[str(value)] if isinstance(self.domain, Choice) else {self.name: Times(float(value))}

    def is_active(self, assignment: Assignment) -> bool:
        """Whether it has a value, given the values of the earlier parameters."""
        return _is_met(self.when, assignment) and not (self.unless and _is_met(self.unless, assignment))

    def words(self) -> str:
        """Its meaning, values and conditions in a sentence."""
        when = f"; only if {_words(self.when)}" if self.when else ""
        unless = f"; not if {_words(self.unless)}" if self.unless else ""
        return f"{self.summary}: {self.domain.words()}{when}{unless}"


def _is_met(condition: Condition, assignment: Assignment) -> bool:
    return all(assignment.get(name) in options for name, options in condition.items())


def _words(condition: Condition) -> str:
    return " and ".join(f"{name} is {' or '.join(options)}" for name, options in condition.items())


@dataclass(frozen=True)
class Space:
    """All parameters of one question, each after those it depends on."""

    name: str
    question: str
    paper: str
    finding: str
    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        seen: dict[str, Domain] = {}
        for parameter in self.parameters:
            _check(parameter, seen)
            seen[parameter.name] = parameter.domain

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name.

        Raises:
            RaysweepError: no such parameter; the message lists the nearest ones.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        if name not in known:
            see = f"raysweep list variants {self.name}" if self.name in space_names() else ""
            raise unknown(f"parameter of {self.name}", name, known, see)
        return known[name]

    def walk(self, pick: Callable[[Parameter], Value]) -> dict[str, Value]:
        """The assignment that results from picking a value for each active parameter, in order."""
        assignment: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.is_active(assignment):
                assignment[parameter.name] = pick(parameter)
        return assignment

    def baseline(self) -> dict[str, Value]:
        """The assignment that changes nothing."""
        return self.walk(lambda parameter: parameter.domain.baseline)

    def sample(self, rng: Random) -> dict[str, Value]:
        """A random assignment.

        Each parameter draws from its own stream, so a new parameter does not change the values of the others.
        """
        stem = rng.getrandbits(64)
        return self.walk(lambda parameter: parameter.domain.sample(Random(f"{stem}/{parameter.name}")))

    def grid(self, over: Collection[str], num_points: int) -> Iterator[dict[str, Value]]:
        """The baseline, then every combination of values of these parameters; the later ones change faster.

        Args:
            over: Parameters to combine, all others stay at the baseline; empty: all.
            num_points: Points of a range.

        Raises:
            RaysweepError: no such parameter.
        """
        combined = {self.parameter(name).name for name in over} or {parameter.name for parameter in self.parameters}
        points: Iterator[dict[str, Value]] = iter([{}])
        for parameter in self.parameters:
            domain = parameter.domain
            values = domain.grid(num_points) if parameter.name in combined else (domain.baseline,)
            points = _extended(points, parameter, values)
        yield self.baseline()
        yield from points

    def contains(self, assignment: Assignment) -> bool:
        """Whether this is an assignment of this space; a stored one may belong to another version of it."""
        try:
            own = self.walk(lambda parameter: assignment[parameter.name])
        except KeyError:
            return False
        return own == assignment and all(self.parameter(name).domain.contains(value) for name, value in own.items())

    def patch(self, assignment: Assignment) -> Patch:
        """The changes that an assignment makes to the baseline; factors on the same field multiply.

        Raises:
            RaysweepError: no such parameter.
            ValueError: two active parameters set the same field.
        """
        parts = [self.parameter(name).patch(value) for name, value in assignment.items()]
        pairs = [pair for part in parts for pair in part.items()]
        merged: dict[str, Any] = {}
        for path, value in sorted(pairs, key=lambda pair: isinstance(pair[1], Like)):
            own = merged.get(value.path, Times(1.0)) if isinstance(value, Like) else value
            merged[path] = _product(path, merged[path], own) if path in merged else own
        return merged

    def changed(self, assignment: Assignment) -> dict[str, Value]:
        """The values that differ from the baseline's."""
        return {name: value for name, value in assignment.items() if value != self.parameter(name).domain.baseline}


def label(value: Value) -> str:
    """A value as results and reports show it."""
    return value if isinstance(value, str) else f"x{value:g}"


def _extended(
    points: Iterator[dict[str, Value]], parameter: Parameter, values: Sequence[Value]
) -> Iterator[dict[str, Value]]:
    """Every point with each value of a further parameter if that is active there, otherwise as it is."""
    for point in points:
        if parameter.is_active(point):
            yield from (point | {parameter.name: value} for value in values)
        else:
            yield point


def _product(path: str, one: Any, other: Any) -> Times:
    if isinstance(one, Times) and isinstance(other, Times):
        return Times(one.factor * other.factor)
    raise ValueError(f"two parameters set {path}, to {one!r} and to {other!r}")


def _check(parameter: Parameter, earlier: Mapping[str, Domain]) -> None:
    name, domain = parameter.name, parameter.domain
    if name in earlier:
        raise ValueError(f"parameter {name} is defined twice")
    if isinstance(domain, Choice):
        _check_choice(name, domain)
    elif not (field_info(name) and domain.low <= 1 <= domain.high and math.isfinite(domain.high)):
        raise ValueError(f"{name}: the baseline, 1, is not between {domain.low:g} and {domain.high:g}")
    for other, options in (*parameter.when.items(), *parameter.unless.items()):
        if other not in earlier or not all(earlier[other].contains(option) for option in options):
            raise ValueError(f"{name} depends on {other} being {options}, but no earlier parameter has these options")


def _check_choice(name: str, domain: Choice) -> None:
    if "." in name:
        field_info(name)
    if domain.options[domain.baseline]:
        raise ValueError(f"{name}: the first option, {domain.baseline}, is the baseline and must change nothing")
    for path in (path for patch in domain.options.values() for path in patch):
        field_info(path)
    if strange := domain.weights.keys() - domain.options.keys():
        raise ValueError(f"{name}: weights for unknown options: {', '.join(sorted(strange))}")


def find_space(name: str) -> Space:
    """The shipped search space of that name.

    Raises:
        RaysweepError: no such space.
    """
    if name not in space_names():
        raise unknown("search space", name, space_names(), "raysweep list studies")
    space: Space = importlib.import_module(f"raysweep.search_spaces.{name}").SPACE
    return space
