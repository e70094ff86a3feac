"""Seconds from the command to the plan: one study, and every study of the table, as whole processes."""

from __future__ import annotations

from functools import partial

from benchmarks._harness import command_seconds, measure, ratios, report

REPEATS = 9
SIDES = {
    "--help": ("--help",),
    "plan activation": ("plan", "activation", "--json"),
    "plan all": ("plan", "all", "--protocol", "imagenet128", "--json"),
}


def main() -> None:
    """Measure all sides in turn."""
    rows = measure({side: partial(command_seconds, *words) for side, words in SIDES.items()}, REPEATS)
    report("plan_time", "s", rows, ratios(rows, ("plan all", "plan activation")))


if __name__ == "__main__":
    main()
