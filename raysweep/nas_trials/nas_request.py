"""What a user asks of an architecture search: methods with options, a budget, a space. Loads neither torch nor ray."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raysweep.cost import find_cost
from raysweep.errors import RaysweepError, unknown
from raysweep.identity import digest, line_id
from raysweep.nas.budget import Budget
from raysweep.nas.limited import Limited
from raysweep.nas.limits import Limits, NetworkCost, no_limits
from raysweep.nas.method import Method
from raysweep.nas.supernet_methods import WeightSharing
from raysweep.nas_trials.method_options import (
    SHARED_OPTIONS,
    label,
    make_named,
    option_names,
    parse_option,
    shares_weights,
)
from raysweep.nas_trials.trial_spaces import TrialSpace, find_trial_space
from raysweep.recipe import Recipe
from raysweep.request import Request
from raysweep.train.supernet_recipe import PRESETS, SharedRecipe

SHARED_NETWORK = "enas_cells"
"""What the cells of a search with shared weights are trained in alone."""
HOLDOUT = "data.holdout"
UNITS = {"": "evaluations", "evaluations": "evaluations", "epochs": "epochs", "macs": "macs", "h": "hours"}


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
    budget: Budget | None
    """None: methods that share weights alone, which end by themselves."""
    request: Request
    """Protocol, settings, data and store; its seeds are not used."""
    seeds: int = 1
    """Searches of each method: seeds 0 to N-1. Trials have seed 0, so that searches share them."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Option of a method -> its value as text, for every method that has it."""
    holdout: float = 0.1
    """Share of the training images that searches choose by; they are not trained on."""
    limits: Limits = no_limits
    """Of the networks, as the settings build them."""

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
        self._check_budget()

    def _check_budget(self) -> None:
        for name in self.methods:
            if self.budget is None and not shares_weights(name):
                raise RaysweepError(f"--budget is missing: {name} goes on for as long as it may. Name one, e.g. 60.")
            if self.limits != no_limits and shares_weights(name):
                raise RaysweepError(
                    f"{name} trains one network for all cells: --max-params and --max-macs are for other methods."
                )
            if self.budget and self.budget.macs is not None and shares_weights(name):
                raise RaysweepError(
                    f"--budget {self.budget.macs:g}macs: {name} does not count them. Name epochs or hours, or search "
                    "with it in a command of its own."
                )

    def only(self, sharing: bool) -> NasRequest | None:
        """The searches whose architectures share weights, or those whose architectures do not; none: there are none."""
        methods = tuple(name for name in self.methods if shares_weights(name) is sharing)
        own = {option for name in methods for option in option_names(name)}
        foreign = {option for name in self.methods for option in option_names(name)} - own
        options = {name: text for name, text in self.options.items() if name not in foreign}
        return replace(self, methods=methods, options=options) if methods else None

    def budget_of(self, method: Method) -> Budget:
        """What a search of the method may spend.

        Where weights are shared an evaluation is a look at some images: of the budget only hours count, and epochs are
        those that the weights are trained for.
        """
        if isinstance(method, WeightSharing):
            return Budget(evaluations=method.evaluations, hours=self.budget.hours if self.budget else None)
        assert self.budget is not None
        return self.budget

    def trial_space(self) -> TrialSpace:
        """The space that is searched.

        Raises:
            RaysweepError: no such space.
        """
        return find_trial_space(self.space)

    def searched_space(self, baseline: Recipe) -> TrialSpace:
        """The same without what is beyond the limits, under the settings of a baseline.

        Raises:
            RaysweepError: no such space.
        """
        space = self.trial_space()
        if self.limits == no_limits:
            return space

        def cost(architecture: object) -> NetworkCost:
            found = find_cost(space.recipe(baseline, architecture))
            return NetworkCost(found.params, found.macs)

        return replace(space, space=Limited(space.space, self.limits, cost))

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
        shared_epochs = self.budget.epochs if self.budget else None
        made = {name: make_named(name, self.options, baseline.training.epochs, shared_epochs) for name in self.methods}
        known = {option for name in self.methods for option in option_names(name)}
        for name in self.options:
            if name not in known:
                raise unknown(f"option of {' or '.join(self.methods)}", name, known)
        return {label(name, method) + self._shared_label(name): method for name, method in made.items()}

    def _shared_label(self, name: str) -> str:
        if not shares_weights(name):
            return ""
        return "".join(f"+{option}={self.options[option]}" for option in SHARED_OPTIONS if option in self.options)

    def shared_recipe(self, baseline: Recipe, method: WeightSharing, seed: int) -> SharedRecipe:
        """How a search trains the weights that its architectures share: a preset, with the settings on top.

        Raises:
            RaysweepError: a space whose architectures share no weights, no such preset, an option's value that does not
                serve, or a recipe that does not.
        """
        if self.trial_space().network != SHARED_NETWORK:
            raise RaysweepError(
                f"--space {self.space}: {' and '.join(filter(shares_weights, self.methods))} shares the weights of "
                "ENAS' cells. Use --space enas, or another method."
            )
        given = {name: text for name, text in self.options.items() if name in SHARED_OPTIONS}
        preset = given.pop("preset", "enas_code")
        if preset not in PRESETS:
            raise unknown("preset", preset, PRESETS)
        options = {name: parse_option(name, SHARED_OPTIONS[name], text) for name, text in given.items()}
        shared = PRESETS[preset](replace(baseline, seed=seed), **options)
        length = {HOLDOUT: self.holdout, "training.epochs": float(method.epochs)}
        shared = shared.patched({**self.request.settings, **length})
        _ = shared.recipe  # what does not serve is refused now
        return shared

    def named(self, baseline: Recipe) -> list[NamedSearch]:
        """Every method with every seed, all methods of a seed together.

        Raises:
            RaysweepError: as `named_methods`.
        """
        methods = self.named_methods(baseline).items()
        return [
            NamedSearch(self._search_name(baseline, name, method, seed), name, method, seed)
            for seed in range(self.seeds)
            for name, method in methods
        ]

    def _search_name(self, baseline: Recipe, name: str, method: Method, seed: int) -> str:
        line = f"{line_id(baseline)}{self.limits}"
        if isinstance(method, WeightSharing):
            shared = self.shared_recipe(baseline, method, seed)
            line = f"{shared.weights}; scored with {shared.bn}, {shared.recalibration}"
        return search_name(self.trial_space(), line, method, name, seed)


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
