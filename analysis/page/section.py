"""What a report says of one line: pictures, tables, sentences, provenance; and the files beside the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from analysis.figures import Drawing, Evidence, figures, overviews, render, save
from analysis.load import NOT_SETTINGS, Line
from analysis.page.tables import html, latex, markdown, readable, summary
from analysis.page.words import agreement_words, caption, headline, missing, trust, waiting
from analysis.statistics import importance as importances
from analysis.statistics.across import QValues
from raysweep.errors import RaysweepError
from raysweep.identity import canonical_json
from raysweep.registry import Entry
from raysweep.space import Space, find_space
from raysweep.study import Study, find_study, space_names

if TYPE_CHECKING:
    from analysis.figures import Figure, Overview

PROVENANCE = {
    "device": "device",
    "host": "host",
    "threads": "threads of a worker",
    "world_size": "workers of a trial",
    "data_name": "images",
    "data_digest": "digest of the images",
    "raysweep_version": "raysweep",
    "git_commit": "git commit",
    "python": "Python",
    "torch": "torch",
}
"""Column of the trials -> what a reader sees."""


Picture = Mapping[str, str]
MOST_RECIPES = 200
"""Of a search with more variants; the CSV has all."""


def section(line: Line, q: QValues, drawn: list[Picture], out: Path) -> dict[str, Any]:
    """What the page shows of a line; its tables are written to the folder."""
    stem = file_stem(line)
    table, changed = summary(line, q), changes(line)
    write_tables(table.assign(**{"differs in": changed}), readable(table), out / stem)
    matters = importances.importance(line)
    if len(matters):
        write_tables(matters, importances.readable(matters), out / f"{stem}-importance")
    return {
        "study": line.study,
        "protocol": line.protocol,
        "line": line.line,
        "architectures": line.is_architecture_search,
        "shipped": known_study(line.study),
        "headline": headline(line, q),
        "trust": trust(line, q),
        "agreement": agreement_words(line),
        "caption": caption(line),
        "settings": line.settings(),
        "pictures": drawn,
        "table": Markup(html(readable(table))),  # escapes its texts itself
        "importance": Markup(html(importances.readable(matters))) if len(matters) else "",
        "provenance": provenance(line),
        "waiting": waiting(line),
        "missing": missing(line),
        "trials": len(line.trials),
        "recipes": recipes(line, changed),
    }


def write_tables(numbers: pd.DataFrame, text: pd.DataFrame, stem: Path) -> None:
    """The numbers as CSV, what a reader sees as Markdown and LaTeX."""
    numbers.to_csv(stem.with_name(f"{stem.name}.csv"), index=False)
    for suffix, content in (("md", markdown(text)), ("tex", latex(text))):
        stem.with_name(f"{stem.name}.{suffix}").write_text(content, encoding="utf-8")


def file_stem(line: Line) -> str:
    """Name of a line's files: a study's name is free text, a file's is not."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{line.study}-{line.protocol}-{line.line}")[:100]


def known_study(name: str) -> Study | Space | None:
    """The shipped study or search space of that name; a store may hold others."""
    if name in space_names():
        return find_space(name)
    try:
        return find_study(name)
    except RaysweepError:
        return None


def pictures(line: Line, out: Path) -> list[Picture]:
    """Every figure that has anything to show of a line, written to the folder too."""
    ordered = sorted(figures(), key=lambda entry: entry.make.order)
    stem = file_stem(line)
    return [shown for entry in ordered if (shown := _picture(entry, line, out / f"{stem}-{entry.name}"))]


def _picture(entry: Entry[Figure], line: Line, stem: Path) -> Picture | None:
    frame = entry.make.data(line)
    return None if frame.empty else _drawn(entry.make, entry.summary, frame, caption(line), stem)


def overview_pictures(evidence: Evidence, out: Path) -> list[Picture]:
    """Every figure over several lines, of searches, or of what init-stats has measured, written to the folder too."""
    return [
        _drawn(entry.make, entry.summary, frame, said, out / f"overview-{entry.name}")
        for entry, frame, said in shown_overviews(evidence)
    ]


def shown_overviews(evidence: Evidence) -> Iterator[tuple[Entry[Overview], pd.DataFrame, str]]:
    """The overviews that have anything to show, in their order, each with its frame and caption."""
    for entry in sorted(overviews(), key=lambda entry: entry.make.order):
        frame = entry.make.data(evidence)
        if len(frame):
            yield entry, frame, " ".join(dict.fromkeys(frame["caption"]))


def _drawn(drawing: Drawing[Any], title: str, frame: pd.DataFrame, said: str, stem: Path) -> Picture:
    source = save(render(drawing, frame, said), stem)
    return {"title": title, "source": base64.b64encode(source).decode()}


def provenance(line: Line) -> dict[str, str]:
    """Where the numbers come from: machine, versions, commit, first start and last change."""
    found = {label: ", ".join(line.present(column)) for column, label in PROVENANCE.items()}
    if found["git commit"] and line.trials["git_dirty"].eq(True).any():
        found["git commit"] += " (with uncommitted changes)"
    found["other packages"] = "; ".join(map(_packages, line.present("versions")))
    first, last = line.trials["started_at"].min(), line.trials["updated_at"].max()
    if not (pd.isna(first) or pd.isna(last)):
        found["trained"] = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    return {label: value for label, value in found.items() if value}


def _packages(versions: str) -> str:
    try:
        return ", ".join(f"{package} {version}" for package, version in json.loads(versions).items() if version)
    except (ValueError, AttributeError):
        return versions


def recipes(line: Line, changed: Sequence[str]) -> list[dict[str, Any]]:
    """What each variant is in a sentence, and the fields in which it differs from the baseline of the line."""
    rows = line.trials.drop_duplicates("variant").set_index("variant").reindex(line.shown[:MOST_RECIPES])
    found = zip(rows.index, rows["summary"], changed, strict=False)
    return [{"name": name, "summary": "" if pd.isna(said) else said, "changes": fields} for name, said, fields in found]


def changes(line: Line) -> list[str]:
    """By variant, the fields that differ from the line's own settings, as `field = value, ...`."""
    shared = json.loads(canonical_json(line.settings()))
    stored = line.trials.drop_duplicates("variant").set_index("variant")["diff"]
    fields = [json.loads(stored[name]) if name in stored.index else {} for name in line.shown]
    return [
        ", ".join(
            f"{path} = {_short(value)}"
            for path, value in changed.items()
            if path not in NOT_SETTINGS and shared.get(path, changed) != value
        )
        for changed in fields
    ]


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
