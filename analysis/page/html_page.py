"""The HTML page of a report: self-contained, with its figures and tables also written as files to the same folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from raysweep.analysis import messages
from raysweep.analysis.confusion import with_tests
from raysweep.analysis.contrasts import MARGIN
from raysweep.analysis.figures import gather
from raysweep.analysis.load import DIVERGED, Line
from raysweep.analysis.metrics import METRICS, NOTHING
from raysweep.analysis.page.drawing import Progress, draw_all
from raysweep.analysis.page.gain_tables import html
from raysweep.analysis.page.section import Picture, known_study, overview_pictures, section, write_tables
from raysweep.analysis.page.words import controlled
from raysweep.analysis.statistics.agreement import with_published
from raysweep.analysis.statistics.comparisons import comparisons, gains, on_one_page
from raysweep.analysis.statistics.ranks import chances
from raysweep.deciding.verdicts import Outcome
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
    """A page that can be rewritten: the pictures of a line are kept and reused as long as its numbers are the same.

    These depend on the other lines too, because contrasts are judged together.
    """

    def __init__(self, store: Store, out: Path, progress: Progress = ignore, margin: float = MARGIN) -> None:
        self.store = store
        self.out = out
        self.progress = progress
        self.margin = margin
        self.drawn: dict[tuple[Line, str], list[Picture]] = {}
        """Line and its gains as text -> its pictures."""
        self.across: list[Picture] = []
        """The pictures that span studies."""
        self.across_of: tuple[list[tuple[Line, str]], int, int] = ([], 0, 0)
        """What they show: the lines with their gains, and the numbers of search evaluations and of scores with shared
        weights, which are written after the last trial."""

    def write(self, lines: Sequence[Line], every_s: float | None = None) -> Path:
        """Write the page of these lines; with `every_s` the browser reloads it that often.

        Raises:
            RaysweepError: the folder cannot be written.
        """
        page = self.out / PAGE
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            judged = with_tests(self.store, on_one_page(lines, self.margin))
            keys = [(line, numbers(one)) for line, one in zip(lines, judged, strict=True)]
            new = {key: one for key, one in zip(keys, judged, strict=True) if key not in self.drawn}
            pictures = draw_all(list(new.values()), self.out, self.progress)
            known = self.drawn | dict(zip(new, pictures, strict=True))
            self.drawn = {key: known[key] for key in keys}
            evidence = gather(self.store, judged)
            found = keys, len(evidence.searches), len(evidence.rankings)
            if self.across_of != found:
                self.across, self.across_of = overview_pictures(evidence, self.out), found
            text = self._render(judged, [self.drawn[key] for key in keys], every_s)
            write_whole(page, text, sync=False)  # a browser never loads half a page
        except OSError as error:
            raise RaysweepError(cannot_write(error.filename or self.out, error)) from error
        return page

    def _render(self, lines: Sequence[Line], pictures: Sequence[list[Picture]], every_s: float | None) -> str:
        return template("report.html.jinja", True, printable, html=html).render(
            sections=[section(line, drawn, self.out) for line, drawn in zip(lines, pictures, strict=True)],
            index=[index_row(line) for line in lines],
            controlled=controlled(lines),
            across=self.across,
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


def numbers(line: Line) -> str:
    """The gains of a line as its pictures show them."""
    verdicts = {name: str(one.verdict) for name, one in comparisons(line).items()}
    return f"{ {name: one.text(METRICS['gain']) for name, one in gains(line).items()} } {verdicts}"


def index_row(line: Line) -> dict[str, Any]:
    """The row of a line in the index: question, size, agreement, best variant, claims, and unfinished trials."""
    found, shipped = comparisons(line), known_study(line.study)
    verdicts = Counter(one.verdict for one in found.values())
    agreement, statuses = with_published(line), line.trials["status"].tolist()
    return {
        "study": line.study,
        "protocol": line.protocol,
        "question": shipped.question if shipped else "",
        "variants": len(line.variants),
        "seeds": max((one.n for one in found.values()), default=0),
        "pairs": agreement.share if agreement else NOTHING,
        "tau": str(agreement) if agreement else NOTHING,
        "best": _best(line),
        "better": verdicts[Outcome.BETTER],
        "worse": verdicts[Outcome.WORSE],
        "equal": verdicts[Outcome.EQUAL],
        "undecided": verdicts[Outcome.UNDECIDED],
        "did not train": verdicts[Outcome.DID_NOT_TRAIN],
        "compared": sum(one.tested for one in found.values()),
        "diverged": statuses.count(DIVERGED),
        "failed": statuses.count("failed"),
        "unfinished": len(statuses) - len(line.finished) - statuses.count(DIVERGED) - statuses.count("failed"),
    }


def _best(line: Line) -> str:
    """The variant that is most likely the best one, with the probability; the highest one with a single seed."""
    if likely := chances(line):
        best = max(likely, key=lambda name: likely[name][0])
        return f"{best} (P {METRICS['best'].text(likely[best][0])})"
    trained = {name: one.gain for name, one in comparisons(line).items() if one.trained and not math.isnan(one.gain)}
    best = max(trained, key=lambda name: trained[name], default="")
    if not best:
        return NOTHING
    return f"{best} ({METRICS['gain'].text(trained[best])})" if trained[best] > 0 else f"{line.baseline} (the baseline)"
