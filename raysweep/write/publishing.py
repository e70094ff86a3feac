"""The files of the sets: made from shards, read again to verify their checksums, described by a manifest, and moved."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raysweep.data.beton import Beton, read_beton
from raysweep.data.manifest import (
    FILE_NAME,
    MEMORY_NAME,
    SPLITS,
    VERSION,
    Manifest,
    Split,
    read_manifest,
    write_manifest,
)
from raysweep.disk.whole import sync_file, write_whole
from raysweep.errors import RaysweepError
from raysweep.process.machine import usable_cores
from raysweep.safe import printable
from raysweep.write.beton_writer import BetonWriter
from raysweep.write.forms import Form
from raysweep.write.sources.base import Source, check_classes
from raysweep.write.staging import Staging, clear

LISTED = 10
"""Number of bad images that an error lists."""


def finish(staging: Staging, source: Source) -> None:
    """Assemble and verify all files and write their manifests.

    Raises:
        RaysweepError: a class or split has lost all its images, a shard is damaged, or a file does not have the content
            that was written.
        OSError: the disk is full or fails.
    """
    labels = {split: samples.labels for split, samples in source.splits.items()}
    counts = {
        split: np.bincount(values[staging.good(split)], minlength=len(source.classes)).tolist()
        for split, values in labels.items()
    }
    _check_left(staging, source, counts)
    _assemble(staging, labels)
    with ThreadPoolExecutor(usable_cores()) as pool:
        described = {
            name: {split: pool.submit(_describe, staging, k, name, split, counts[split]) for split in SPLITS}
            for k, name in enumerate(staging.job.forms)
        }
        for name, jobs in described.items():
            parts = {split: job.result() for split, job in jobs.items()}
            write_manifest(staging.folder(name), _manifest(staging, source, name, parts))
    staging.set_finished()


def _check_left(staging: Staging, source: Source, counts: Mapping[str, list[int]]) -> None:
    for split in SPLITS:
        if not sum(counts[split]):
            raise RaysweepError(
                f"none of the {split} images can be stored: " + ", ".join(bad_images(staging, source)[:3])
            )
    check_classes(source.classes, counts["train"], source.spec)


def _assemble(staging: Staging, labels: Mapping[str, NDArray[np.int64]]) -> None:
    """Move the images of all shards into the files of their splits, in order, and write the tables of the files.

    The place of an image depends on the sizes of the images before it only, which the tables of the shards keep: this
    can be interrupted at any point and repeated.
    """
    folders = [staging.folder(name) for name in staging.job.forms]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for split, values in labels.items():
        good = staging.good(split)
        stored = staging.rows[split]["stored"][good]
        with ExitStack() as stack:
            files = [
                stack.enter_context(closing(BetonWriter(folder / f"{split}.beton", stored[:, k], len(values))))
                for k, folder in enumerate(folders)
            ]
            for indices in staging.shards(split):
                if parts := staging.read(split, indices):  # otherwise moved before an interruption
                    for file, data in zip(files, parts, strict=True):
                        file.put(int(np.searchsorted(good, indices[0])), data.data)
                        file.sync()
                    staging.discard(split, indices)
            for file in files:
                file.finish(values[good])


def refuse_bad(staging: Staging, source: Source, skip: bool) -> None:
    """Refuse images that could not be stored, unless they are to be skipped.

    Raises:
        RaysweepError: lists them; if there are many, a file lists all.
    """
    bad = [printable(one) for one in bad_images(staging, source)]
    if skip or not bad:
        return
    more = ""
    if len(bad) > LISTED:
        write_whole(staging.place / "bad.txt", "\n".join(bad) + "\n")
        more = f"\n  and {len(bad) - LISTED:,} more; {staging.place / 'bad.txt'} lists all"
    advice = (
        f"Add --skip-bad again, or remove {staging.place} to start over."
        if staging.is_assembling
        else "Repair these images and give the same command again, which then encodes them and their neighbours only, "
        "or skip them with --skip-bad."
    )
    raise RaysweepError(
        f"{len(bad):,} of {staging.total:,} images cannot be stored:\n  " + "\n  ".join(bad[:LISTED]) + more + "\n"
        f"All others are kept in {staging.place}. {advice}"
    )


def bad_images(staging: Staging, source: Source) -> list[str]:
    """The images that could not be stored, each with the reason."""
    return [
        f"{samples.name(index)} ({reason})"
        for split, samples in source.splits.items()
        for index, reason in sorted(staging.bad[split].items())
    ]


def _describe(staging: Staging, form: int, name: str, split: str, counts: list[int]) -> tuple[Split, str]:
    """The manifest's entry for a file, and the digest of its content."""
    beton = read_beton(staging.folder(name) / f"{split}.beton")
    rows = staging.rows[split]["stored"][staging.good(split), form]
    content = content_digest(beton, rows["crc"])
    with beton.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Split(f"{split}.beton", beton.path.stat().st_size, sha256, len(beton), tuple(counts)), content


def content_digest(beton: Beton, checksums: NDArray[np.uint32]) -> str:
    """A digest of sides, labels and stored bytes in the order of the images, independent of their places in the file.

    Raises:
        RaysweepError: the bytes of an image do not have the CRC-32 they had when they were encoded.
    """
    content = hashlib.blake2b(digest_size=16)
    heads = np.stack([beton.labels, beton.heights, beton.widths, beton.sizes.astype(np.int64)], 1).astype("<i8")
    for index, head in enumerate(heads):
        stored = beton.stored(index).data
        if zlib.crc32(stored) != checksums[index]:
            raise RaysweepError(
                f"{beton.path} does not have the content that was written, first at image {index}: the disk or another "
                f"program has changed it. Remove {beton.path.parents[2]} to start over."
            )
        content.update(head.tobytes())
        content.update(stored)
    return content.hexdigest()


def _manifest(staging: Staging, source: Source, name: str, parts: Mapping[str, tuple[Split, str]]) -> Manifest:
    form, number = staging.job.forms[name], list(staging.job.forms).index(name)
    stored = np.concatenate([rows["stored"][staging.good(split), number] for split, rows in staging.rows.items()])
    short_side = int(np.minimum(stored["height"], stored["width"]).min())
    return Manifest(
        version=VERSION,
        name=source.name,
        source=source.spec,
        classes=tuple(source.classes),
        short_side=short_side,
        encoding=form.encoding,
        quality=form.quality,
        digest=set_digest(form, short_side, source.classes, {split: content for split, (_, content) in parts.items()}),
        splits={split: entry for split, (entry, _) in parts.items()},
        skipped=tuple(bad_images(staging, source)),
        rescale=form.rescale,
        raw_share=form.raw_share if form.encoding == "mixed" else None,
        passed_over=dict(source.passed_over),
    )


def set_digest(form: Form, short_side: int, classes: Sequence[str], contents: Mapping[str, str]) -> str:
    """The digest of an image set: 12 hexadecimal digits that are part of the ids of its trials."""
    content = [form.encoding, short_side, list(classes), sorted(contents.items())]
    if form.rescale != "auto":  # sets that were written before this option existed keep their digest
        content.append(form.rescale)
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=6).hexdigest()


def publish(staging: Staging, folder: Path, overwrite: bool) -> None:
    """Move finished sets to their folders and remove the staging folder. Can be interrupted and repeated.

    Raises:
        RaysweepError: another process has written a set to a folder.
    """
    for name in staging.job.forms:
        if (staging.folder(name) / FILE_NAME).exists():  # the last file to be moved
            _put_in_place(staging.folder(name), folder / name, overwrite)
    clear(staging.place)


def _put_in_place(staged: Path, target: Path, overwrite: bool) -> None:
    target.mkdir(exist_ok=True)
    if (target / FILE_NAME).exists() and not overwrite:
        raise RaysweepError(f"{target} has been written by another process meanwhile: replace it with --overwrite.")
    # No manifest from here to the end, so that a crash between two renames never leaves a set that looks whole.
    for name in (FILE_NAME, MEMORY_NAME):
        (target / name).unlink(missing_ok=True)
    for name in [*(split.file for split in read_manifest(staged).splits.values()), FILE_NAME]:
        if (staged / name).exists():
            (staged / name).replace(target / name)
    sync_file(target)
