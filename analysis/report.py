"""The report: one self-contained HTML page, and its figures and tables as files beside it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from analysis.figures import figures, render, save
from analysis.load import Line, load_lines
from analysis.tables import html, markdown, summary
from analysis.words import caption, chance, headline, missing, waiting
from raysweep.errors import RaysweepError
from raysweep.registry import Entry
from raysweep.results.store import Store
from raysweep.space import Space, find_space
from raysweep.study import Study, find_study, space_names

if TYPE_CHECKING:
    from analysis.figures import Figure

TEMPLATE = "report.html.jinja"
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


def write_report(store_uri: str, studies: Sequence[str], out: Path | str) -> Path:
    """Write the page, and each figure as SVG and PNG and each table as CSV and Markdown; returns the page's path.

    Raises:
        RaysweepError: no store, no such study in it, or a folder that cannot be written.
    """
    store = Store.open(store_uri)
    lines = load_lines(store, list(dict.fromkeys(studies)))
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        sections = [_section(line, out) for line in lines]
        page = out / "report.html"
        page.write_text(_render(sections, store), encoding="utf-8")
    except OSError as error:
        raise RaysweepError(f"cannot write the report to {out}: {error}. Choose another --out.") from error
    return page


def _render(sections: list[dict[str, Any]], store: Store) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(TEMPLATE).render(
        sections=sections,
        store=store.uri,
        problems=list(dict.fromkeys(store.problems)),
        version=metadata.version("raysweep"),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _section(line: Line, out: Path) -> dict[str, Any]:
    stem = file_stem(line)
    table = summary(line)
    table.to_csv(out / f"{stem}.csv", index=False)
    (out / f"{stem}.md").write_text(markdown(table), encoding="utf-8")
    ordered = sorted(figures(), key=lambda entry: entry.make.order)
    return {
        "study": line.study,
        "protocol": line.protocol,
        "line": line.line,
        "shipped": known_study(line.study),
        "headline": headline(line),
        "chance": chance(line),
        "caption": caption(line),
        "settings": line.settings(),
        "pictures": [picture for entry in ordered if (picture := _picture(entry, line, out / f"{stem}-{entry.name}"))],
        "table": Markup(html(table)),  # escapes its texts itself
        "provenance": provenance(line),
        "waiting": waiting(line),
        "missing": missing(line),
        "trials": len(line.trials),
        "variants": _variants(line),
    }


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


def _picture(entry: Entry[Figure], line: Line, stem: Path) -> dict[str, str] | None:
    """The picture, where the figure has anything to show of the line."""
    frame = entry.make.data(line)
    if frame.empty:
        return None
    canvas = render(entry.make, frame, caption(line))
    return {"title": entry.summary, "source": base64.b64encode(save(canvas, stem)).decode()}


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


def _variants(line: Line) -> list[dict[str, Any]]:
    rows = line.trials.drop_duplicates("variant").set_index("variant").reindex(line.variants)
    return [{"name": name, "summary": row["summary"]} for name, row in rows.iterrows()]
