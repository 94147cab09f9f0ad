"""Processes that export a model for their parent, and end when it ends, even if it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

_PATIENCE = 10
"""How long a child may remove its files before it is killed, in seconds."""


def run(module: str, job: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run ``python -m MODULE JOB`` and return its exit code and what it wrote to stderr.

    An exception here, such as KeyboardInterrupt, ends the child first. The child has a session of
    its own, so that a terminal's Ctrl-C reaches only the parent, and its standard input ends when the
    parent does.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, job],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
    ) as child:  # fmt: skip
        try:
            assert child.stderr is not None
            err = child.stderr.read()
            return child.wait(), err
        except BaseException:
            child.terminate()
            try:
                child.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
            raise


def end_with_parent() -> None:
    """Make this process, which :func:`run` started, end with its parent."""
    exit_on_terminate()

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would delay the interpreter's exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(_PATIENCE)
        os._exit(1)  # the main thread has not returned to Python

    threading.Thread(target=wait, daemon=True).start()


def exit_on_terminate() -> None:
    """Turn SIGTERM into SystemExit, so that ``with`` blocks remove their files."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def interrupt_once() -> None:
    """Raise KeyboardInterrupt only at the first Ctrl-C: a second must not disturb the clean-up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
