"""The pictures of a training run: finds, splits and reads them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forgo._errors import ForgoError, PictureError, argument
from forgo._picture import media_of
from forgo._preprocess import Preprocessor
from forgo.training import _folders
from forgo.training._annotations import read_attribute, read_partition

CACHE_BYTES = 2 << 30
"""Preprocessed pictures are kept in memory up to this size; others are read again in each epoch."""


@dataclass(frozen=True)
class Picture:
    """One picture file and its class."""

    path: Path
    label: int
    digest: str
    array: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """The model's input, [height, width, 3], if memory has room for it."""


@dataclass
class Source:
    """How pictures are read: the preprocessing, and the memory left for them."""

    preprocess: Preprocessor
    cache_left: int = CACHE_BYTES
    progress: Callable[[int, int], None] = lambda done, total: None
    """Called with the numbers of pictures read and of pictures in the part."""


@dataclass
class Data:
    """The pictures of each part, and findings about them."""

    labels: list[str]
    train: list[Picture]
    valid: list[Picture]
    test: list[Picture]
    """The test part, which gives the metrics; if it is empty, valid does."""
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    """Files that were not used, with the reason."""
    passed: list[tuple[Path, str]] = field(default_factory=list)
    """Files of other kinds and folders that archivers left, with the reason."""
    leaked: list[tuple[str, str]] = field(default_factory=list)
    """Held-out pictures that are also, byte for byte, in train: (held out, in train)."""
    contradictory: list[tuple[str, str]] = field(default_factory=list)
    """Pictures that are also, byte for byte, in another class of their part: (one, the other)."""
    copies: list[tuple[str, str]] = field(default_factory=list)
    """Pictures that are also, byte for byte, in their own class and part: (copy, first)."""

    @property
    def held_out(self) -> list[Picture]:
        """The held-out pictures, which give metrics and golden cases."""
        return self.test or self.valid

    @property
    def held_out_part(self) -> str:
        """Their part's name."""
        return "test" if self.test else "valid"

    def digest(self) -> str:
        """One SHA-256 over all used pictures, their classes and parts."""
        h = hashlib.sha256()
        for part, pictures in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            for line in sorted(f"{part} {self.labels[p.label]} {p.digest}" for p in pictures):
                h.update(line.encode() + b"\n")
        return h.hexdigest()

    def formats(self) -> list[str]:
        """The media types of the pictures that training sees."""
        seen: set[str] = set()
        for picture in self.train:
            with picture.path.open("rb") as file:
                seen.add(media_of(file.read(16)) or "unknown")
        return sorted(seen)


def find(folder: Path, valid: str | Path | float, seed: int, source: Source) -> Data:
    """Find the pictures of class folders and split them.

    Args:
        folder: holds ``train/CLASS`` and ``valid/CLASS`` (``test/CLASS`` too, if it exists),
            or ``CLASS`` folders, which are then split.
        valid: another folder of ``CLASS`` folders, or the share of each class to hold out,
            between 0 and 1. Unused if ``folder`` has a ``valid`` of its own.
        seed: seeds the split.
        source: reads every picture once, to find unusable ones.

    Raises:
        ForgoError: there is nothing to train on.
    """
    _folders.check_folder(folder)
    has_train = (folder / "train").is_dir()
    top = folder / "train" if has_train else folder
    data = Data(_folders.classes(top), [], [], [])
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
    for at in parts.values():
        _check_part(at, data)
    for part, at in parts.items():
        setattr(data, part, _read_part(at, data, source))
    if has_train:
        data.set_aside += _folders.beside(folder)
    if "valid" not in parts:
        assert isinstance(valid, float)
        data.train, data.valid = split(data.train, valid, seed)
    _check(data, {part: parts.get(part, folder) for part in ("train", "valid")})
    return data


@dataclass(frozen=True)
class Annotations:
    """A list of attributes that gives each picture's class."""

    file: Path
    """A file in the form of CelebA's ``list_attr_celeba.txt`` or its CSV."""
    attribute: str
    class_names: tuple[str, str] | None = None
    """The classes of pictures without and with the attribute; "not NAME" and NAME if None."""
    partition: Path | None = None
    """A file in the form of CelebA's ``list_eval_partition.txt`` or its CSV, with each picture's part."""


def find_annotated(
    folder: Path, annotations: Annotations, valid: str | Path | float, seed: int, source: Source
) -> Data:
    """Find the pictures that a list names, and split them by another list or by a share.

    Args:
        folder: holds the pictures by the names in the list.
        annotations: the list.
        valid: the share of each class to hold out, without a partition.
        seed: seeds the split.
        source: reads every picture once, to find unusable ones.

    Raises:
        ForgoError: there is nothing to train on, or a list cannot be read.
    """
    _folders.check_folder(folder)
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
            data.set_aside.append((str(path), f"{annotations.file.name} names it, but it does not exist"))
        elif part is None:
            data.set_aside.append((str(path), f"{annotations.partition} does not name it"))
        else:
            files[part].append((path, int(has)))
    for part, listed in files.items():
        setattr(data, part, _read_files(listed, data, source))
    if not files["valid"]:
        if not isinstance(valid, float):
            raise ForgoError(
                f"{argument('valid')} must be a share between 0 and 1 with {argument('annotations')}; "
                f"{argument('partition')} names the pictures of each part"
            )
        data.train, data.valid = split(data.train, valid, seed)
    _check(data, dict.fromkeys(("train", "valid"), folder))
    return data


def _check_part(folder: Path, data: Data) -> None:
    """Check a part's folder against the training classes before reading any picture."""
    _folders.check_folder(folder)
    found = _folders.classes(folder)
    if not found:
        raise ForgoError(f"{folder}: it has no class folders with pictures")
    if extra := [c for c in found if c not in data.labels]:
        raise ForgoError(
            f"{folder / extra[0]}: the class is not among the training classes ({', '.join(data.labels)})"
        )


def _check(data: Data, folders: dict[str, Path]) -> None:
    for part, folder in folders.items():
        present = {p.label for p in getattr(data, part)}
        if missing := [label for i, label in enumerate(data.labels) if i not in present]:
            why = next((f" ({path}: {why})" for path, why in data.set_aside if f"/{missing[0]}/" in path), "")
            raise ForgoError(
                f"{folder}: no usable {part} picture of class {missing[0]!r}{why}: add pictures, or remove the class"
            )
    _find_copies(data)


def _read_part(folder: Path, data: Data, source: Source) -> list[Picture]:
    data.set_aside += _folders.beside(folder)
    files = []
    for number, label in enumerate(data.labels):
        for path, why in _folders.pictures(folder / label, data.passed) if (folder / label).is_dir() else []:
            if why:
                data.set_aside.append((str(path), why))
            else:
                files.append((path, number))
    return _read_files(files, data, source)


def _read_files(files: list[tuple[Path, int]], data: Data, source: Source) -> list[Picture]:
    """Read every picture once, and set unusable ones aside."""

    def read(item: tuple[Path, int]) -> Picture | str:
        path, label = item
        try:
            raw = path.read_bytes()
            array = source.preprocess(source.preprocess.decode(raw))
        except PictureError as e:
            return str(e)
        except OSError as e:
            return e.strerror or str(e)
        kept = array if source.cache_left >= array.nbytes else None
        return Picture(path, label, hashlib.sha256(raw).hexdigest(), kept)

    pictures = []
    with ThreadPoolExecutor() as pool:
        for number, ((path, _), result) in enumerate(zip(files, pool.map(read, files), strict=True), 1):
            if isinstance(result, str):
                data.set_aside.append((str(path), result))
            else:
                pictures.append(_within(source, result))
            source.progress(number, len(files))
    return pictures


def _within(source: Source, picture: Picture) -> Picture:
    """Keep the array if there is room: threads that read ahead did not know of each other."""
    if picture.array is None:
        return picture
    if picture.array.nbytes > source.cache_left:
        return replace(picture, array=None)
    source.cache_left -= picture.array.nbytes
    return picture


def split(pictures: list[Picture], share: float, seed: int) -> tuple[list[Picture], list[Picture]]:
    """Hold out a share of each class, at least one picture, by a seed.

    Files with the same bytes stay on one side: a copy of a training picture would flatter the
    metrics.
    """
    if not 0 < share < 1:
        raise ForgoError(f"{argument('valid')} must be a folder or a share between 0 and 1, not {share:g}")
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


def _find_copies(data: Data) -> None:
    """Note pictures that occur more than once, byte for byte, links included."""
    known = {p.digest: p for p in data.train}
    for p in [*data.valid, *data.test]:
        if p.digest in known:
            data.leaked.append((str(p.path), str(known[p.digest].path)))
    for part in (data.train, data.valid, data.test):
        first: dict[str, Picture] = {}
        for p in part:
            other = first.setdefault(p.digest, p)
            if other.label != p.label:
                data.contradictory.append((str(p.path), str(other.path)))
            elif other is not p:
                data.copies.append((str(p.path), str(other.path)))


class Reader:
    """Gives preprocessed pictures by index, from memory or, in parallel, from their files."""

    def __init__(self, pictures: list[Picture], preprocess: Preprocessor) -> None:
        self.pictures = pictures
        self.labels = np.array([p.label for p in pictures], np.int32)
        self._preprocess = preprocess
        in_memory = all(p.array is not None for p in pictures)
        self._map: Callable[..., Any] = map if in_memory else ThreadPoolExecutor().map

    def __call__(self, indices: Any) -> npt.NDArray[np.float32]:
        """Pictures by index, float32 [n, height, width, 3]."""
        return np.stack(list(self._map(self._read, indices)))

    def _read(self, index: int) -> npt.NDArray[np.float32]:
        picture = self.pictures[index]
        return self._preprocess.read(picture.path) if picture.array is None else picture.array
