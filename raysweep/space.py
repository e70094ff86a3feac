"""A search space: which values each hyper-parameter may take together with all the others, and when it is there at all.

A value is the name of an option, which is a patch of the baseline, or a factor on the baseline's own number; so one
space holds for any protocol. An assignment is a value for every parameter that is there; the baseline is one of them.
Standard library only: what Tune or Optuna need of a space is made where they are called.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from raysweep.errors import RaysweepError, unknown
from raysweep.patch import Patch, Times, field_info
from raysweep.study import Study, Variant, space_names

Value = str | float
Assignment = Mapping[str, Value]
"""Parameter -> name of its option, or factor on its baseline."""
Condition = Mapping[str, tuple[str, ...]]
"""Earlier parameter -> options of it; holds where every one of them is there with one of these options."""
BASELINE = "baseline"
POINTS = 5
"""Of a range, in a study of it alone; the baseline comes on top where it is not one of them."""
DIGITS = 4
"""Significant digits of a factor: no search resolves more, and names of values stay short."""


@dataclass(frozen=True)
class Like:
    """A patch value: as many times the baseline as the field at `path` is, for fields that are scaled together."""

    path: str


@dataclass(frozen=True)
class Choice:
    """One of several named patches; the first is the baseline and changes nothing."""

    options: Mapping[str, Patch]
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much more often than others an option is drawn at random; 1 where not named."""

    @property
    def baseline(self) -> str:
        """The option that changes nothing."""
        return next(iter(self.options))

    @property
    def points(self) -> tuple[str, ...]:
        """Every option."""
        return tuple(self.options)

    def grid(self, num_points: int) -> tuple[str, ...]:
        """Every option, however many points a range has."""
        return self.points

    def sample(self, rng: Random) -> str:
        """One option, by weight."""
        return rng.choices(self.points, [self.weights.get(name, 1.0) for name in self.points])[0]

    def holds(self, value: Value) -> bool:
        """Whether there is such an option."""
        return value in self.options

    def words(self) -> str:
        """The options in a sentence."""
        return ", ".join(self.options)


@dataclass(frozen=True)
class Uniform:
    """A factor on the baseline's number, as likely anywhere between two bounds that have 1 between them."""

    low: float
    high: float
    log = False

    @property
    def baseline(self) -> float:
        """The factor that changes nothing."""
        return 1.0

    @property
    def points(self) -> tuple[float, ...]:
        """Evenly spread factors from the lowest to the highest, and the baseline."""
        return tuple(sorted({*self.grid(POINTS), self.baseline}))

    def grid(self, num_points: int) -> tuple[float, ...]:
        """So many evenly spread factors, at least 2: the lowest and the highest are among them."""
        return tuple(self._at(step / (num_points - 1)) for step in range(num_points))

    def sample(self, rng: Random) -> float:
        """One factor."""
        return self._at(rng.random())

    def holds(self, value: Value) -> bool:
        """Whether the factor is in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def words(self) -> str:
        """The range in a sentence."""
        return f"{self.low:g} to {self.high:g} times the baseline{', log scale' if self.log else ''}"

    def _at(self, share: float) -> float:
        return rounded(self.low + share * (self.high - self.low))


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A factor on the baseline's number, as likely between 0.1 and 0.2 as between 1 and 2."""

    log = True

    def _at(self, share: float) -> float:
        return rounded(self.low * (self.high / self.low) ** share)


Domain = Choice | Uniform


def rounded(factor: float) -> float:
    """A factor with as many digits as are kept."""
    return float(f"{factor:.{DIGITS}g}")


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter, named by the path of its field, or by a word where its options change several fields."""

    name: str
    domain: Domain
    summary: str
    when: Condition = field(default_factory=dict)
    """It is there only where this holds."""
    unless: Condition = field(default_factory=dict)
    """It is not there where this holds; nothing named: never."""

    def patch(self, value: Value) -> Patch:
        """What a value changes."""
        return self.domain.options[str(value)] if isinstance(self.domain, Choice) else {self.name: Times(float(value))}

    def is_there(self, assignment: Assignment) -> bool:
        """Whether it has a value, given those of the earlier parameters."""
        return _holds(self.when, assignment) and not (self.unless and _holds(self.unless, assignment))

    def words(self) -> str:
        """What it is and may be, in a sentence."""
        there = f"; only where {_words(self.when)}" if self.when else ""
        absent = f"; not where {_words(self.unless)}" if self.unless else ""
        return f"{self.summary}: {self.domain.words()}{there}{absent}"


def _holds(condition: Condition, assignment: Assignment) -> bool:
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
            RaysweepError: no such parameter; the message holds the nearest ones.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        if name not in known:
            raise unknown(f"parameter of {self.name}", name, known, f"raysweep list variants {self.name}")
        return known[name]

    def walk(self, pick: Callable[[Parameter], Value]) -> dict[str, Value]:
        """The assignment that comes of picking a value for each parameter that is there, in order."""
        assignment: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.is_there(assignment):
                assignment[parameter.name] = pick(parameter)
        return assignment

    def baseline(self) -> dict[str, Value]:
        """The assignment that changes nothing."""
        return self.walk(lambda parameter: parameter.domain.baseline)

    def sample(self, rng: Random) -> dict[str, Value]:
        """A random assignment.

        Each parameter draws from a stream of its own, so that a new one leaves the values of the others as they were.
        """
        stem = rng.getrandbits(64)
        return self.walk(lambda parameter: parameter.domain.sample(Random(f"{stem}/{parameter.name}")))

    def grid(self, over: Collection[str], num_points: int) -> Iterator[dict[str, Value]]:
        """The baseline, then every combination of values of these parameters, the later ones changing faster.

        Ranges have so many points; parameters not named stay at the baseline, none named: all are combined.

        Raises:
            RaysweepError: no such parameter.
        """
        varied = {self.parameter(name).name for name in over} or {parameter.name for parameter in self.parameters}
        yield self.baseline()
        yield from self._combinations({}, self.parameters, varied, num_points)

    def _combinations(
        self, chosen: dict[str, Value], left: Sequence[Parameter], varied: Collection[str], num_points: int
    ) -> Iterator[dict[str, Value]]:
        if not left:
            yield chosen
            return
        parameter, rest = left[0], left[1:]
        values: Sequence[Value | None] = [None]  # where it is not there
        if parameter.is_there(chosen):
            domain = parameter.domain
            values = domain.grid(num_points) if parameter.name in varied else (domain.baseline,)
        for value in values:
            own = {} if value is None else {parameter.name: value}
            yield from self._combinations(chosen | own, rest, varied, num_points)

    def holds(self, assignment: Assignment) -> bool:
        """Whether this is an assignment of this space: a stored one may be of another version of it."""
        try:
            own = self.walk(lambda parameter: assignment[parameter.name])
        except KeyError:
            return False
        return own == assignment and all(self.parameter(name).domain.holds(value) for name, value in own.items())

    def patch(self, assignment: Assignment) -> Patch:
        """What the assignment changes in the baseline; factors on one field multiply.

        Raises:
            RaysweepError: no such parameter.
            ValueError: two parameters that are there together set the same field.
        """
        parts = [self.parameter(name).patch(value) for name, value in assignment.items()]
        pairs = [pair for part in parts for pair in part.items()]
        merged: dict[str, Any] = {}
        for path, value in sorted(pairs, key=lambda pair: isinstance(pair[1], Like)):
            own = merged.get(value.path, Times(1.0)) if isinstance(value, Like) else value
            merged[path] = _together(path, merged[path], own) if path in merged else own
        return merged

    def changed(self, assignment: Assignment) -> dict[str, Value]:
        """The values that are not the baseline's."""
        return {name: value for name, value in assignment.items() if value != self.parameter(name).domain.baseline}

    def line(self, name: str) -> Study:
        """The study of one parameter alone, all others at the baseline or, where it needs that, next to it.

        Raises:
            RaysweepError: no such parameter.
        """
        parameter = self.parameter(name)
        needed: dict[str, Value] = {}
        while missing := self._needed(parameter, needed):
            needed |= missing
        variants = [
            Variant(label(value), self.patch(self._at(needed | {name: value})), f"{name} {label(value)}")
            for value in parameter.domain.points
        ]
        baseline = label(parameter.domain.baseline)
        return Study(f"{self.name}.{name}", parameter.summary, self.paper, "", baseline, tuple(variants))

    def _at(self, values: Assignment) -> dict[str, Value]:
        return self.walk(lambda parameter: values.get(parameter.name, parameter.domain.baseline))

    def _needed(self, parameter: Parameter, have: Assignment) -> dict[str, Value]:
        """What else an earlier parameter must be for this one to be there; nothing once it is there."""
        now = self._at(have)
        if parameter.name in now:
            return {}
        for name, options in parameter.when.items():
            if name not in now:
                return self._needed(self.parameter(name), have)
            if now[name] not in options:
                return {name: options[0]}
        name, options = next(iter(parameter.unless.items()))
        return {name: next(point for point in self.parameter(name).domain.points if point not in options)}


def label(value: Value) -> str:
    """A value as results and studies name it."""
    return value if isinstance(value, str) else f"x{value:g}"


def _together(path: str, one: Any, other: Any) -> Times:
    if isinstance(one, Times) and isinstance(other, Times):
        return Times(one.factor * other.factor)
    raise ValueError(f"two parameters set {path}, to {one!r} and to {other!r}")


def _check(parameter: Parameter, earlier: Mapping[str, Domain]) -> None:
    name, domain = parameter.name, parameter.domain
    if name in earlier:
        raise ValueError(f"parameter {name} is there twice")
    if isinstance(domain, Choice):
        _check_choice(name, domain)
    elif not (field_info(name) and domain.low <= 1 <= domain.high and math.isfinite(domain.high)):
        raise ValueError(f"{name}: the baseline, 1, is not within {domain.low:g} to {domain.high:g}")
    for other, options in (*parameter.when.items(), *parameter.unless.items()):
        if other not in earlier or not all(earlier[other].holds(option) for option in options):
            raise ValueError(f"{name} depends on {other} being {options}, which no earlier parameter can be")


def _check_choice(name: str, domain: Choice) -> None:
    if "." in name:
        field_info(name)
    if domain.options[domain.baseline]:
        raise ValueError(f"{name}: the first option, {domain.baseline}, is the baseline and changes nothing")
    for path in (path for patch in domain.options.values() for path in patch):
        field_info(path)
    if strange := domain.weights.keys() - domain.options.keys():
        raise ValueError(f"{name}: weights of {', '.join(sorted(strange))}, which are no options")


def find_space(name: str) -> Space:
    """The shipped search space of that name.

    Raises:
        RaysweepError: no such space.
    """
    if name not in space_names():
        raise unknown("search space", name, space_names(), "raysweep list studies")
    space = importlib.import_module(f"search_spaces.{name}").SPACE
    if not isinstance(space, Space):
        raise RaysweepError(f"search_spaces/{name}.py: SPACE is a {type(space).__name__}, not a Space.")
    return space
