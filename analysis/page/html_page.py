"""The HTML page of a report: self-contained, with its figures and tables also written as files to the same folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from raysweep.analysis import messages
from raysweep.analysis.figures import gather
from raysweep.analysis.load import DIVERGED, Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.page.drawing import Progress, draw_all
from raysweep.analysis.page.gain_tables import html
from raysweep.analysis.page.section import Picture, known_study, overview_pictures, section, write_tables
from raysweep.analysis.statistics.across import QValues, claims, q_values
from raysweep.analysis.statistics.agreement import with_published
from raysweep.analysis.statistics.comparisons import BETTER, WORSE, comparisons
from raysweep.disk.whole import write_whole
from raysweep.errors import RaysweepError, cannot_write
from raysweep.safe import printable
from raysweep.store.store import Store


def template(name: str, autoescape: bool, text: Callable[[str], str], **filters: Callable[[Any], str]) -> Template:
    """A template of this folder that passes every text through `text`; what filters return is already safe."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,
        finalize=lambda value: text(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: lambda value, make=make: Markup(make(value)) for name, make in filters.items()}
    return made.get_template(name)


PAGE = "report.html"
LEAST_MESSAGES = 2
"""Fewest tested messages for which the report has the table of messages."""


def ignore(*_: object) -> None:
    """A callback that does nothing."""


class HtmlPage:
    """A page that can be rewritten: the pictures of a line are kept and reused as long as the line is unchanged."""

    def __init__(self, store: Store, out: Path, progress: Progress = ignore) -> None:
        self.store = store
        self.out = out
        self.progress = progress
        self.drawn: dict[Line, list[Picture]] = {}
        self.across: list[Picture] = []
        """The pictures that span studies."""
        self.across_of: tuple[list[Line], int, int] = ([], 0, 0)
        """What they show: the lines, and the numbers of search evaluations and of scores with shared weights, which are
        written after the last trial."""

    def write(self, lines: Sequence[Line], every_s: float | None = None) -> Path:
        """Write the page of these lines; with `every_s` the browser reloads it that often.

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
            write_whole(page, self._render(lines, every_s), sync=False)  # a browser never loads half a page
        except OSError as error:
            raise RaysweepError(cannot_write(error.filename or self.out, error)) from error
        return page

    def _render(self, lines: Sequence[Line], every_s: float | None) -> str:
        together = q_values([comparisons(line) for line in lines])
        several = sum(bool(q) for q in together) > 1
        shown = together if several else [{}] * len(lines)
        parts = zip(lines, shown, strict=True)
        return template("report.html.jinja", True, printable, html=html).render(
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

    def _messages(self, lines: Sequence[Line]) -> pd.DataFrame | None:
        table = messages.take_home(lines)
        if table.dropna(subset="study")["message"].nunique() < LEAST_MESSAGES:
            return None
        text = messages.readable(table)
        write_tables(table, text, self.out / "take_home")
        return text


def index_row(line: Line, q: QValues) -> dict[str, Any]:
    """The row of a line in the index: question, size, agreement, best variant, claims, and unfinished trials."""
    found, shipped = comparisons(line), known_study(line.study)
    verdicts = list(claims(line, q).values())
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
        "better": verdicts.count(BETTER),
        "worse": verdicts.count(WORSE),
        "compared": len(found.family),
        "diverged": statuses.count(DIVERGED),
        "failed": statuses.count("failed"),
        "unfinished": len(statuses) - len(line.finished) - statuses.count(DIVERGED) - statuses.count("failed"),
    }


def _best(line: Line) -> str:
    """The largest mean gain of a variant that never diverged; the baseline if no gain is positive."""
    whole = {name: one.gain.mean for name, one in comparisons(line).of.items() if one.gain.n and not one.diverged}
    best = max(whole, key=lambda name: whole[name], default="")
    if not best:
        return NOTHING
    return f"{best} ({METRICS['gain'].text(whole[best])})" if whole[best] > 0 else f"{line.baseline} (the baseline)"
