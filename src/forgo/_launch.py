"""The ``forgo`` command's entry: it hands Go verbs over before it imports anything."""

from __future__ import annotations

import signal
import sys

GO_VERBS = {
    "predict": "Label pictures or JSON rows with a bundle, a SavedModel or an ONNX file",
    "evaluate": "Measure how good a bundle's answers are on labelled examples",
    "verify": "Prove that the Go binary answers as the training framework did",
    "inspect": "Show what is in a bundle, an ONNX file, a SavedModel or a .keras file",
    "serve": "Serve models over HTTP and gRPC, once parity is proven",
    "pack": "Write one program that has a bundle inside",
    "bench": "Measure how fast a bundle answers on this machine",
    "key": "Make an API key for forgo serve",
    "doctor": "Show what this machine and the binary can do",
    "completion": "Write a shell completion script",
    "version": "Print the version",
}

COMPLETING = ("__complete", "__completeNoDesc")
"""The verbs that completion scripts call."""


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments and arguments[0] in (*GO_VERBS, *COMPLETING):
        from forgo._binary import hand_over
        from forgo._errors import ForgoError

        try:
            hand_over(arguments)
        except (ForgoError, OSError) as e:
            sys.exit(f"forgo: {e}")
    # Importing takes seconds. Ctrl-C must end it without a traceback, as it ends any command.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from forgo._cli import run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run(arguments)
