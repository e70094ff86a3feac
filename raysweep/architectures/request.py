"""What a user asks of an architecture search: methods with options, a budget, a space. Loads neither torch nor ray."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from raysweep.architectures.spaces import TrialSpace, find_trial_space
from raysweep.errors import RaysweepError, unknown
from raysweep.identity import digest, line_id
from raysweep.nas.budget import Budget
from raysweep.nas.method import Method, make_method, methods
from raysweep.nas.successive_halving import SuccessiveHalving
from raysweep.nas.weight_sharing import WeightSharing
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.tables import brief

HOLDOUT = "data.holdout"
UNITS = {"": "evaluations", "evaluations": "evaluations", "epochs": "epochs", "macs": "macs", "h": "hours"}
RUNGS_BELOW = 2
"""Rungs of successive halving below the settings' own number of epochs, where none are asked for."""


@dataclass(frozen=True)
class NamedSearch:
    """One of the searches of a request."""

    name: str
    """In the store."""
    label: str
    """The method, with the options that are not its defaults."""
    method: Method
    seed: int


@dataclass(frozen=True)
class NasRequest:
    """Searches side by side: every method with every seed, each with the whole budget."""

    space: str
    methods: tuple[str, ...]
    budget: Budget
    request: Request
    """Protocol, settings, data and store; its seeds are not used."""
    seeds: int = 1
    """Searches of each method: seeds 0 to N-1. Trials have seed 0, so that searches share them."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Option of a method -> its value as text, for every method that has it."""
    holdout: float = 0.1
    """Share of the training images that searches choose by; they are not trained on."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise RaysweepError(f"--seeds is {self.seeds}: at least 1 search is needed.")
        if not 0 < self.holdout < 1:
            raise RaysweepError(
                f"--holdout is {self.holdout:g}: a search chooses by images that it does not train on and that no "
                "report tests on, so it must be more than 0 and less than 1, e.g. 0.1."
            )
        if len(set(self.methods)) < len(self.methods):
            raise RaysweepError(f"{' '.join(self.methods)}: name each method once, and repeat it with --seeds.")

    def trial_space(self) -> TrialSpace:
        """The space that is searched.

        Raises:
            RaysweepError: no such space.
        """
        return find_trial_space(self.space)

    def training_request(self, holdout: float | None = None) -> Request:
        """The request with the network of the space, and this share held out (none: the searches' own).

        Raises:
            RaysweepError: a setting of what is searched over.
        """
        settings = self.trial_space().settings(self.request.settings)
        settings[HOLDOUT] = self.holdout if holdout is None else holdout
        return Request((), self.request.protocol, settings, data=self.request.data, store=self.request.store)

    def named_methods(self, baseline: Recipe) -> dict[str, Method]:
        """Each method by its label, with the options that are for it.

        Raises:
            RaysweepError: no such method, an option that none of them has, or a value that does not serve.
        """
        made = {name: make_named(name, self.options, baseline.training.epochs) for name in self.methods}
        known = {option.name for name in self.methods for option in fields(_maker(name))}
        for name in self.options:
            if name not in known:
                raise unknown(f"option of {' or '.join(self.methods)}", name, known)
        return {label(name, method): method for name, method in made.items()}

    def named(self, baseline: Recipe) -> list[NamedSearch]:
        """Every method with every seed, all methods of a seed together.

        Raises:
            RaysweepError: as `named_methods`.
        """
        space, line = self.trial_space(), line_id(baseline)
        methods = self.named_methods(baseline).items()
        return [
            NamedSearch(search_name(space, line, method, name, seed), name, method, seed)
            for seed in range(self.seeds)
            for name, method in methods
        ]


def make_named(name: str, options: Mapping[str, str], epochs: float) -> Method:
    """A method with those of the options that it has.

    The highest rung of successive halving is the settings' number of epochs, unless the options name another.

    Raises:
        RaysweepError: no such method, or a value that does not serve.
    """
    if issubclass(_maker(name), WeightSharing):
        raise RaysweepError(
            f"{name} scores cells with weights that they share, in one training, not in trials of their own: call "
            "`raysweep.nas.search` with `raysweep.train.weight_sharing.SharedTraining`."
        )
    hints = get_type_hints(_maker(name))
    given = {option: parse_option(option, hints[option], text) for option, text in options.items() if option in hints}
    if _maker(name) is SuccessiveHalving:
        highest = given.setdefault("highest", epochs)
        eta = given.get("eta", SuccessiveHalving.eta)
        given.setdefault("lowest", min(max(1.0, highest / max(eta, 2) ** RUNGS_BELOW), highest))
    return make_method(name, given)


def _maker(name: str) -> Any:
    return methods()[name]


def parse_option(name: str, hint: Any, text: str) -> Any:
    """The value of a method's option, by its declared type.

    Raises:
        RaysweepError: a text that is not of its type.
    """
    if get_origin(hint) is Literal:
        return text
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(kind for kind in kinds if kind in (bool, int, float, str))
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        words = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise RaysweepError(f"--option {name}={text}: it must be {words}.") from None


def label(name: str, method: Any) -> str:
    """A method's name with the options that are not its defaults."""
    own = {option.name: getattr(method, option.name) for option in fields(method)}
    changed = [f"{o.name}={brief(own[o.name])}" for o in fields(method) if own[o.name] != o.default]
    return "+".join([name, *changed])


def search_name(space: TrialSpace, line: str, method: Method, name: str, seed: int) -> str:
    """Name of a search in the store: the same for the same settings, method and seed, whatever its budget."""
    settled = {"line": line, "space": space.name, "method": repr(method), "seed": seed}
    return f"{space.study}-{name.partition('+')[0]}-s{seed}-{digest(settled)}"


def parse_budget(texts: Sequence[str]) -> Budget:
    """What `--budget 60 --budget 12h` means: limits, whichever is reached first.

    Raises:
        RaysweepError: a text that is no amount, a unit named twice, or an amount that does not serve.
    """
    limits: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)", text.strip().lower())
        if found is None or found[2] not in UNITS:
            raise RaysweepError(
                f"--budget {text}: write it as a number of evaluations, or with a unit, as in 60, 200epochs, 5e15macs "
                "or 12h."
            )
        unit = UNITS[found[2]]
        if unit in limits:
            raise RaysweepError(f"--budget {text}: a budget of {unit} is named already.")
        limits[unit] = _amount(text, found[1], unit)
    return Budget(**limits)


def _amount(text: str, number: str, unit: str) -> float:
    try:
        amount = float(number)
    except ValueError:
        raise RaysweepError(f"--budget {text}: {number} is no number.") from None
    if unit != "evaluations":
        return amount
    if amount != round(amount):
        raise RaysweepError(f"--budget {text}: a number of evaluations is whole.")
    return int(amount)
