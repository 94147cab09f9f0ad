"""The errors that forgo raises; the command line shows each as one line.

ForgoError
├── PictureError    a picture that no rule of the bundle format covers
├── BundleError     a bundle that cannot be written
├── ExportError     a model that cannot be exported
├── ParityError     two sides that answer differently: stage, case, difference
└── RequestError    a server that refuses a request or can't be reached: status
"""

from __future__ import annotations

import re

# Marks an argument in a message: Python calls it force=True, the command --force.
_OPEN, _VALUE, _CLOSE = "\ue000", "\ue001", "\ue002"
_ARGUMENT = re.compile(f"{_OPEN}([^{_VALUE}{_CLOSE}]*){_VALUE}?([^{_CLOSE}]*){_CLOSE}")
_REPEATED = {"inputs": "input", "outputs": "output"}
"""Arguments that take a list, and the option that the command takes once for each element."""


def argument(name: str, value: object = None) -> str:
    """Name an argument, and the value to give it, in the message of a :class:`ForgoError` or in a note."""
    return f"{_OPEN}{name}{'' if value is None else f'{_VALUE}{value!r}'}{_CLOSE}"


def in_python(text: str) -> str:
    """Return a text with its arguments named as in Python."""
    return _ARGUMENT.sub(lambda m: m[1] + (f"={m[2]}" if m[2] else ""), text)


def in_command(text: str) -> str:
    """Return a text with its arguments named as the command line's options."""

    def option(m: re.Match[str]) -> str:
        name = _REPEATED.get(m[1], m[1]).replace("_", "-")
        value = "" if m[2] in ("", "True") else " " + m[2].strip("'")
        return f"--{name}{value}"

    return _ARGUMENT.sub(option, text)


class Note(str):
    """A line that users should know. As a string, it names arguments as in Python."""

    marked: str
    """The line with its marks, to bring it to another process."""

    def __new__(cls, marked: str) -> Note:
        """Take a line with marks."""
        note = super().__new__(cls, in_python(marked))
        note.marked = marked
        return note

    def as_command(self) -> str:
        """Return the line with arguments named as the command line's options."""
        return in_command(self.marked)


class ForgoError(Exception):
    """Base of all errors that forgo raises for its users. The message says what to do."""

    def __str__(self) -> str:
        return in_python(super().__str__())

    def as_command(self) -> str:
        """Return the message with arguments named as the command line's options."""
        return in_command(super().__str__())

    @property
    def message(self) -> str:
        """The message with its marks, to raise it again in another process."""
        return super().__str__()


class PictureError(ForgoError):
    """A picture was refused: damaged, too large, or of a kind without a stated rule."""


class BundleError(ForgoError):
    """A bundle could not be written."""


class ExportError(ForgoError):
    """A model could not be exported."""


class ParityError(ForgoError):
    """The training framework, the engine in Python and the Go binary do not all give the same answers.

    Attributes:
        stage: "decode", "preprocess", "model" or "label"; "bundle" if Go refused the folder.
        case: the golden case's id, or None.
        difference: the largest |got - want| / max(1, |want|), or None if no number says it.
    """

    def __init__(
        self, message: str, *, stage: str, case: str | None = None, difference: float | None = None
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.case = case
        self.difference = difference


class RequestError(ForgoError):
    """A server refused a request, or could not be reached.

    Attributes:
        status: the HTTP status, or None if there was no answer.
    """

    def __init__(self, message: str, *, status: int | None) -> None:
        super().__init__(message)
        self.status = status
