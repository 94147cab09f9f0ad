"""Plants every skew and prints the table; exits 1 if one is not refused, or at another stage."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from forgo import _binary
from forgo._errors import ForgoError, ParityError
from mutants._binary_skews import BINARY_SKEWS, ROOT, BinarySkew, build
from mutants._bundle_skews import BUNDLE_SKEWS, BundleSkew, apply

BUNDLE = ROOT / "build" / "tiles.forgo"


def verdict(bundle: Path, binary: Path) -> tuple[str, str]:
    """The stage that a binary refuses a bundle at, and what it says; "accepted" if it does not."""
    try:
        return "accepted", f"{_binary.verify(bundle, binary)['cases']} cases"
    except ParityError as e:
        return e.stage, str(e).rpartition("stage ")[2] or str(e)


def attack(skew: BundleSkew | BinarySkew, folder: Path) -> tuple[str, str]:
    """Plant one skew and ask for the verdict."""
    bundle, binary = BUNDLE, _binary.path()
    if isinstance(skew, BundleSkew):
        bundle = folder / BUNDLE.name
        shutil.copytree(BUNDLE, bundle)
        apply(skew, bundle)
    else:
        binary = build(skew, folder)
    return verdict(bundle, binary)


def main() -> int:
    """Run them all."""
    stage, message = verdict(BUNDLE, _binary.path())
    if stage != "accepted":
        print(f"the bundle without a skew is refused: {message}")
        return 1
    skews: list[BundleSkew | BinarySkew] = [*BUNDLE_SKEWS, *BINARY_SKEWS]
    escaped = 0
    print(f"{'planted skew':<44} {'in':<7} {'refused at':<11} as")
    for skew in skews:
        with tempfile.TemporaryDirectory(prefix="forgo-mutant-") as folder:
            try:
                stage, message = attack(skew, Path(folder))
            except (ForgoError, ValueError) as e:
                stage, message = "broken", str(e)
        right = stage == skew.stage
        escaped += not right
        where = "bundle" if isinstance(skew, BundleSkew) else "binary"
        note = "" if right else f"  <- MUST BE {skew.stage}"
        print(f"{skew.name:<44} {where:<7} {stage:<11} {message[:90]}{note}", flush=True)
    print(f"mutants: {len(skews) - escaped} passed, {escaped} failed")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
