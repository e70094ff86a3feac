"""A request for architecture searches: methods with options, a budget, a space. Loads neither torch nor ray."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError, unknown
from raysweep.identity import digest, line_id
from raysweep.nas.budget import Budget
from raysweep.nas.limits import Limited, Limits, no_limits
from raysweep.nas.method import Method, method_text
from raysweep.nas.methods.supernet_methods import SupernetMethod
from raysweep.nas_trials.method_options import (
    SUPERNET_OPTIONS,
    has_supernet,
    label,
    make_named,
    option_names,
    parse_option,
)
from raysweep.nas_trials.trial_spaces import TrialSpace, find_trial_space
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.train.supernet_recipe import PRESETS, SupernetRecipe

CELL_NETWORK = "enas_cells"
"""The network in which cells found with a supernet are trained individually."""
HOLDOUT = "data.holdout"
UNITS = {"": "evaluations", "evaluations": "evaluations", "epochs": "epochs", "macs": "macs", "h": "hours"}


@dataclass(frozen=True)
class NamedSearch:
    """One of the searches of a request."""

    name: str
    """Its name in the store."""
    label: str
    """The method with the options that differ from their defaults."""
    method: Method
    seed: int


@dataclass(frozen=True)
class NasRequest:
    """Searches side by side: every method with every seed, each with the full budget."""

    space: str
    methods: tuple[str, ...]
    budget: Budget | None
    """None if all methods have a supernet: these end on their own."""
    request: Request
    """Protocol, settings, data and store. Its seeds are ignored."""
    seeds: int = 1
    """Number of searches per method, with seeds 0 to N-1. Trials always have seed 0, so that searches share them."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Name of an option -> its value as text, for every method that has the option."""
    holdout: float = 0.1
    """Fraction of the training images that searches select on and that are not trained on."""
    limits: Limits = no_limits
    """Limits of the networks, as the settings build them."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise RaysweepError(f"--seeds is {self.seeds}: it must be 1 or more.")
        if not 0 < self.holdout < 1:
            raise RaysweepError(
                f"--holdout is {self.holdout:g}: it must be between 0 and 1, e.g. 0.1. Searches select on these "
                "images, which are used neither for training nor for testing."
            )
        if len(set(self.methods)) < len(self.methods):
            raise RaysweepError(
                f"duplicate method in '{' '.join(self.methods)}': name each once, and repeat with --seeds."
            )
        self._check_budget()

    def _check_budget(self) -> None:
        for name in self.methods:
            if self.budget is None and not has_supernet(name):
                raise RaysweepError(f"--budget is missing: {name} does not end without one. Set one, e.g. --budget 60.")
            if self.limits != no_limits and has_supernet(name):
                raise RaysweepError(
                    f"--max-params and --max-macs do not apply to {name}, which trains one supernet for all cells. "
                    "Omit them, or use another method."
                )
            if self.budget and self.budget.macs is not None and has_supernet(name):
                raise RaysweepError(
                    f"--budget {self.budget.macs:g}macs: {name} does not count MACs. Set a budget in epochs or hours, "
                    f"or run {name} in a separate command."
                )

    def only(self, supernet: bool) -> NasRequest | None:
        """The searches with a supernet, or those without. None if there are none."""
        methods = tuple(name for name in self.methods if has_supernet(name) is supernet)
        own = {option for name in methods for option in option_names(name)}
        foreign = {option for name in self.methods for option in option_names(name)} - own
        options = {name: text for name, text in self.options.items() if name not in foreign}
        return replace(self, methods=methods, options=options) if methods else None

    def budget_of(self, method: Method) -> Budget:
        """The budget of a search with this method.

        With a supernet an evaluation only scores some images. The method then sets the number of evaluations, the
        epochs of the budget are those of the supernet, and only its hours limit the search.
        """
        if isinstance(method, SupernetMethod):
            return Budget(evaluations=method.evaluations, hours=self.budget.hours if self.budget else None)
        assert self.budget is not None
        return self.budget

    def trial_space(self) -> TrialSpace:
        """The space to search.

        Raises:
            RaysweepError: no such space.
        """
        return find_trial_space(self.space)

    def searched_space(self, baseline: Recipe) -> TrialSpace:
        """The space to search, without architectures that exceed the limits under the settings of a baseline.

        Raises:
            RaysweepError: no such space.
        """
        space = self.trial_space()
        if self.limits == no_limits:
            return space
        limited: Limited[Any] = Limited(
            space.space, self.limits, lambda architecture: find_cost(space.recipe(baseline, architecture))
        )
        return replace(space, space=limited)

    def training_request(self, holdout: float | None = None) -> Request:
        """The request with the network of the space, and this fraction held out (None: that of the searches).

        Raises:
            RaysweepError: a setting that the space searches over.
        """
        settings = self.trial_space().settings(self.request.settings)
        settings[HOLDOUT] = self.holdout if holdout is None else holdout
        return Request((), self.request.protocol, settings, data=self.request.data, store=self.request.store)

    def named_methods(self, baseline: Recipe) -> dict[str, Method]:
        """The methods with their options, by label.

        Raises:
            RaysweepError: no such method, an option that none of them has, or an invalid value.
        """
        supernet_epochs = self.budget.epochs if self.budget else None
        made = {
            name: make_named(name, self.options, baseline.training.epochs, supernet_epochs) for name in self.methods
        }
        known = {option for name in self.methods for option in option_names(name)}
        for name in self.options:
            if name not in known:
                raise unknown(f"option of {' or '.join(self.methods)}", name, known)
        return {label(name, method) + self._supernet_label(name): method for name, method in made.items()}

    def _supernet_label(self, name: str) -> str:
        if not has_supernet(name):
            return ""
        return "".join(f"+{option}={self.options[option]}" for option in SUPERNET_OPTIONS if option in self.options)

    def supernet_recipe(self, baseline: Recipe, method: SupernetMethod, seed: int) -> SupernetRecipe:
        """The recipe of the supernet of a search: a preset, overridden by the settings.

        Raises:
            RaysweepError: a space without a supernet, no such preset, or an invalid option or recipe.
        """
        if self.trial_space().network != CELL_NETWORK:
            raise RaysweepError(
                f"--space {self.space} does not work with {' and '.join(filter(has_supernet, self.methods))}, whose "
                "supernet consists of ENAS cells. Use --space enas, or another method."
            )
        given = {name: text for name, text in self.options.items() if name in SUPERNET_OPTIONS}
        preset = given.pop("preset", "enas_code")
        if preset not in PRESETS:
            raise unknown("preset", preset, PRESETS)
        options = {name: parse_option(name, SUPERNET_OPTIONS[name], text) for name, text in given.items()}
        supernet = PRESETS[preset](replace(baseline, seed=seed), **options)
        length = {HOLDOUT: self.holdout, "training.epochs": float(method.epochs)}
        supernet = supernet.patched({**self.request.settings, **length})
        _ = supernet.recipe  # raises if invalid
        return supernet

    def named(self, baseline: Recipe) -> list[NamedSearch]:
        """Every method with every seed, ordered by seed.

        Raises:
            RaysweepError: the same as `named_methods`.
        """
        methods = self.named_methods(baseline).items()
        return [
            NamedSearch(self._search_name(baseline, name, method, seed), name, method, seed)
            for seed in range(self.seeds)
            for name, method in methods
        ]

    def _search_name(self, baseline: Recipe, name: str, method: Method, seed: int) -> str:
        line = f"{line_id(baseline)}{self.limits}"
        if isinstance(method, SupernetMethod):
            supernet = self.supernet_recipe(baseline, method, seed)
            line = f"{supernet.weights}; scored with {supernet.bn}, {supernet.recalibration}"
        return search_name(self.trial_space(), line, method, name, seed)


def search_name(space: TrialSpace, line: str, method: Method, name: str, seed: int) -> str:
    """The name of a search in the store: a function of settings, method and seed, but not of the budget."""
    identity = {"line": line, "space": space.name, "method": method_text(method), "seed": seed}
    return f"{space.study}-{name.partition('+')[0]}-s{seed}-{digest(identity)}"


def parse_budget(texts: Sequence[str]) -> Budget:
    """The budget given by options such as `--budget 60 --budget 12h`.

    Raises:
        RaysweepError: text that is not an amount, a unit given twice, or an invalid amount.
    """
    limits: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)", text.strip().lower())
        if found is None or found[2] not in UNITS:
            raise RaysweepError(
                f"--budget {text}: it must be a number of evaluations or an amount with a unit, e.g. 60, 200epochs, "
                "5e15macs or 12h."
            )
        unit = UNITS[found[2]]
        if unit in limits:
            raise RaysweepError(f"--budget {text}: a budget in {unit} was already given.")
        limits[unit] = _amount(text, found[1], unit)
    return Budget(**limits)


def _amount(text: str, number: str, unit: str) -> float:
    try:
        amount = float(number)
    except ValueError:
        raise RaysweepError(f"--budget {text}: {number} is not a number.") from None
    if unit != "evaluations":
        return amount
    if amount != round(amount):
        raise RaysweepError(f"--budget {text}: a number of evaluations must be an integer.")
    return int(amount)
