"""The report: one self-contained HTML page, and its figures and tables as files beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from analysis.figures import STYLE, figures
from analysis.load import Line, load_lines
from analysis.stats import INTERVAL, gains
from analysis.tables import interval, markdown, readable, summary
from raysweep.errors import RaysweepError
from raysweep.registry import Entry
from raysweep.results.store import Store
from raysweep.study import Study, find_study

if TYPE_CHECKING:
    from analysis.figures import Figure

TEMPLATE = "report.html.jinja"
PROVENANCE = (
    "device",
    "host",
    "threads",
    "raysweep_version",
    "git_commit",
    "python",
    "torch",
    "data_name",
    "data_digest",
)


def write_report(store_uri: str, studies: Sequence[str], out: Path | str) -> Path:
    """Write the page, and each figure as SVG and PNG and each table as CSV and Markdown; returns the page's path.

    Raises:
        RaysweepError: no store, no such study in it, or a folder that cannot be written.
    """
    mpl.use("agg")
    store = Store.open(store_uri)
    lines = load_lines(store, list(dict.fromkeys(studies)))
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        sections = [_section(line, out) for line in lines]
        page = out / "report.html"
        page.write_text(_render(sections, store), encoding="utf-8")
    except OSError as error:
        raise RaysweepError(f"cannot write the report to {out}: {error}.") from error
    return page


def _render(sections: list[dict[str, Any]], store: Store) -> str:
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template(TEMPLATE).render(
        sections=sections,
        store=store.uri,
        problems=store.problems,
        version=metadata.version("raysweep"),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _section(line: Line, out: Path) -> dict[str, Any]:
    stem = f"{line.study}-{line.protocol}-{line.line}"
    table = summary(line)
    table.to_csv(out / f"{stem}.csv", index=False)
    (out / f"{stem}.md").write_text(markdown(table), encoding="utf-8")
    study = known_study(line.study)
    ordered = sorted(figures(), key=lambda entry: entry.make.order)
    return {
        "study": line.study,
        "protocol": line.protocol,
        "question": study.question if study else line.study,
        "finding": study.finding if study else "",
        "paper": study.paper if study else "",
        "headline": headline(line),
        "caption": caption(line),
        "settings": line.settings(),
        "pictures": [_picture(entry, line, out / f"{stem}-{entry.name}") for entry in ordered],
        "table": _cells(readable(table)),
        "provenance": {name: ", ".join(line.present(name)) for name in PROVENANCE if line.present(name)},
        "dirty": bool(line.trials["git_dirty"].fillna(False).astype(bool).any()),
        "missing": missing(line),
        "summaries": dict(zip(line.trials["variant"], line.trials["summary"], strict=True)),
    }


def known_study(name: str) -> Study | None:
    """The shipped study of that name; a store may hold others."""
    try:
        return find_study(name)
    except RaysweepError:
        return None


def _picture(entry: Entry[Figure], line: Line, stem: Path) -> dict[str, str]:
    import matplotlib.pyplot as plt

    frame = entry.make.data(line)
    if frame.empty:
        return {"title": entry.summary, "source": ""}
    with plt.style.context(STYLE):
        canvas = entry.make.draw(frame, caption(line))
        # No date in the file: the same results give the same bytes.
        canvas.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        canvas.savefig(stem.with_suffix(".png"))
        plt.close(canvas)
    image = stem.with_suffix(".png").read_bytes()
    return {"title": entry.summary, "source": base64.b64encode(image).decode()}


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    return {"header": list(frame.columns), "rows": frame.to_numpy().tolist()}


def caption(line: Line) -> str:
    """What a reader must know of the numbers: settings, seeds, interval, device."""
    recipe = line.baseline_recipe
    counts = line.finished.groupby("variant")["seed"].nunique()
    n = f"n = {counts.min()}" if counts.nunique() == 1 else f"n = {counts.min()} to {counts.max()}"
    seeds = f"{n} seeds" if len(counts) else "nothing finished"
    what = f"{INTERVAL}, paired by seed" if len(counts) and counts.max() > 1 else "one seed: no interval, no claim"
    data = ", ".join(line.present("data_name")) or "no data"
    device = ", ".join(line.present("device")) or "no device"
    return f"{line.protocol} on {data}, {recipe.training.epochs:g} epochs, {device}; {seeds}; {what}"


def headline(line: Line) -> str:
    """What the study says so far, and no more than its intervals allow."""
    found = {variant: gain for variant, gain in gains(line).items() if variant != line.baseline and gain.n}
    if not found:
        return f"No variant and {line.baseline} have finished with the same seed yet: nothing can be compared."
    best = max(found, key=lambda variant: found[variant].mean)
    if all(gain.n < 2 for gain in found.values()):
        gain = f"{found[best].mean:+.1f} points"
        return f"One seed: no claim is made. Highest so far is {best} ({gain}); run with --seeds 3 for intervals."
    sure = [variant for variant in sorted(found, key=lambda v: -found[v].mean) if found[variant].excludes_0]
    better = [f"{v} ({interval(found[v], '{:+.1f}')})" for v in sure if found[v].mean > 0]
    worse = [f"{v} ({interval(found[v], '{:+.1f}')})" for v in sure if found[v].mean < 0]
    rest = len(found) - len(sure)
    parts = [f"Better than {line.baseline}: {', '.join(better)}." if better else ""]
    parts += [f"Worse: {', '.join(worse)}." if worse else ""]
    parts += [f"Not distinguishable from the baseline: {rest} of {len(found)} variants." if rest else ""]
    return " ".join(part for part in parts if part)


def missing(line: Line) -> list[str]:
    """Every trial that has no final accuracy, and why."""
    rows = line.trials[line.trials["status"] != "finished"]
    return [f"{row.variant} seed {row.seed} ({row.trial}): {_why(row)}" for row in rows.itertuples()]


def _why(row: Any) -> str:
    if row.status == "diverged":
        return f"diverged in epoch {row.diverged_epoch:.0f}"
    if row.status == "failed":
        return f"failed: {(row.error or 'no message').strip().splitlines()[-1]}"
    return f"{row.status}, {row.epochs} epochs done"
