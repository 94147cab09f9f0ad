"""What ``make dist`` writes: its Linux wheels are checked by auditwheel, installed and run without Go.

The wheels for macOS and Windows are built by the same lines, and run nowhere here; ``make cross`` compiles for both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import BUNDLES, ROOT
from tests.environments import environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the wheels are Linux's")]

AUDIT = ROOT / "tests" / "auditwheel"
LOADERS = Path("/usr/aarch64-linux-gnu")
"""Where Debian's libc6-arm64-cross has the loader and the C library of arm64."""


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist") / "dist"
    run(sys.executable, ROOT / "scripts" / "dist.py", "-o", out, "linux", cwd=ROOT)
    return out


def proven(said: str) -> None:
    """Check what ``forgo verify --json`` said."""
    verdict = json.loads(said)
    assert verdict["ok"], verdict
    assert verdict["parity"]["cases"] == verdict["parity"]["of"] > 0, verdict


def wheel(dist: Path, tag: str) -> Path:
    (found,) = dist.glob(f"*-{tag}*.whl")
    return found


def binary(dist: Path, tag: str, folder: Path) -> Path:
    """The program of a wheel, in a folder."""
    with zipfile.ZipFile(wheel(dist, tag)) as z:
        path = Path(z.extract("forgo/bin/forgo", folder))
        assert z.getinfo("forgo/bin/forgo").external_attr >> 16 & 0o111
    path.chmod(0o755)
    return path


def test_the_checksums_are_those_of_all_files(dist: Path) -> None:
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    files = {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in dist.iterdir() if f.name != "SHA256SUMS"
    }
    assert sums == files
    assert len(files) == 5, sorted(files)


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("manylinux_2_17_x86_64", r'tag:\s+"manylinux_2_(5|1[0-7])_x86_64"'),
        ("manylinux_2_17_aarch64", r'tag:\s+"manylinux_2_17_aarch64"'),
        ("musllinux_1_1_x86_64", r'tag:\s+"musllinux_1_\d_x86_64"'),
        ("musllinux_1_1_aarch64", r'tag:\s+"musllinux_1_\d_aarch64"'),
    ],
)
def test_auditwheel_says_what_the_name_says(dist: Path, tag: str, fits: str) -> None:
    said = run(environment(AUDIT), AUDIT / "show.py", "show", wheel(dist, tag))
    assert re.search(fits, said), said
    if tag.startswith("musl"):
        assert "requires no external shared libraries" in said


def test_a_wheel_is_used_without_go(dist: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(sys.executable, "-m", "venv", home)
    clean = {"PATH": str(home / "bin"), "HOME": str(tmp_path)}
    assert shutil.which("go", path=clean["PATH"]) is None
    pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run(home / "bin" / "python", *pip, wheel(dist, "manylinux_2_17_x86_64"), env=clean)
    said = run(
        home / "bin" / "forgo", "verify", "--engine", "pure", "--json", BUNDLES / "iris.forgo", env=clean
    )
    proven(said)


def test_the_static_program_answers_in_an_empty_root(dist: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("chroot is root's")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(binary(dist, "musllinux_1_1_x86_64", tmp_path), root / "forgo")
    shutil.copytree(BUNDLES / "iris.forgo", root / "iris.forgo")
    said = run("/usr/sbin/chroot", root, "/forgo", "verify", "--json", "/iris.forgo", env={})
    proven(said)


@pytest.mark.parametrize("tag", ["musllinux_1_1_aarch64", "manylinux_2_17_aarch64"])
def test_arm64_answers_alike(dist: Path, tmp_path: Path, tag: str) -> None:
    """Under emulation: the goldens, which x86-64 wrote, prove arm64's arithmetic."""
    if not (shutil.which("qemu-aarch64-static") and LOADERS.is_dir()):
        done = subprocess.run([ROOT / "scripts/apt.sh", "qemu-user-static", "libc6-arm64-cross"], check=False)
        if done.returncode != 0:
            pytest.skip("qemu-user-static and libc6-arm64-cross can't be installed here")
    program = binary(dist, tag, tmp_path)
    for name in ("iris", "shapes"):
        said = run(
            "qemu-aarch64-static",
            "-L",
            LOADERS,
            program,
            "verify",
            "--engine",
            "pure",
            "--json",
            BUNDLES / f"{name}.forgo",
        )
        proven(said)


def test_the_source_distribution_builds_the_wheel(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as t:
        t.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("forgo-*")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "out", source)
    (built,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(built) as z:
        assert "forgo/bin/forgo" in z.namelist()
