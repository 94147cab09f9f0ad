"""Plants every skew and prints the table; exits 1 if one is not refused, or at another stage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from forgo import _binary
from forgo._errors import ForgoError
from mutants._adapter_skews import ADAPTER_SKEWS, AdapterSkew
from mutants._adapter_skews import attack as attack_adapter
from mutants._binary_skews import BINARY_SKEWS, ROOT, BinarySkew, build
from mutants._bundle_skews import BUNDLE_SKEWS, BundleSkew, apply
from mutants._export_skews import EXPORT_SKEWS, ExportSkew
from mutants._export_skews import attack as attack_export
from mutants._serve_skews import SERVE_SKEWS, ServeSkew
from mutants._serve_skews import attack as attack_served
from mutants._swap_skews import SWAP_SKEWS, SwapSkew
from mutants._swap_skews import attack as attack_swap
from mutants._together import together
from mutants._torch_skews import TORCH_SKEWS, TorchSkew
from mutants._torch_skews import attack as attack_torch

BUILD = ROOT / "build"
FEW = 3  # skews that were not refused and are planted once more; more of them have one cause


def verdict(bundle: Path, binary: Path, isolated: bool = False, engine: str = "auto") -> tuple[str, str]:
    """The stage that a binary refuses a bundle at, and what it says; "accepted" if it does not."""
    isolate = "available" if isolated else "off"
    done = subprocess.run(
        [binary, "verify", "--json", "--allow-unproven", bundle],
        env={**_binary.environment(), "FORGO_ENGINE": engine, "FORGO_ISOLATE": isolate},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout:
        return "broken", done.stderr.strip()
    verdict = json.loads(done.stdout)
    if verdict["ok"]:
        return "accepted", f"{verdict['parity']['cases']} cases"
    return verdict["stage"], verdict["error"].rpartition("stage ")[2]


Skew = BundleSkew | BinarySkew | ExportSkew | TorchSkew | AdapterSkew


def every() -> list[Skew]:
    """All planted skews."""
    return [
        *BUNDLE_SKEWS,
        *EXPORT_SKEWS,
        *ADAPTER_SKEWS,
        *TORCH_SKEWS,
        *BINARY_SKEWS,
        *SERVE_SKEWS,
        *SWAP_SKEWS,
    ]


def attack(skew: Skew, folder: Path, held: dict[str, Path]) -> tuple[str, str]:
    """Plant one skew and ask for the verdict; what is held is built already."""
    if isinstance(skew, BundleSkew):
        sound = BUILD / skew.bundle
        bundle = folder / sound.name
        shutil.copytree(sound, bundle)
        apply(skew, bundle)
        return verdict(bundle, _binary.path())
    if isinstance(skew, ExportSkew):
        return attack_export(skew, folder)
    if isinstance(skew, AdapterSkew):
        return attack_adapter(skew, folder)
    if isinstance(skew, TorchSkew):
        return attack_torch(skew, folder)
    binary = held.get(skew.name) or build(skew, folder)
    if isinstance(skew, SwapSkew):
        return attack_swap(binary, folder)
    if isinstance(skew, ServeSkew):
        return attack_served(skew, binary)
    return verdict(BUILD / skew.bundle, binary, skew.isolated, skew.engine)


Check = tuple[str, Callable[[], tuple[str, str]]]
"""What must be accepted without a skew, by name."""


def accepted(binary: Path, folder: Path) -> Iterator[Check]:
    """What a binary must accept."""
    bundles = {(s.bundle, False, "auto") for s in BUNDLE_SKEWS}
    bundles |= {(s.bundle, way, s.engine) for s in BINARY_SKEWS for way in (False, s.isolated)}
    for bundle, isolated, engine in sorted(bundles):
        yield bundle, partial(verdict, BUILD / bundle, binary, isolated, engine)
    for name in sorted({skew.bundle for skew in SERVE_SKEWS}):
        none = ServeSkew("none", "accepted", "", "", "", bundle=name)
        yield "the server", partial(attack_served, none, binary)
    yield "the swap", partial(attack_swap, binary, _below(folder))


def exported(folder: Path) -> Iterator[Check]:
    """The exports that must be accepted."""
    yield "the export from PyTorch", partial(attack_torch, TorchSkew("none", "accepted"), _below(folder))
    for several in (False, True):
        yield "the export", partial(attack_export, ExportSkew("none", {}, several), _below(folder))
    for model in sorted({skew.model for skew in ADAPTER_SKEWS}):
        yield f"the export of {model}", partial(attack_adapter, AdapterSkew("none", model), _below(folder))


def _below(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def sound(pool: ThreadPoolExecutor, binaries: set[Path], folder: Path) -> str:
    """What is wrong before any skew is planted."""
    checks = [*exported(folder), *(check for binary in binaries for check in accepted(binary, folder))]
    asked = pool.map(lambda check: check[1](), checks)
    for (name, _), (stage, message) in zip(checks, asked, strict=True):
        if stage != "accepted":
            return f"{name} without a skew is refused: {message}"
    return ""


def plant(skew: Skew, held: dict[str, Path]) -> tuple[bool, str]:
    """Whether a skew is refused at its stage, and the table's line of it."""
    with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
        try:
            stage, message = attack(skew, Path(folder), held)
        except (ForgoError, ValueError) as e:
            stage, message = "broken", str(e)
    right = stage == skew.stage
    where = {
        BundleSkew: "bundle", ExportSkew: "export", AdapterSkew: "export", TorchSkew: "export", BinarySkew: "binary", ServeSkew: "server", SwapSkew: "server",
    }[type(skew)]  # fmt: skip
    note = "" if right else f"  <- MUST BE {skew.stage}"
    return right, f"{skew.name:<44} {where:<7} {stage:<17} {message[:90]}{note}"


def once_more(skew: Skew, line: str, held: dict[str, Path]) -> str:
    """Plant a skew that was not refused again; "" if it is refused now, which is printed as FLAKY."""
    right, again = plant(skew, held)
    if right:
        print(f"FLAKY: {line}\n  then: {again}")
    return "" if right else again


def run(skews: list[Skew], folder: Path, pool: ThreadPoolExecutor) -> int:
    """Plant skews, and print the table; return the exit code."""
    held = together([s for s in skews if isinstance(s, BinarySkew)], folder)
    binaries = {_binary.path(), *(script.with_name("forgo") for script in held.values())}
    if problem := sound(pool, binaries, folder):
        print(problem)
        return 1
    escaped: list[tuple[Skew, str]] = []
    print(f"{'planted skew':<44} {'in':<7} {'refused at':<17} as")
    for skew, (right, line) in zip(skews, pool.map(lambda skew: plant(skew, held), skews), strict=True):
        if not right:
            escaped.append((skew, line))
        print(line, flush=True)
    if len(escaped) <= FEW:
        escaped = [(skew, again) for skew, line in escaped if (again := once_more(skew, line, held))]
    print(f"mutants: {len(skews) - len(escaped)} passed, {len(escaped)} failed")
    for _, line in escaped:
        print(f"FAILED: {line}")
    return 1 if escaped else 0


def main() -> int:
    """Plant every skew, or those whose name or stage contains a word from the command line."""
    skews = every()
    if words := sys.argv[1:]:
        skews = [s for s in skews if any(word in f"{s.name} {s.stage}" for word in words)]
    with tempfile.TemporaryDirectory(prefix="forgo-mutants-") as folder, ThreadPoolExecutor(2) as pool:
        return run(skews, Path(folder), pool)


if __name__ == "__main__":
    sys.exit(main())
