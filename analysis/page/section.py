"""The section of a report on one line: pictures, tables, sentences and provenance, and their files next to the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from raysweep.analysis import confusion
from raysweep.analysis.captions import caption
from raysweep.analysis.figures import Drawing, Evidence, Source, figures, overviews, render, save
from raysweep.analysis.load import Line
from raysweep.analysis.page.answers import answer, verdict_table
from raysweep.analysis.page.answers import readable as answer_text
from raysweep.analysis.page.gain_tables import csv, latex, markdown, readable, summary
from raysweep.analysis.page.words import agreement_words, headline, missing, trust, waiting
from raysweep.analysis.statistics import importance as importances
from raysweep.errors import RaysweepError
from raysweep.registry import Entry, Registry
from raysweep.space import Space, find_space
from raysweep.study import Study, find_study, space_names
from raysweep.units import as_set, brief

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
"""Column of the trials -> its label on the page."""
Picture = Mapping[str, str]
MOST_RECIPES = 200
"""Most variants that a section describes; the CSV has all."""


def facts(line: Line) -> dict[str, Any]:
    """What every page says about a line."""
    held = line.baseline_recipe.data.holdout
    return {
        "study": line.study,
        "answers": [answer(line, question) for question in line.asked],
        "judged_on": "images held out of the training split" if held else "the test split",
        "protocol": line.protocol,
        "line": line.line,
        "architectures": line.is_architecture_search,
        "shipped": known_study(line.study),
        "headline": headline(line),
        "trust": trust(line),
        "agreement": agreement_words(line),
        "caption": caption(line),
        "settings": {path: brief(value) for path, value in line.settings().items()},
        "provenance": provenance(line),
        "waiting": waiting(line),
        "missing": missing(line),
        "trials": len(line.trials),
    }


def section(line: Line, drawn: list[Picture], out: Path) -> dict[str, Any]:
    """The values that the template shows of a line; also writes its tables to the folder."""
    stem = file_stem(line)
    table, changed = summary(line), changes(line)
    write_tables(table.assign(**{"differs in": changed}), readable(table), out / stem)
    matters = importances.importance(line)
    if len(matters):
        write_tables(matters, importances.readable(matters), out / f"{stem}-importance")
    for number, question in enumerate(line.asked):
        verdicts = verdict_table(line, question)
        write_tables(verdicts, answer_text(verdicts), out / f"{stem}-verdicts{number + 1 if number else ''}")
    of_classes = confusion.per_class(line.last_test) if line.last_test else None
    if of_classes is not None:
        write_tables(of_classes, confusion.readable(of_classes), out / f"{stem}-classes")
    tables = {"table": readable(table), "importance": importances.readable(matters) if len(matters) else None}
    tables["classes"] = None if of_classes is None else confusion.readable(of_classes)
    tested = confusion.words(line.last_test) if line.last_test else ""
    return facts(line) | tables | {"tested": tested} | {"pictures": drawn, "recipes": recipes(line, changed)}


def write_tables(numbers: pd.DataFrame, text: pd.DataFrame, stem: Path) -> None:
    """Write the numbers as CSV, and the text as Markdown and LaTeX."""
    for suffix, content in (("csv", csv(numbers)), ("md", markdown(text)), ("tex", latex(text))):
        stem.with_name(f"{stem.name}.{suffix}").write_text(content, encoding="utf-8")


def file_stem(line: Line) -> str:
    """The stem of the names of a line's files: letters, digits, `_` and `-` only."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{line.study}-{line.protocol}-{line.line}")[:100]


def known_study(name: str) -> Study | Space | None:
    """The shipped study or search space of that name; None for others that a store may have."""
    if name in space_names():
        return find_space(name)
    try:
        return find_study(name)
    except RaysweepError:
        return None


def shown(drawings: Registry[Drawing[Source]], source: Source) -> Iterator[tuple[Entry[Drawing[Source]], pd.DataFrame]]:
    """The figures that have something to show of a source, in their order, each with its frame."""
    for entry in sorted(drawings, key=lambda entry: entry.make.order):
        frame = entry.make.data(source)
        if len(frame):
            yield entry, frame


def pictures(line: Line, out: Path) -> list[Picture]:
    """Draw every figure that has something to show of a line, and write it to the folder."""
    stem = out / file_stem(line)
    return [_drawn(entry, frame, caption(line), stem) for entry, frame in shown(figures(), line)]


def overview_pictures(evidence: Evidence, out: Path) -> list[Picture]:
    """Draw every overview that has something to show, and write it to the folder."""
    return [_drawn(entry, frame, origins(frame), out / "overview") for entry, frame in shown(overviews(), evidence)]


def origins(frame: pd.DataFrame) -> str:
    """The captions of the rows of an overview."""
    return " ".join(dict.fromkeys(frame["caption"]))


def _drawn(entry: Entry[Drawing[Any]], frame: pd.DataFrame, words: str, stem: Path) -> Picture:
    source = save(render(entry.make, frame, words), stem.with_name(f"{stem.name}-{entry.name}"))
    return {"title": entry.summary, "source": base64.b64encode(source).decode()}


def provenance(line: Line) -> dict[str, str]:
    """Label -> value: the machine, versions, commit, first start and last change behind the numbers."""
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
    """Each variant with the sentence that describes it and the fields in which it differs from the baseline."""
    texts = line.trials.drop_duplicates("variant").set_index("variant")["summary"].reindex(line.shown[:MOST_RECIPES])
    described = zip(texts.index, texts.fillna(""), changed, strict=False)
    return [{"name": name, "summary": text, "changes": fields} for name, text, fields in described]


def changes(line: Line) -> list[str]:
    """The fields in which each shown variant differs from the baseline, as `field=value, ...`."""
    own = line.changes()
    return [as_set(own.get(name, {})) for name in line.shown]
