"""Builds the Go binary into the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GoBinaryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs scripts/go.sh and marks the wheel with the machine's platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build src/forgo/bin/forgo; an editable install leaves that to 'make build'.

        With FORGO_WHEEL_TAG, a platform's tag, the binary is for GOOS and GOARCH, and the checkout's own stays.
        """
        if version == "editable":
            return
        if shutil.which("go") is None:
            raise RuntimeError("building forgo from source needs Go 1.26 or newer: 'go' was not found")
        root = Path(self.root)
        suffix = ".exe" if os.environ.get("GOOS", os.name) in ("windows", "nt") else ""
        platform = os.environ.get("FORGO_WHEEL_TAG")
        folder = root / "build/wheels" / platform if platform else root / "src/forgo/bin"
        binary = folder / f"forgo{suffix}"
        subprocess.run([root / "scripts/go.sh", "build", "-o", binary, "./cmd/forgo"], cwd=root, check=True)
        binary.chmod(0o755)
        platform = platform or sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(binary)] = f"forgo/bin/{binary.name}"
