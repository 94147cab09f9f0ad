"""What goes wrong, and what the command line shows as one line.

ForgoError
├── PictureError    a picture that no rule of the bundle format covers
├── BundleError     a bundle that cannot be written where it should be
├── ExportError     a model that cannot be exported
└── ParityError     two halves that answer differently: stage, case, difference
"""

from __future__ import annotations


class ForgoError(Exception):
    """Base of all errors that forgo raises for its users. The message says what to do."""


class PictureError(ForgoError):
    """A picture was refused: broken, too large, or of a kind without a stated rule."""


class BundleError(ForgoError):
    """A bundle could not be written."""


class ExportError(ForgoError):
    """A model could not be exported."""


class ParityError(ForgoError):
    """Two halves of the chain framework, ONNX Runtime, Go answer differently.

    Attributes:
        stage: "decode", "preprocess", "model" or "label"; "bundle" where Go refused the folder.
        case: the golden case's id, or None.
        difference: the largest difference, or None where there is no number for it.
    """

    def __init__(
        self, message: str, *, stage: str, case: str | None = None, difference: float | None = None
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.case = case
        self.difference = difference
