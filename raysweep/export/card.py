"""`card.md`: where an exported network comes from, and how to train it again."""

from __future__ import annotations

from raysweep.export.network import Trained
from raysweep.identity import changes
from raysweep.safe import command, markdown_code, markdown_text
from raysweep.units import brief


def card_text(trained: Trained, about: str) -> str:
    """The page in Markdown; names from data are escaped."""
    row, recipe = trained.row, trained.recipe
    settings = [f"| {markdown_code(path)} | {markdown_code(brief(value))} |" for path, value in changes(recipe).items()]
    where = "held-out training images" if recipe.data.holdout else "the test split"
    data, images = recipe.data, markdown_text(row.get("data_name") or "unknown")
    names = ", ".join(markdown_text(name) for name in trained.classes[:20])
    more = f" and {len(trained.classes) - 20} more" if len(trained.classes) > 20 else ""
    again = command("raysweep", "trial", trained.trial, "--store", "STORE", "--into", "again", "--keep-checkpoint")
    return "\n".join(
        [
            f"# {markdown_text(recipe.network.name)}, trial {trained.trial}",
            "",
            f"Top-1 {100 * row['top1']:.2f} % on {where}. {markdown_text(about)}".strip(),
            "",
            f"- images: {images}, digest {markdown_code(data.digest or '-')}",
            f"- input: {data.channels} channel(s), {data.side} px, from images of {data.short_side} px",
            f"- outputs: {names}{more}",
            f"- parameters {row['params']:,}, multiply-accumulates {row['macs']:,} an image",
            "- it was measured on images like those named above; on others it may do much worse",
            "",
            f"Train it again from its store: `{again}`",
            "",
            "| setting | value |",
            "|---|---|",
            *settings,
            "",
        ]
    )
