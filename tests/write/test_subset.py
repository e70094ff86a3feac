from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from raysweep.data.manifest import read_manifest
from raysweep.errors import RaysweepError
from raysweep.verbs.entry import raysweep
from raysweep.write.sources import open_source
from raysweep.write.sources.subset import Subset
from tests.images import Folder, encoded, noise


def test_the_first_of_each_class_in_the_order_of_the_source(real_images: Path) -> None:
    whole = open_source(str(real_images / "cifar10.parquet"))
    some = Subset(whole, 3, 2)
    for split, count in (("train", 3), ("test", 2)):
        labels = whole.splits[split].labels.tolist()
        seen: Counter[int] = Counter()
        expected = []
        for index, label in enumerate(labels):
            seen[label] += 1
            if seen[label] <= count:
                expected.append(index)
        samples, originals = some.splits[split], whole.splits[split]
        assert samples.labels.tolist() == [labels[index] for index in expected]
        assert [samples.name(number) for number in range(len(samples))] == list(map(originals.name, expected))
        assert [samples.picture(number) for number in range(len(samples))] == list(map(originals.picture, expected))
        part = pickle.loads(pickle.dumps(samples.fetch([4, 1])))
        assert [part(4), part(1)] == [originals.picture(expected[4]), originals.picture(expected[1])]
    assert some.classes == whole.classes


@pytest.mark.parametrize(("train", "test"), [(3, 1), (2, 2), (0, 1), (-1, 1)])
def test_a_class_with_fewer_is_named(class_folder: Folder, train: int, test: int) -> None:
    train_images = {f"train/{name}/{k}.png": _png(k) for name, last in (("cat", 3), ("dog", 2)) for k in range(last)}
    root = class_folder(train_images | {f"val/{name}/1.png": _png(5) for name in ("cat", "dog")})
    with pytest.raises(RaysweepError, match=r"(dog has 2|cat has 1)\b.* 1 to (2|1)\b"):
        Subset(open_source(str(root)), train, test)


def test_the_command_writes_it_and_says_what_it_is(class_folder: Folder, tmp_path: Path) -> None:
    names = [f"{split}/{name}/{number}.png" for split in ("train", "val") for name in "ab" for number in range(4)]
    root = class_folder({name: _png(number) for number, name in enumerate(names)})
    arguments = ["data", "write", str(root), str(tmp_path / "small"), "--per-class", "3", "2", "--workers", "1"]
    done = CliRunner().invoke(raysweep, arguments)
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "small")
    assert manifest.splits["train"].class_counts == (3, 3)
    assert manifest.splits["test"].class_counts == (2, 2)
    assert manifest.name == "set-3-2"
    assert manifest.source.endswith("3 training and 2 test images of each class")
    # Another subset is another set: what is there is not silently taken for it.
    other = CliRunner().invoke(raysweep, [*arguments[:5], "2", "2"])
    assert other.exit_code != 0


def _png(seed: int) -> bytes:
    return encoded(Image.fromarray(noise(8, 8, seed)))
