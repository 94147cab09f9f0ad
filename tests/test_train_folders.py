"""Folders as people have them: clutter, links, copies, files of other kinds; and what is said of each."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forgo._errors import ForgoError
from forgo._picture import MEDIA
from forgo._preprocess import Preprocessor, build
from forgo.training import _data, _folders, _metrics


def source() -> _data.Source:
    return _data.Source(Preprocessor(build(8, 8)))


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(noise).save(path, "PNG")
    return path


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    """Six pictures in each of two class folders, all different."""
    for i in range(6):
        picture(tmp_path / "data" / "a" / f"{i}.png", i)
        picture(tmp_path / "data" / "b" / f"{i}.png", 100 + i)
    return tmp_path / "data"


def find(folder: Path, valid: str | Path | float = 0.34) -> _data.Data:
    return _data.find(folder, valid, 0, source())


def test_clutter_of_archivers_is_no_class(two_classes: Path) -> None:
    (two_classes / "__MACOSX" / "a").mkdir(parents=True)
    (two_classes / "__MACOSX" / "a" / "._0.png").write_bytes(b"\0\5\26\7")
    picture(two_classes / "__MACOSX" / "a" / "0.png", 1)
    picture(two_classes / "@eaDir" / "thumb.png", 2)
    (two_classes / "a" / "._0.png").write_bytes(b"\0\5\26\7")
    found = find(two_classes)
    assert found.labels == ["a", "b"]
    assert found.set_aside == []
    assert len(found.train) + len(found.valid) == 12


def test_a_picture_is_known_by_its_content(two_classes: Path) -> None:
    picture(two_classes / "a" / "no-suffix", 7)
    picture(two_classes / "a" / "camera.dat", 8)
    (two_classes / "a" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    found = find(two_classes)
    assert len(found.train) + len(found.valid) == 14
    assert found.set_aside == []


def test_formats_are_those_that_training_sees(tmp_path: Path) -> None:
    """Known by content, not by name, and not those of the held-out parts."""
    saved = [
        ("PNG", ".png"),
        ("JPEG", ".png"),
        ("WEBP", ".jpg"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
        ("TIFF", ".tif"),
    ]
    for part, formats in (("train", saved[:3]), ("valid", saved)):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            for number, (kind, ending) in enumerate(formats):
                noise = np.random.default_rng([number, *f"{part}{label}".encode()]).integers(
                    0, 256, (9, 9, 3)
                )
                path = tmp_path / part / label / f"{number}{ending}"
                Image.fromarray(noise.astype(np.uint8)).save(path, kind)
    data = find(tmp_path)
    assert len(data.train) == 6
    assert len(data.valid) == 12
    assert data.formats() == ["image/jpeg", "image/png", "image/webp"]
    data.train = data.valid
    assert data.formats() == sorted(MEDIA)


def test_what_is_left_out_is_said(two_classes: Path) -> None:
    picture(two_classes / "lost.png", 9)
    (two_classes / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    (two_classes / "a" / "new.heic").write_bytes(b"\0\0\0\x18ftypheic")
    os.mkfifo(two_classes / "b" / "pipe.jpg")
    reasons = {Path(path).name: why for path, why in find(two_classes).set_aside}
    assert reasons == {
        "lost.png": "it is beside the class folders, so it has no class",
        "gone.jpg": "a link to nothing",
        "new.heic": "it is HEIC, which is not decoded: convert it to PNG or JPEG",
        "pipe.jpg": "no regular file",
    }


def test_links_are_followed_once(two_classes: Path, tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / "elsewhere" / f"{i}.png", 50 + i)
    (two_classes / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (two_classes / "a" / "loop").symlink_to(two_classes / "a")
    assert len([p for p, why in _folders.pictures(two_classes / "a") if not why]) == 9


def test_copies_are_noticed_links_among_them(two_classes: Path) -> None:
    (two_classes / "a" / "again.png").symlink_to(two_classes / "a" / "0.png")
    (two_classes / "b" / "wrong.png").hardlink_to(two_classes / "a" / "1.png")
    found = find(two_classes)
    names = {(Path(one).name, Path(other).name) for one, other in found.copies}
    assert names == {("again.png", "0.png")} or names == {("0.png", "again.png")}
    both = {Path(p).name for pair in [*found.contradictory, *found.leaked] for p in pair}
    assert both == {"wrong.png", "1.png"}


def test_a_picture_of_valid_linked_from_train_is_a_leak(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(2):
            picture(tmp_path / "train" / name / f"{i}.png", i + 10 * ord(name))
        (tmp_path / "valid").mkdir(exist_ok=True)
    (tmp_path / "valid" / "a").symlink_to(tmp_path / "train" / "a")
    picture(tmp_path / "valid" / "b" / "0.png", 3)
    assert len(find(tmp_path).leaked) == 2


@pytest.mark.parametrize(
    ("valid", "says"),
    [
        ("EMPTY", "EMPTY: it has no class folders with pictures"),
        ("MISSING", "MISSING: no such folder"),
        ("FILE", "FILE is a file: give the folder"),
        ("HALF", "HALF: no usable valid picture of class 'b'"),
        ("OTHER", "the class is not among the training classes (a, b)"),
    ],
)
def test_a_wrong_valid_folder_is_blamed_itself(
    two_classes: Path, tmp_path: Path, valid: str, says: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("x")
    picture(tmp_path / "HALF" / "a" / "0.png", 1)
    picture(tmp_path / "OTHER" / "c" / "0.png", 1)
    with pytest.raises(ForgoError, match=re.escape(says)) as refused:
        find(two_classes, tmp_path / valid)
    assert str(two_classes) not in str(refused.value)


def test_a_file_as_the_folder_is_called_a_file(tmp_path: Path) -> None:
    file = picture(tmp_path / "one.png", 1)
    with pytest.raises(ForgoError, match=r"one\.png is a file: give the folder"):
        find(file)


def test_pictures_are_decoded_once_and_kept(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = Preprocessor.decode

    def decode(self: Preprocessor, raw: bytes) -> Any:
        decoded.append(raw)
        return real(self, raw)

    monkeypatch.setattr(Preprocessor, "decode", decode)
    found = find(two_classes)
    reader = _data.Reader(found.train, source().preprocess)
    batch = reader([0, 1])
    assert batch.shape == (2, 8, 8, 3)
    assert len(decoded) == 12
    want = source().preprocess.read(found.train[1].path)
    assert np.array_equal(batch[1], want)


def test_pictures_beyond_the_memory_are_read_from_their_files(two_classes: Path) -> None:
    small = _data.Source(Preprocessor(build(8, 8)), cache_left=5 * 8 * 8 * 3 * 4)
    found = _data.find(two_classes, 0.34, 0, small)
    pictures = [*found.train, *found.valid]
    assert sum(p.array is not None for p in pictures) == 5
    reader = _data.Reader(pictures, small.preprocess)
    for i, array in enumerate(reader(range(12))):
        assert np.array_equal(array, small.preprocess.read(pictures[i].path))


@pytest.mark.parametrize(
    ("right", "counts", "at_chance"),
    [
        (6, (5, 5), True),
        (9, (5, 5), False),
        (90, (90, 10), True),
        (97, (90, 10), False),
        (2, (1, 1), True),
        (370, (100,) * 10, False),
        (110, (100,) * 10, True),
    ],
)
def test_chance_is_told_by_the_binomial_tail(right: int, counts: tuple[int, ...], at_chance: bool) -> None:
    total = sum(counts)
    measured = {
        "accuracy": right / total,
        "classes": [{"label": f"c{i}", "count": n} for i, n in enumerate(counts)],
    }
    warning = _metrics.at_chance(measured)
    assert (warning is not None) == at_chance
    if warning:
        assert "no better than always answering" in warning
