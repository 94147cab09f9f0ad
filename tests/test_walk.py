"""One walk of folders: training, export and forgo predict find the same pictures, and say what they leave out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import forgo
from forgo._walk import left_out, walk
from forgo.exporting._rows import Pictures, read_examples
from forgo.training import _folders
from tests.conftest import BUNDLES
from tests.conftest import forgo as run_forgo

PICTURE = sorted((BUNDLES / "shapes.forgo" / "golden").glob("*.jpg"))[0].read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What people have in folders of pictures."""
    top = tmp_path / "photos"
    for name in (
        "b/2.JPG", "a.jpeg", "b/c/3", "camera.dat", "4.Tiff", "scan.jpg.txt",
        "__MACOSX/y.jpg", "._a.jpeg", ".hidden/x.jpg", "b/@eaDir/thumb.jpg",
    ):  # fmt: skip
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(PICTURE)
    (top / "notes.txt").write_text("of the pictures")
    (top / "b" / "empty").write_bytes(b"")
    (top / "gone.jpg").symlink_to("nowhere.jpg")
    (top / "again.jpg").symlink_to("a.jpeg")
    (top / "b" / "loop").symlink_to(top)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(PICTURE)
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(top / "pipe.jpg")
    os.mkfifo(top / "b" / "pipe")
    return top


FOUND = [
    "4.Tiff", "a.jpeg", "again.jpg", "b/2.JPG", "b/c/3", "camera.dat", "linked/far.png", "scan.jpg.txt",
]  # fmt: skip
LEFT = (
    "10 of 18 files are left out: hidden, or left by an archiver: 4 (._a.jpeg); no picture: 2 (b/empty); "
    "a link to a folder that is walked already: 1 (b/loop); no regular file: 2 (b/pipe); a link to nothing: 1 (gone.jpg)"
)


def test_every_verb_finds_the_same(folder: Path) -> None:
    pictures = read_examples(folder)
    assert isinstance(pictures, Pictures)
    assert [str(p.relative_to(folder)) for p in pictures] == FOUND
    assert pictures.note == f"{folder}: {LEFT}"
    trained_on = [str(p.relative_to(folder)) for p, why in _folders.pictures(folder) if not why]
    assert trained_on == FOUND
    done = run_forgo("predict", "--json", BUNDLES / "shapes.forgo", folder)
    assert done.code == 0, done.err
    answered = [json.loads(line)["file"] for line in done.out.splitlines()]
    assert [str(Path(f).relative_to(folder)) for f in answered] == FOUND
    assert done.err == f"forgo: {folder}: {LEFT}\n"


def test_a_file_called_like_a_picture_is_refused_by_name(folder: Path) -> None:
    (folder / "page.jpg").write_text("<html>")
    (folder / "new.heic").write_bytes(b"\0\0\0\x18ftypheic")
    found = {str(p.relative_to(folder)): why for p, why in walk(folder)}
    assert found["page.jpg"] == found["new.heic"] == ""
    done = run_forgo("predict", "--json", BUNDLES / "shapes.forgo", folder)
    assert done.code == 1
    assert "page.jpg: " in done.err
    assert "new.heic: " in done.err


def test_what_training_passes_over_is_counted(folder: Path) -> None:
    passed: list[tuple[Path, str]] = []
    list(_folders.pictures(folder, passed))
    assert left_out(folder, passed, 8).startswith(f"{folder}: 7 of 15 files are left out: hidden")


def test_a_folder_without_pictures_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(
        forgo.ExportError, match=r"no pictures .*1 of 1 files are left out: no picture: 1 \(notes"
    ):
        read_examples(tmp_path)
    done = run_forgo("predict", BUNDLES / "shapes.forgo", tmp_path)
    assert done.code == 1
    assert "no picture: 1 (notes.txt)" in done.err
