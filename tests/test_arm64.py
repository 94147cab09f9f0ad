"""The kernels for arm64, under emulation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
LOADERS = Path("/usr/aarch64-linux-gnu")
KERNELS = "^Test(Product|Rectify|TreesAtOnce|MissingValueAmongNone)$"


@pytest.fixture(scope="module", autouse=True)
def _emulator() -> None:
    if not (shutil.which("qemu-aarch64-static") and LOADERS.is_dir()):
        done = subprocess.run([ROOT / "scripts/apt.sh", "qemu-user-static", "libc6-arm64-cross"], check=False)
        if done.returncode != 0:
            pytest.skip("qemu-user-static and libc6-arm64-cross can't be installed here")


def emulated(folder: Path, file: str = "", old: str = "", new: str = "") -> subprocess.CompletedProcess[str]:
    """Run the tests of kernels, with other text in a file."""
    overlay = folder / "overlay.json"
    source = ROOT / "predict/pure" / file
    replaced = {}
    if file:
        assert source.read_text().count(old) == 1
        changed = folder / f"changed{source.suffix}"
        changed.write_text(source.read_text().replace(old, new))
        replaced = {str(source): str(changed)}
    overlay.write_text(json.dumps({"Replace": replaced}))
    program = folder / "pure.test"
    env = {**os.environ, "CGO_ENABLED": "0", "GOARCH": "arm64", "FORGO_GO_TAGS": ""}
    build = [str(ROOT / "scripts/go.sh"), "test", "-c", "-overlay", str(overlay), "-o", str(program)]
    subprocess.run([*build, "./predict/pure"], cwd=ROOT, env=env, check=True)
    return subprocess.run(
        ["qemu-aarch64-static", "-L", LOADERS, program, "-test.run", KERNELS, "-test.v"],
        cwd=ROOT / "predict/pure", capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_kernels_give_what_plain_go_gives(tmp_path: Path) -> None:
    done = emulated(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIP" not in done.stdout
    for name in ("TestProduct", "TestRectify", "TestTreesAtOnce/float32"):
        assert f"--- PASS: {name}" in done.stdout


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("TestProduct", "product_arm64.s", "	ADDS $4, R5\n	BEQ  done\n", "	B    done\n"),
        ("TestProduct", "product_arm64.s", "	VST1.P [V0.S4], 16(R0)\n", "	VST1.P [V0.S4], 16(R0)\n	ADD  $4, R0\n"),
        ("TestProduct", "product_arm64.s", "	VFMLA V22.S4, V19.S4, V11.S4\n", "	VFMLA V22.S4, V18.S4, V11.S4\n"),
        ("TestRectify", "rectify_arm64.s", "	WORD $0x4e631c21", "	WORD $0x4e621c21"),
        ("TestTreesAtOnce", "walk_arm64.s", "	CSET  LS, R4", "	CSET  LT, R4"),
        ("TestTreesAtOnce", "walk_arm64.s", "	START(6, R11)", "	START(5, R11)"),
    ],
    ids=["tail lost", "store off by one", "wrong column", "wrong mask", "less for at most", "another's root"],
)  # fmt: skip
def test_a_fault_in_a_kernel_is_noticed(name: str, file: str, old: str, new: str, tmp_path: Path) -> None:
    done = emulated(tmp_path, file, old, new)
    assert done.returncode != 0
    assert f"--- FAIL: {name}" in done.stdout
