"""Names as a stranger could put them into an image set, a store or a study, to steer whatever shows them."""

from __future__ import annotations

from raysweep.request import Request
from raysweep.store.arrow import PLAIN, parquet, table_of
from raysweep.store.schema import MEMBERS
from raysweep.store.store import Store
from raysweep.study import Study, Variant
from raysweep.sweeps.study_sweep import member_rows
from tests.analysis.conftest import write

NAMES = (
    *("[/x]", "[red]red :boom:", "\x1b[2J\x07clear\there", "\u202egnp.exe \u2028 a\x85c", "two\nlines", "[y] z"),
    *("<script>alert(1)</script> &lt;b&gt;", "=cmd()", "+1", "-1+2", "@sum", "$x_1$ 100% {x} ~a^b#c"),
    *("a|b `code` *b* _u_", "a;b 'c' \"d\" back\\slash"),
)
ERROR = "Traceback\nRuntimeError: [/data/x] [enforce fail at a.cpp:75] \x1b[2J\x1b]0;title\x07 $(reboot) <script>"
STUDY = "st [b]\x1b[2J<i>$`|"


def hostile_study() -> Study:
    """A study with a hostile name, and a variant of each hostile name."""
    variants = (Variant(name, {"training.epochs": float(n)}, f"as {name}") for n, name in enumerate(NAMES, 1))
    return Study(STUDY, "question", "finding", "paper", NAMES[0], tuple(variants))


def fill(store: Store) -> None:
    """Write the results of that study; one trial has failed with a hostile error, one has an infinite loss."""
    plan = Request((hostile_study(),), "demo", seeds=2).plan()
    # A study of this name is refused when it is written; a store may come from somebody else.
    store.files.write(
        "members/hostile-0123456789ab.parquet", parquet(table_of(member_rows(plan, STUDY, "demo"), MEMBERS), PLAIN)
    )
    for number, planned in enumerate(plan):
        end = {1: "failed", 2: "diverged", len(NAMES): "running"}.get(number, "finished")
        write(store, planned, end, 0.2 + 0.01 * (number % len(NAMES)))
        if end == "failed":
            store.write_trial((store.trial(planned.trial) or {}) | {"error": ERROR})
        if end == "diverged":
            rows = store.epochs([planned.trial]).to_pylist()
            store.write_epochs(planned.trial, [row | {"train_loss": float("inf"), "top1": None} for row in rows])
