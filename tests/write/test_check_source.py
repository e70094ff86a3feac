"""`raysweep data check` of original images."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from raysweep.data.passed_over import EXAMPLES
from raysweep.verbs.entry import raysweep as command
from raysweep.write.check_source import check_source
from raysweep.write.contact_sheet import contact_sheet
from raysweep.write.look import SEEN, THUMBNAIL, Look
from raysweep.write.sources import open_source
from raysweep.write.sources.folder import FolderSource
from tests.images import Folder, encoded, noise, picture

GREY = Image.fromarray(noise(40, 40, 1)[:, :, 0])


def test_an_image_is_known_again_by_its_pixels_and_not_by_its_file(class_folder: Folder) -> None:
    same = picture(40, 50)
    bmp, turned = encoded(same, "BMP"), same.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when it is shown
    files = {
        "a.png": same,
        "b.bmp": bmp,
        "c.png": turned,
        "d.png": encoded(turned, exif=exif),
        "e.png": GREY,
        "f.png": b"\x89PNG",
    }
    root = class_folder({f"{split}/cat/{name}": data for split in ("train", "val") for name, data in files.items()})
    samples = FolderSource(root).splits["train"]
    looked = Look("train", range(6), frozenset([0, 4])).do(samples.fetch(range(6)))
    rows = {int(row["index"]): row for row in looked.rows}
    assert [*rows] == [0, 1, 2, 3, 4]
    assert rows[0]["pixels"] == rows[1]["pixels"] == rows[3]["pixels"] != rows[2]["pixels"]
    assert [(rows[k]["height"], rows[k]["width"]) for k in (0, 2, 3)] == [(40, 50), (50, 40), (40, 50)]
    assert [bool(rows[k]["is_grey"]) for k in rows] == [False] * 4 + [True]
    assert [*looked.reasons] == [5]
    assert {index: max(shown.shape[:2]) for index, shown in looked.thumbnails.items()} == {0: 50, 4: 40}
    parts = [Look("train", [k]).do(samples.picture) for k in range(6)]
    assert (Look("train", range(6)).joined(parts).rows == looked.rows).all()
    assert looked.rows.dtype == SEEN
    ended = Look("train", [3]).lost("ended by SIGSEGV")
    assert Look("train", [3, 0]).joined([ended, parts[0]]).reasons == {3: "ended by SIGSEGV"}


def test_everything_that_may_be_a_mistake_is_found(class_folder: Folder, tmp_path: Path) -> None:
    files: dict[str, bytes | Image.Image] = {f"train/cat/{k:02}.png": picture(40, 40, k) for k in range(12)}
    files |= {
        "train/dog/a.png": picture(40, 40, 0),
        "train/cat/again.png": picture(40, 40, 3),
        "train/cat/tall.png": picture(200, 40, 60),
    }
    files |= {"train/cat/grey.png": GREY, "train/cat/broken.png": b"\x89PNG\r\n", "train/cat/notes.txt": b"?"}
    files |= {
        "val/cat/0.png": picture(40, 40, 5),
        "val/dog/0.png": picture(20, 40, 90),
        "val/emu/0.png": picture(40, 40, 91),
    }
    root = class_folder(files)
    done = CliRunner().invoke(
        command, ["data", "check", str(root), "--json", "--sheet", "s.png"], catch_exceptions=False
    )
    (found,) = json.loads(done.stdout)
    counts = {
        finding["what"]: (finding["count"], finding["examples"]) for finding in found["findings"] if finding["count"]
    }
    assert found["classes"] == ["cat", "dog", "emu"]
    assert {name: (split["images"], split["counts"]) for name, split in found["splits"].items()} == {
        "train": (17, [16, 1, 0]),
        "test": (3, [1, 1, 1]),
    }

    def only(word: str, *more: str) -> tuple[int, list[str]]:
        (value,) = [value for what, value in counts.items() if all(part in what for part in (word, *more))]
        return value

    assert only("decoded") == (1, ["train/cat/broken.png (not an image in a known format)"])
    assert only("repeat") == (2, ["train/cat/00.png = train/dog/a.png", "train/cat/03.png = train/cat/again.png"])
    assert only("among the training") == (1, ["train/cat/05.png = val/cat/0.png"])
    assert only("different classes") == (2, ["train/cat/00.png (cat) = train/dog/a.png (dog)"])
    assert only("as long as wide") == (1, ["train/cat/tall.png (40x200)"])
    assert only("below 32 px") == (1, ["val/dog/0.png (40x20)"])
    assert only("greyscale") == (1, ["train/cat/grey.png (40x40)"])
    assert only("without training") == (1, ["emu"])
    assert only("one training") == (1, ["dog"])
    assert only("largest class") == (16, ["cat: 16", "dog: 1"])
    assert only("suffix .txt") == (1, ["train/cat/notes.txt"])
    assert len(counts) == 11
    assert "emu" in found["warnings"][0]
    with Image.open(found["sheet"]) as sheet:
        assert sheet.height > 3 * THUMBNAIL
    assert not (tmp_path / "set" / "manifest.json").exists()


@pytest.mark.long
def test_a_clean_set_has_no_findings(class_folder: Folder) -> None:
    names = [f"{split}/{name}/{k}.png" for split in ("train", "val") for name in ("cat", "dog") for k in range(2)]
    root = class_folder({name: picture(40, 40, seed) for seed, name in enumerate(names)})
    shown = CliRunner().invoke(command, ["data", "check", str(root)], catch_exceptions=False).stdout
    assert "unusual" in shown
    assert "check-set.png" in shown
    assert Path("check-set.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_the_published_counts_of_imagenette_and_no_picture_twice(real_images: Path) -> None:
    checked = check_source(open_source(str(real_images / "imagenette144.parquet")))
    # The numbers of fastai's own list, by class; those of its validation split less a part that is held elsewhere.
    assert checked.splits["train"].counts == (963, 955, 993, 858, 941, 956, 961, 931, 951, 960)
    assert sum(checked.splits["test"].counts) == 3532
    found = {finding.what: finding.count for finding in checked.findings if finding.count}
    assert [*found] == ["greyscale train images", "greyscale test images"]


def test_names_on_a_contact_sheet_are_shown_and_not_acted_upon() -> None:
    pixels = np.full((8, 8, 3), 200, np.uint8)
    strange = {"\x1b[2Jcat\n": [("train", pixels)], "\u732b" * 100: [("test", pixels)], "": [("train", pixels)] * 12}
    with Image.open(io.BytesIO(contact_sheet(strange, "a" * 1000))) as sheet:
        shown = np.asarray(sheet)
    assert (shown == 200).all(axis=2).sum() == 14 * 64
    orange = (shown == (255, 165, 0)).all(axis=2).any(axis=1)
    assert orange.any()
    assert EXAMPLES == 3
