"""Files of models that become far more than they are, or reach for other files: refused before Keras sees them."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import forgo
from forgo._errors import ExportError
from forgo.exporting import _keras_files as _files

LAYER = {"class_name": "Dense", "config": {"name": "dense", "units": 2}}


def keras_file(path: Path, layers: list[dict[str, Any]], weights: bytes = b"") -> Path:
    """A .keras file with layers, and something as weights."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        config = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


def hdf5_file(path: Path, build: Any = None) -> Path:
    """An .h5 file with a model, and what ``build`` puts beside it."""
    with h5py.File(path, "w") as stored:
        stored.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [LAYER]}})
        weights = stored.create_group("model_weights")
        weights["kernel"] = np.ones((3, 2), np.float32)
        if build is not None:
            build(weights)
    return path


def test_honest_files_pass(tmp_path: Path) -> None:
    weights = hdf5_file(tmp_path / "m.h5")
    _files.check(weights, trust=False)
    _files.check(keras_file(tmp_path / "m.keras", [LAYER], weights.read_bytes()), trust=False)


@pytest.mark.parametrize("trust", [False, True])
def test_a_zip_that_becomes_gigabytes(tmp_path: Path, trust: bool) -> None:
    bomb = keras_file(tmp_path / "bomb.keras", [LAYER], bytes(200 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(ExportError, match=r"loading it would take 209,7\d\d,\d\d\d bytes"):
        _files.check(bomb, trust=trust)


@pytest.mark.parametrize("kind", [".h5", ".keras"])
def test_weights_that_become_gigabytes(tmp_path: Path, kind: str) -> None:
    def huge(weights: Any) -> None:
        weights.create_dataset("huge", (1 << 15, 1 << 15), np.float32, chunks=(1 << 10, 1 << 10))

    file = hdf5_file(tmp_path / "huge.h5", huge)
    if kind == ".keras":
        file = keras_file(tmp_path / "huge.keras", [LAYER], file.read_bytes())
    assert file.stat().st_size < 1 << 20
    with pytest.raises(ExportError, match=r"loading it would take 4,294,967,\d\d\d bytes"):
        _files.check(file, trust=False)


def test_one_weight_by_many_names(tmp_path: Path) -> None:
    def many(weights: Any) -> None:
        weights["one"] = np.zeros(1 << 20, np.float32)
        for i in range(60):
            weights[f"name{i}"] = weights["one"]

    with pytest.raises(ExportError, match="loading it would take 255,8"):
        _files.check(hdf5_file(tmp_path / "names.h5", many), trust=False)


def test_groups_in_each_other_end(tmp_path: Path) -> None:
    def loop(weights: Any) -> None:
        weights["again"] = weights
        inner = weights.create_group("inner")
        inner["outer"] = weights

    _files.check(hdf5_file(tmp_path / "loop.h5", loop), trust=False)


def test_weights_in_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret of whoever exports")

    def raw(weights: Any) -> None:
        weights.create_dataset("raw", (16,), np.uint8, external=[(str(secret), 0, 16)])

    def linked(weights: Any) -> None:
        weights["linked"] = h5py.ExternalLink(str(secret), "/")

    def virtual(weights: Any) -> None:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
        weights.create_virtual_dataset("virtual", layout)

    for name, build in {"raw": raw, "linked": linked, "virtual": virtual}.items():
        with pytest.raises(ExportError, match=f"{name}.* in another file"):
            _files.check(hdf5_file(tmp_path / f"{name}.h5", build), trust=False)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ({"class_name": "Lambda", "config": {"name": "doubled"}}, "'doubled' is a Lambda"),
        ({"class_name": "TFSMLayer", "config": {"filepath": "/tmp/other"}}, "TFSMLayer, a SavedModel"),
        ({"class_name": "Torch>TorchModuleWrapper", "config": {}}, "TorchModuleWrapper"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "'/etc/passwd'"),
    ],
)
def test_layers_that_reach_out(tmp_path: Path, layer: dict[str, Any], says: str) -> None:
    inner = {"class_name": "Functional", "config": {"layers": [layer]}}
    for layers in ([layer], [LAYER, inner]):
        file = keras_file(tmp_path / "m.keras", layers)
        with pytest.raises(ExportError, match=f"{says}.*trust=True"):
            _files.check(file, trust=False)


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.keras")
    with pytest.raises(ExportError, match="no such file"):
        _files.check(tmp_path / "m.keras", trust=True)


@pytest.mark.parametrize(
    ("kind", "says"), [("link", "leads out of the SavedModel"), ("pipe", "neither a file")]
)
def test_what_is_no_part_of_a_saved_model_is_not_copied(tmp_path: Path, kind: str, says: str) -> None:
    """A link to a secret of whoever exports would carry it into the bundle."""
    model = tmp_path / "model"
    shutil.copytree(Path(__file__).parents[1] / "conformance" / "hostile" / "clean", model)
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    if kind == "link":
        (model / "variables" / "more.txt").symlink_to(secret)
    else:
        os.mkfifo(model / "variables" / "more.txt")
    with pytest.raises(ExportError, match=f"more.txt: .*{says}"):
        forgo.export(model, tmp_path / "m.forgo", no_goldens=True, engine="tensorflow")
    assert not (tmp_path / "m.forgo").exists()
