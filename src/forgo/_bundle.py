"""Writing bundles: format 1 of spec/bundle.md.

A bundle is written to a hidden folder beside its path and then renamed, so that a reader
never sees half a bundle, and a failure leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import jsonschema

from forgo import _work
from forgo._errors import BundleError, argument

FORMAT = 1
"""The format that this version writes. Raise it when a reader of the old format would misread a new bundle;
spec/bundle.md, "Raising the format", says how."""

MANIFEST = "forgo.json"
DIGEST = "forgo.sha256"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "manifest.schema.json").read_text())
    return schema


def name_of(path: Path) -> str:
    """A model's name: its bundle's folder name without ``.forgo``.

    Raises:
        BundleError: the name cannot be used in URLs.
    """
    name = path.name.removesuffix(".forgo")
    if not _NAME.fullmatch(name):
        raise BundleError(f"{path}: a bundle's name may have letters, digits, '.', '_' and '-', not {name!r}")
    return name


def check_path(path: Path, saved_model: bool = False, force: bool = False) -> None:
    """Fail early if a bundle, or a bare SavedModel, could not be written in the end.

    Args:
        path: where to write it.
        saved_model: whether it is a bare SavedModel, not a bundle.
        force: whether it may replace an older one at path.

    Raises:
        BundleError: something exists at path already, or its folder does not exist.
    """
    name_of(path)
    if not path.parent.is_dir():
        raise BundleError(f"{path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise BundleError(f"{path}: the folder {path.parent} cannot be written to")
    what, file = ("SavedModel", "saved_model.pb") if saved_model else ("bundle", MANIFEST)
    if path.exists() and not (path / file).is_file():
        raise BundleError(f"{path}: it exists and is not a {what}; move it away, or choose another name")
    check_free(path, force)


def check_free(path: Path, force: bool) -> None:
    """Refuse to replace what is at path, unless forced.

    Raises:
        BundleError: something exists at path.
    """
    if path.exists() and not force:
        raise BundleError(
            f"{path} exists: pass {argument('force', True)} to replace it, or choose another name"
        )


class Staging:
    """A bundle being written. Leaving the ``with`` block without commit removes it.

    With a part, a folder of the bundle, only that folder goes to the path: the rest of the bundle
    served its proof.
    """

    def __init__(self, path: Path, part: str | None = None, *, force: bool = False) -> None:
        check_path(path, part is not None, force)
        self.path = path
        self._part = part
        self._force = force
        self._files: dict[str, dict[str, object]] = {}
        with ExitStack() as stack:
            self._work = stack.enter_context(_work.working_folder(path))
            self.folder = self._work / path.name
            self.folder.mkdir()
            self._stack = stack.pop_all()

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, name: str, data: bytes) -> str:
        """Write one file of the bundle and return its name."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self._files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return name

    def adopt(self, folder: str) -> str:
        """Record the files of a folder that something else wrote into the bundle."""
        for file in sorted((self.folder / folder).rglob("*")):
            if file.is_file():
                with file.open("rb") as f:
                    digest = hashlib.file_digest(f, "sha256").hexdigest()
                name = file.relative_to(self.folder).as_posix()
                self._files[name] = {"sha256": digest, "size": file.stat().st_size}
        return folder

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write forgo.json and its digest, after all other files.

        Raises:
            BundleError: the manifest breaks the format.
        """
        manifest = {"format": FORMAT, "name": name_of(self.path), **manifest, "files": self._files}
        try:
            jsonschema.validate(manifest, _schema(), cls=jsonschema.Draft202012Validator)
        except jsonschema.ValidationError as e:
            raise BundleError(
                f"{self.path}: the manifest breaks the format at {e.json_path}: {e.message}"
            ) from None
        data = (json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        (self.folder / MANIFEST).write_bytes(data)
        (self.folder / DIGEST).write_text(f"{hashlib.sha256(data).hexdigest()}  {MANIFEST}\n")

    def commit(self) -> None:
        """Rename it to its path; it replaces an older one if that is allowed."""
        check_path(self.path, self._part is not None, self._force)
        for file in self.folder.rglob("*"):
            if file.is_file():
                with file.open("rb") as f:
                    os.fsync(f.fileno())
        _work.replace(self.folder / self._part if self._part else self.folder, self.path, self._work)
