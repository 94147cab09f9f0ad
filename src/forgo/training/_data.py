"""Folders of pictures: which there are, how they are split, and reading them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ForgoError, PictureError
from forgo._picture import SUFFIXES, decode
from forgo._preprocess import Preprocessor
from forgo.training._annotations import read_attribute, read_partition

CACHE_BYTES = 2 << 30
"""Preprocessed pictures are kept in memory up to this size, and read anew each epoch beyond it."""

_NOT_ACCEPTED = {".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"}


@dataclass(frozen=True)
class Picture:
    """One picture file and its class."""

    path: Path
    label: int
    digest: str


@dataclass
class Data:
    """The pictures of each part, and what was found on the way."""

    labels: list[str]
    train: list[Picture]
    valid: list[Picture]
    test: list[Picture]
    """Empty unless the folder has one: then the held-out metrics come from valid."""
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    """Files that were not used, with the reason. They are never changed."""
    leaked: list[tuple[str, str]] = field(default_factory=list)
    """Held-out pictures that are also, byte for byte, in train: (held out, in train)."""

    @property
    def held_out(self) -> list[Picture]:
        """The pictures that metrics and golden cases come from."""
        return self.test or self.valid

    @property
    def held_out_part(self) -> str:
        """Their part's name."""
        return "test" if self.test else "valid"

    def digest(self) -> str:
        """One SHA-256 over all pictures used, their classes and parts."""
        h = hashlib.sha256()
        for part, pictures in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            for line in sorted(f"{part} {self.labels[p.label]} {p.digest}" for p in pictures):
                h.update(line.encode() + b"\n")
        return h.hexdigest()


def find(folder: Path, valid: str | Path | float, seed: int, preprocess: Preprocessor) -> Data:
    """Find the pictures of class folders and split them.

    Args:
        folder: holds ``train/CLASS`` and ``valid/CLASS`` (``test/CLASS`` too, if there is one),
            or ``CLASS`` folders, which are then split.
        valid: another folder of ``CLASS`` folders, or the share of each class to hold out,
            between 0 and 1. Not used where ``folder`` has a ``valid`` of its own.
        seed: of the split.
        preprocess: every picture is read through it once, to find those that cannot be.

    Raises:
        ForgoError: there is nothing to train on.
    """
    if not folder.is_dir():
        raise ForgoError(f"{folder}: no such folder")
    data = Data([], [], [], [])
    has_train = (folder / "train").is_dir()
    top = folder / "train" if has_train else folder
    data.labels = _classes(top)
    if len(data.labels) < 2:
        raise ForgoError(
            f"{top}: training needs two classes or more, as folders with pictures in them; found {len(data.labels)}"
        )
    parts: dict[str, Path] = {"train": top}
    if has_train and (folder / "valid").is_dir():
        parts["valid"] = folder / "valid"
    elif not isinstance(valid, float):
        parts["valid"] = Path(valid)
    if has_train and (folder / "test").is_dir():
        parts["test"] = folder / "test"
    for part, at in parts.items():
        setattr(data, part, _read_part(at, data, preprocess))
    if "valid" not in parts:
        assert isinstance(valid, float)
        data.train, data.valid = split(data.train, valid, seed)
    _check(data, folder)
    return data


@dataclass(frozen=True)
class Annotations:
    """A list of attributes that says the class of every picture."""

    file: Path
    """In the form of CelebA's ``list_attr_celeba.txt`` or its CSV."""
    attribute: str
    class_names: tuple[str, str] | None = None
    """Of the pictures without the attribute and of those with it; "not NAME" and NAME if None."""
    partition: Path | None = None
    """In the form of CelebA's ``list_eval_partition.txt`` or its CSV: who is train, valid, test."""


def find_annotated(
    folder: Path, annotations: Annotations, valid: str | Path | float, seed: int, preprocess: Preprocessor
) -> Data:
    """Find the pictures that a list names, and split them by another list or by a share.

    Args:
        folder: holds the pictures by the names that the list has.
        annotations: the list.
        valid: the share of each class to hold out, where there is no partition.
        seed: of the split.
        preprocess: every picture is read through it once, to find those that cannot be.

    Raises:
        ForgoError: there is nothing to train on, or a list cannot be read.
    """
    if not folder.is_dir():
        raise ForgoError(f"{folder}: no such folder")
    with_it = read_attribute(annotations.file, annotations.attribute)
    parts = read_partition(annotations.partition) if annotations.partition else {}
    names = annotations.class_names or (f"not {annotations.attribute}", annotations.attribute)
    data = Data(list(names), [], [], [])
    files: dict[str, list[tuple[Path, int]]] = {"train": [], "valid": [], "test": []}
    for name, has in with_it.items():
        path = folder / name
        part = parts.get(name) if parts else "train"
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ForgoError(f"{annotations.file}: {name} lies outside {folder}")
        if not path.is_file():
            data.set_aside.append((str(path), f"{annotations.file.name} names it, but there is no such file"))
        elif part is None:
            data.set_aside.append((str(path), f"{annotations.partition} does not name it"))
        else:
            files[part].append((path, int(has)))
    for part, listed in files.items():
        setattr(data, part, _read_files(listed, data, preprocess))
    if not files["valid"]:
        if not isinstance(valid, float):
            raise ForgoError(
                "--valid takes a share between 0 and 1 with --annotations; --partition names the pictures"
            )
        data.train, data.valid = split(data.train, valid, seed)
    _check(data, folder)
    return data


def _check(data: Data, folder: Path) -> None:
    for part in ("train", "valid"):
        present = {p.label for p in getattr(data, part)}
        if missing := [label for i, label in enumerate(data.labels) if i not in present]:
            raise ForgoError(
                f"{folder}: no usable {part} picture of class {missing[0]!r}: add pictures, or remove the class"
            )
    _find_leaks(data)


def _classes(folder: Path) -> list[str]:
    """Class folders, sorted as strings: the order of the model's output."""
    return sorted(
        d.name for d in folder.iterdir()
        if d.is_dir() and not d.name.startswith(".") and any(p.suffix.lower() in SUFFIXES for p in d.rglob("*"))
    )  # fmt: skip


def _read_part(folder: Path, data: Data, preprocess: Preprocessor) -> list[Picture]:
    if not folder.is_dir():
        raise ForgoError(f"{folder}: no such folder")
    if extra := [c for c in _classes(folder) if c not in data.labels]:
        raise ForgoError(
            f"{folder / extra[0]}: this class is not among the training classes ({', '.join(data.labels)})"
        )
    files = []
    for number, label in enumerate(data.labels):
        for path in sorted((folder / label).rglob("*")) if (folder / label).is_dir() else []:
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."):
                files.append((path, number))
            elif path.suffix.lower() in _NOT_ACCEPTED:
                data.set_aside.append(
                    (str(path), f"{path.suffix} pictures are not accepted; convert it to PNG")
                )
    return _read_files(files, data, preprocess)


def _read_files(files: list[tuple[Path, int]], data: Data, preprocess: Preprocessor) -> list[Picture]:
    """Read every picture once, and set aside those that cannot be used."""

    def usable(item: tuple[Path, int]) -> Picture | str:
        path, label = item
        try:
            raw = path.read_bytes()
            preprocess(decode(raw))
        except PictureError as e:
            return str(e)
        except OSError as e:
            return e.strerror or str(e)
        return Picture(path, label, hashlib.sha256(raw).hexdigest())

    pictures = []
    with ThreadPoolExecutor() as pool:
        for (path, _), result in zip(files, pool.map(usable, files), strict=True):
            if isinstance(result, str):
                data.set_aside.append((str(path), result))
            else:
                pictures.append(result)
    return pictures


def split(pictures: list[Picture], share: float, seed: int) -> tuple[list[Picture], list[Picture]]:
    """Hold out a share of each class, at least one picture, by a seed.

    Files with the same bytes stay on one side: a copy of a training picture would flatter the
    metrics.
    """
    if not 0 < share < 1:
        raise ForgoError(f"--valid takes a folder or a share between 0 and 1, not {share:g}")
    generator = np.random.default_rng(seed)
    by_class: dict[int, dict[str, list[Picture]]] = defaultdict(lambda: defaultdict(list))
    for p in pictures:
        by_class[p.label][p.digest].append(p)
    train: list[Picture] = []
    valid: list[Picture] = []
    for label in sorted(by_class):
        groups = list(by_class[label].values())
        wanted = max(1, round(share * sum(map(len, groups))))
        taken = 0
        for i in generator.permutation(len(groups)):
            side = valid if taken < wanted else train
            taken += len(groups[i]) if side is valid else 0
            side.extend(groups[i])
    return train, valid


def _find_leaks(data: Data) -> None:
    known = {p.digest: p for p in data.train}
    for p in [*data.valid, *data.test]:
        if p.digest in known:
            data.leaked.append((str(p.path), str(known[p.digest].path)))


class Reader:
    """Reads preprocessed pictures in parallel, from memory where they have all fitted."""

    def __init__(
        self, pictures: list[Picture], preprocess: Preprocessor, shape: tuple[int, int, int]
    ) -> None:
        self.pictures = pictures
        self.labels = np.array([p.label for p in pictures], np.int32)
        self._shape = shape
        self._preprocess = preprocess
        self._pool = ThreadPoolExecutor()
        self._cached: npt.NDArray[np.float32] | None = None
        if len(pictures) * int(np.prod(shape)) * 4 <= CACHE_BYTES:
            self._cached = self._read(range(len(pictures)))

    def __call__(self, indices: Any) -> npt.NDArray[np.float32]:
        """Pictures by number, float32 [n, height, width, 3]."""
        if self._cached is not None:
            return np.asarray(self._cached[indices])
        return self._read(indices)

    def _read(self, indices: Any) -> npt.NDArray[np.float32]:
        out = np.empty((len(indices), *self._shape), np.float32)
        paths = [self.pictures[i].path for i in indices]
        for i, array in enumerate(self._pool.map(self._preprocess.read, paths)):
            out[i] = array
        return out
