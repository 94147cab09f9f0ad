"""The Go half: where its binary is, and its verdict on a bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from forgo._errors import ForgoError, ParityError

_MOST_FILES = 1000
_MOST_ARGUMENTS = 256 << 10
"""Bytes of a command line; Linux takes two million, with the environment."""


def path() -> Path:
    """Find the binary: FORGO_BINARY, else the one that was built into this package.

    Raises:
        ForgoError: it is not there.
    """
    named = os.environ.get("FORGO_BINARY")
    own = "forgo.exe" if os.name == "nt" else "forgo"
    binary = Path(named) if named else Path(__file__).parent / "bin" / own
    if not binary.is_file():
        raise ForgoError(
            f"the Go binary is not at {binary}: run 'make build' in a checkout, or install a wheel"
        )
    return binary


def environment() -> dict[str, str]:
    """The environment for the binary, which finds this Python's onnxruntime wheel by it."""
    return {"FORGO_PYTHON": sys.prefix, **os.environ}


def hand_over(arguments: list[str]) -> NoReturn:
    """Become the Go binary, so that signals and exit codes are its own; on Windows, wait for it."""
    binary = path()
    if os.name == "nt":  # execve would return to the shell at once
        sys.exit(subprocess.run([binary, *arguments], env=environment(), check=False).returncode)
    os.execve(binary, ["forgo", *arguments], environment())


def check_saved_model(
    folder: Path, tags: list[str], signature: str | None, inputs: list[str], outputs: list[str]
) -> None:
    """Ask the Go binary whether it would open a SavedModel, which it tells without running any of it.

    Raises:
        ForgoError: it refuses, as where operations reach files.
    """
    command: list[str | Path] = [path(), "inspect", "--check", "--json", "--tag", ",".join(tags)]
    command += ["--signature", signature] if signature else []
    for name in inputs:
        command += ["--input", name]
    for name in outputs:
        command += ["--output", name]
    done = subprocess.run([*command, folder], env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ForgoError(done.stderr.strip().removeprefix("forgo: "))


def check_onnx(file: Path) -> None:
    """Ask the Go binary whether it would open an ONNX file, which it tells without running any of it.

    Raises:
        ForgoError: it refuses, as where operations reach files.
    """
    done = subprocess.run(
        [path(), "inspect", "--check", "--json", "--", file],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ForgoError((done.stderr.strip().splitlines() or ["it is refused"])[-1].removeprefix("forgo: "))


def predict(bundle: Path, files: Sequence[Path], *, every: bool = False) -> list[dict[str, Any]]:
    """Have the Go binary answer raw files, with the best class of each, or every one.

    Raises:
        ParityError: it refuses one of them, or the bundle.
    """
    answers: list[dict[str, Any]] = []
    paths = [str(f.absolute()) for f in files]
    while len(answers) < len(paths):
        part: list[str] = []
        size = 0
        for path_ in paths[len(answers) : len(answers) + _MOST_FILES]:
            size += len(os.fsencode(path_)) + 16
            if part and size > _MOST_ARGUMENTS:
                break
            part.append(path_)
        done = subprocess.run(
            [path(), "predict", "--json", "--verify", "quick", "--top", "0" if every else "1", bundle.absolute(), "--", *part],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ParityError(
                f"the Go binary refused {(done.stderr.strip().splitlines() or ['an example'])[0].removeprefix('forgo: ')}",
                stage="decode",
            )
        answers += [json.loads(line) for line in done.stdout.splitlines()]
    return answers


def verify(bundle: Path, binary: Path | None = None) -> dict[str, Any]:
    """Have the Go binary replay a bundle's golden cases; ``binary`` stands in for the one that path finds.

    Returns:
        The parity result, as ``forgo verify --json`` prints it.

    Raises:
        ParityError: Go refused the bundle.
    """
    done = subprocess.run(
        [binary or path(), "verify", "--json", "--allow-unproven", bundle],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        verdict = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ForgoError(f"the Go binary gave no verdict: {done.stderr.strip()}") from None
    if not verdict["ok"]:
        raise ParityError(
            f"the Go binary refused the bundle: {verdict['error']}",
            stage=verdict["stage"],
            case=verdict.get("case"),
            difference=verdict.get("difference"),
        )
    parity: dict[str, Any] = verdict["parity"]
    return parity
