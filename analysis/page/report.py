"""The report: one self-contained HTML page, and its figures and tables as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from analysis import take_home as messages
from analysis.figures import gather
from analysis.load import DIVERGED, Line, load_lines
from analysis.metrics import METRICS, NOTHING
from analysis.page.drawing import Progress, draw_all
from analysis.page.section import Picture, known_study, overview_pictures, section, write_tables
from analysis.page.tables import html
from analysis.statistics.across import QValues, claims, q_values
from analysis.statistics.agreement import with_published
from analysis.statistics.comparisons import BETTER, UNSTABLE, WORSE, comparisons
from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError
from raysweep.store.store import Store

TEMPLATE = "report.html.jinja"
PAGE = "report.html"
LEAST_MESSAGES = 2
"""Tested ones, for a table of all."""


def _unseen(done: int, total: int) -> None:
    """Nobody looks."""


def write_report(store_uri: str, studies: Sequence[str], out: Path | str, progress: Progress = _unseen) -> Path:
    """Write the page, and each figure as SVG and PNG and each table as CSV, Markdown and LaTeX; returns its path.

    `all` stands for every study in the store. Of many studies `progress` is told how many are drawn.

    Raises:
        RaysweepError: no store, no such study in it, or a folder that cannot be written.
    """
    store = Store.open(store_uri)
    return Report(store, Path(out), progress).write(load_lines(store, studies))


class Report:
    """A page that can be written again: what has been drawn of a line is kept for as long as the line is."""

    def __init__(self, store: Store, out: Path, progress: Progress = _unseen) -> None:
        self.store = store
        self.out = out
        self.progress = progress
        self.drawn: dict[Line, list[Picture]] = {}
        self.across: list[Picture] = []
        """Over all lines."""
        self.across_of: tuple[list[Line], int, int] = ([], 0, 0)
        """What they were drawn of: lines, and how many evaluations of searches and scores by shared weights, which come
        after the last trial."""

    def write(self, lines: Sequence[Line], every_s: float | None = None) -> Path:
        """Write everything that these lines say; a page that is written again every so often says so to the browser.

        Raises:
            RaysweepError: the folder cannot be written.
        """
        page = self.out / PAGE
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            new = [line for line in lines if line not in self.drawn]
            known = self.drawn | dict(zip(new, draw_all(new, self.out, self.progress), strict=True))
            self.drawn = {line: known[line] for line in lines}
            evidence = gather(self.store, lines)
            found = list(lines), len(evidence.searches), len(evidence.rankings)
            if self.across_of != found:
                self.across, self.across_of = overview_pictures(evidence, self.out), found
            write_whole(page, self._render(lines, every_s), sync=False)
        except OSError as error:
            raise RaysweepError(f"cannot write the report to {self.out}: {error}. Choose another --out.") from error
        return page

    def _render(self, lines: Sequence[Line], every_s: float | None) -> str:
        together = q_values([comparisons(line) for line in lines])
        several = sum(bool(q) for q in together) > 1
        shown = together if several else [{}] * len(lines)
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        parts = zip(lines, shown, strict=True)
        return environment.get_template(TEMPLATE).render(
            sections=[section(line, q, self.drawn[line], self.out) for line, q in parts],
            index=[index_row(line, q) for line, q in zip(lines, together, strict=True)],
            across=self.across,
            several=several,
            messages=self._messages(lines),
            store=self.store.uri,
            problems=list(dict.fromkeys(self.store.problems)),
            version=metadata.version("raysweep"),
            written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            every_s=every_s,
        )

    def _messages(self, lines: Sequence[Line]) -> str:
        table = messages.take_home(lines)
        if table.dropna(subset="study")["message"].nunique() < LEAST_MESSAGES:
            return ""
        text = messages.readable(table)
        write_tables(table, text, self.out / "take_home")
        return Markup(html(text))  # escapes its texts itself


def index_row(line: Line, q: QValues) -> dict[str, Any]:
    """One line in the index of a report: question, size, agreement, best variant, claims, what did not finish."""
    found, shipped = comparisons(line), known_study(line.study)
    said = list(claims(line, q).values())
    agreement = with_published(line)
    statuses = line.trials["status"].tolist()
    return {
        "study": line.study,
        "protocol": line.protocol,
        "question": shipped.question if shipped else "",
        "variants": len(line.variants),
        "seeds": found.seeds,
        "tau": str(agreement) if agreement else NOTHING,
        "best": _best(line),
        "better": said.count(BETTER),
        "worse": said.count(WORSE),
        "compared": len(found.family),
        "unstable": said.count(UNSTABLE),
        "diverged": statuses.count(DIVERGED),
        "failed": statuses.count("failed"),
        "unfinished": len(statuses) - len(line.finished) - statuses.count(DIVERGED) - statuses.count("failed"),
    }


def _best(line: Line) -> str:
    """The largest mean gain of a variant that never diverged; the baseline where all are below it."""
    whole = {name: one.gain.mean for name, one in comparisons(line).of.items() if one.gain.n and not one.diverged}
    best = max(whole, key=lambda name: whole[name], default="")
    if not best:
        return NOTHING
    return f"{best} ({METRICS['gain'].text(whole[best])})" if whole[best] > 0 else f"{line.baseline} (the baseline)"
