"""The Go half: its binary, and the binary's verdict on a bundle."""

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
"""The longest command line, in bytes; Linux takes two million, including the environment."""


def path() -> Path:
    """Find the binary: FORGO_BINARY, or the one in this package.

    Raises:
        ForgoError: there is no binary.
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
    """The binary's environment, which tells it where this Python's onnxruntime wheel is, and what reads Parquet."""
    return {"FORGO_PYTHON": sys.prefix, "FORGO_PARQUET": sys.executable, **os.environ}


def hand_over(arguments: list[str]) -> NoReturn:
    """Replace this process with the Go binary, so that signals and exit codes are the binary's; on Windows, wait for it."""
    binary = path()
    if os.name == "nt":  # execve would return to the shell at once
        sys.exit(subprocess.run([binary, *arguments], env=environment(), check=False).returncode)
    os.execve(binary, ["forgo", *arguments], environment())


def check_saved_model(
    folder: Path, tags: list[str], signature: str | None, inputs: list[str], outputs: list[str]
) -> None:
    """Ask the Go binary whether it would open a SavedModel. It runs no part of the model.

    Raises:
        ForgoError: it refuses, for example because operations reach files.
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


def check_onnx(file: Path, outputs: Sequence[str] = ()) -> None:
    """Ask the Go binary whether it would open an ONNX file, for all outputs or for some. It runs no part of the model.

    Raises:
        ForgoError: it refuses, for example because operations reach files.
    """
    done = subprocess.run(
        [path(), "inspect", "--check", "--json", *(part for o in outputs for part in ("--output", o)), "--", file],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ForgoError((done.stderr.strip().splitlines() or ["it is refused"])[-1].removeprefix("forgo: "))


def predict(bundle: Path, files: Sequence[Path], *, every: bool = False) -> list[dict[str, Any]]:
    """Have the Go binary answer raw files with the best class of each, or with every class.

    Raises:
        ParityError: it refuses a file, or the bundle.
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
    """Have the Go binary replay a bundle's golden cases; ``binary`` replaces the one that path finds.

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
