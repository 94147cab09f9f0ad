"""What the build makes, and what is known of its parts."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, forgo

BINARY = ROOT / "src/forgo/bin/forgo"

linux = pytest.mark.skipif(platform.system() != "Linux", reason="reads ELF files and /proc")


@linux
def test_the_binary_is_position_independent() -> None:
    head = BINARY.read_bytes()[:18]
    assert head[:4] == b"\x7fELF"
    (kind,) = struct.unpack("<H", head[16:18])
    assert kind == 3  # ET_DYN, where a fixed address would be ET_EXEC


@linux
def test_doctor_shows_the_version_of_every_c_library() -> None:
    done = forgo("doctor", "--json")
    assert done.err == ""  # TensorFlow's own lines among it
    found = json.loads(done.out)
    versions = {Path(library["path"]).name: library["version"] for library in found["libraries"]}
    onnxruntime = Path(found["onnxruntime"]["path"]).resolve().name
    assert versions[onnxruntime] == found["onnxruntime"]["version"]
    assert versions["libc.so.6"] == platform.libc_ver()[1]
    assert any(name.startswith("libstdc++.so") for name in versions)
    assert versions["libtensorflow_cc.so.2"] == versions["libtensorflow_framework.so.2"]
    assert all(version for version in versions.values()), versions
    assert found["libjpeg_turbo"]
    shown = forgo("doctor").out
    assert f"libjpeg-turbo {found['libjpeg_turbo']} is linked" in shown
    for name, version in versions.items():
        assert f"{name} " in shown
        assert version in shown


@pytest.mark.slow
def test_the_bill_of_materials_names_both_halves(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts/sbom.py", tmp_path], check=True)
    names = {
        half: {part["name"] for part in json.loads((tmp_path / f"{half}.cdx.json").read_text())["components"]}
        for half in ("go", "python")
    }
    assert {"google.golang.org/grpc", "std"} <= names["go"]
    assert {"onnxruntime", "pillow"} <= names["python"]
    if json.loads(forgo("doctor", "--json").out)["jpeg_exact"]:
        assert "libjpeg-turbo" in names["go"]
    assert "pytest" not in names["python"]


@pytest.mark.slow
def test_an_audit_that_reached_no_database_says_so() -> None:
    def audit(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts/audit.sh", "python"],
            capture_output=True, text=True, check=False, env={**os.environ, **variables},
        )  # fmt: skip

    done = audit()  # whatever can be reached here; the tool is in uv's cache now
    says = {0: "no known vulnerability", 1: "the findings are above", 3: "NOT CHECKED"}
    assert says[done.returncode] in done.stderr
    done = audit(UV_OFFLINE="1", HTTPS_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "NOT CHECKED: the Python packages" in done.stderr


def test_no_compiler_is_found_where_the_go_tests_run_without_one() -> None:
    """`make test` runs every Go test there, JPEG parity among them."""
    without = [sys.executable, str(ROOT / "scripts/without_c.py")]
    compilers = ("cc", "gcc", "g++", "c++", "clang", "clang++", f"{platform.machine()}-linux-gnu-gcc")
    looked = subprocess.run(
        [*without, "sh", "-c", f"command -v {' '.join(compilers)}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert looked.returncode != 0
    assert looked.stdout == ""
    refused = subprocess.run(
        [*without, str(ROOT / "scripts/go.sh"), "test", "-race", "./spec"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "-race requires cgo" in refused.stderr + refused.stdout


@linux
@pytest.mark.slow
def test_a_static_program_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(
        "package main\n\n"
        'import (\n\t"fmt"\n\t"os"\n\n\t"github.com/forgo-ml/forgo/predict/onnx"\n)\n\n'
        "func main() {\n\t_, err := onnx.Engine().Library()\n\tfmt.Println(err)\n\tos.Exit(1)\n}\n"
    )
    (tmp_path / "go.mod").write_text(
        (ROOT / "go.mod").read_text().replace("module github.com/forgo-ml/forgo", "module example.com/static")
        + f"\nrequire github.com/forgo-ml/forgo v0.0.0\nreplace github.com/forgo-ml/forgo => {ROOT}\n"
    )
    shutil.copy(ROOT / "go.sum", tmp_path)
    built = subprocess.run(
        ["go", "build", "-mod=mod", "-o", "static", "-ldflags", "-extldflags -static", "."],
        cwd=tmp_path, env={**os.environ, "CGO_ENABLED": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "cannot find -l" in built.stderr:
        pytest.skip("the C library's static form is not installed")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "static"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("load ONNX Runtime: this program is linked statically")
    assert "-extldflags -static" in done.stdout
