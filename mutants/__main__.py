"""Plants every skew and prints the table; exits 1 if one is not refused, or at another stage."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from forgo import _binary
from forgo._errors import ForgoError, ParityError
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
from mutants._torch_skews import TORCH_SKEWS, TorchSkew
from mutants._torch_skews import attack as attack_torch

BUILD = ROOT / "build"
FEW = 3  # skews that were not refused and are planted once more; more of them have one cause


def verdict(bundle: Path, binary: Path, isolated: bool = False, engine: str = "auto") -> tuple[str, str]:
    """The stage that a binary refuses a bundle at, and what it says; "accepted" if it does not."""
    os.environ["FORGO_ENGINE"] = engine
    os.environ["FORGO_ISOLATE"] = "available" if isolated else "off"
    try:
        return "accepted", f"{_binary.verify(bundle, binary)['cases']} cases"
    except ParityError as e:
        return e.stage, str(e).rpartition("stage ")[2] or str(e)


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


def attack(skew: Skew, folder: Path) -> tuple[str, str]:
    """Plant one skew and ask for the verdict."""
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
    binary = build(skew, folder)
    if isinstance(skew, SwapSkew):
        return attack_swap(binary, folder)
    if isinstance(skew, ServeSkew):
        return attack_served(skew, binary)
    return verdict(BUILD / skew.bundle, binary, skew.isolated, skew.engine)


def sound() -> str:
    """What is wrong before any skew is planted."""
    together = {(s.bundle, False, "auto") for s in BUNDLE_SKEWS}
    for bundle, isolated, engine in sorted(
        together | {(s.bundle, way, s.engine) for s in BINARY_SKEWS for way in (False, s.isolated)}
    ):
        stage, message = verdict(BUILD / bundle, _binary.path(), isolated, engine)
        if stage != "accepted":
            return f"{bundle} without a skew is refused: {message}"
    for name in sorted({skew.bundle for skew in SERVE_SKEWS}):
        stage, message = attack_served(ServeSkew("none", "accepted", "", "", "", bundle=name), _binary.path())
        if stage != "accepted":
            return f"the server without a skew is refused: {message}"
    for several in (False, True):
        with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
            stage, message = attack_export(ExportSkew("none", {}, several), Path(folder))
        if stage != "accepted":
            return f"the export without a skew is refused: {message}"
    for model in sorted({skew.model for skew in ADAPTER_SKEWS}):
        with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
            stage, message = attack_adapter(AdapterSkew("none", model), Path(folder))
        if stage != "accepted":
            return f"the export of {model} without a skew is refused: {message}"
    with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
        stage, message = attack_torch(TorchSkew("none", "accepted"), Path(folder))
    if stage != "accepted":
        return f"the export from PyTorch without a skew is refused: {message}"
    with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
        stage, message = attack_swap(_binary.path(), Path(folder))
    return "" if stage == "accepted" else f"the swap without a skew is refused: {message}"


def plant(skew: Skew) -> tuple[bool, str]:
    """Whether a skew is refused at its stage, and the table's line of it."""
    with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
        try:
            stage, message = attack(skew, Path(folder))
        except (ForgoError, ValueError) as e:
            stage, message = "broken", str(e)
    right = stage == skew.stage
    where = {
        BundleSkew: "bundle", ExportSkew: "export", AdapterSkew: "export", TorchSkew: "export", BinarySkew: "binary", ServeSkew: "server", SwapSkew: "server",
    }[type(skew)]  # fmt: skip
    note = "" if right else f"  <- MUST BE {skew.stage}"
    return right, f"{skew.name:<44} {where:<7} {stage:<17} {message[:90]}{note}"


def once_more(skew: Skew, line: str) -> str:
    """Plant a skew that was not refused again; "" if it is refused now, which is printed as FLAKY."""
    right, again = plant(skew)
    if right:
        print(f"FLAKY: {line}\n  then: {again}")
    return "" if right else again


def main() -> int:
    """Run them all, or those that have a word of the command line in their name or stage."""
    if problem := sound():
        print(problem)
        return 1
    skews = every()
    if words := sys.argv[1:]:
        skews = [s for s in skews if any(word in f"{s.name} {s.stage}" for word in words)]
    escaped: list[tuple[Skew, str]] = []
    print(f"{'planted skew':<44} {'in':<7} {'refused at':<17} as")
    for skew in skews:
        right, line = plant(skew)
        if not right:
            escaped.append((skew, line))
        print(line, flush=True)
    if len(escaped) <= FEW:
        escaped = [(skew, again) for skew, line in escaped if (again := once_more(skew, line))]
    print(f"mutants: {len(skews) - len(escaped)} passed, {len(escaped)} failed")
    for _, line in escaped:
        print(f"FAILED: {line}")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
