"""What an adapter is: a value with everything that the export knows about one framework.

An adapter is one file with a value of this type, called ADAPTER, and one line in ``_adapters``. Only its
functions import the framework, so that listing the adapters imports none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgo._errors import ExportError
from forgo.exporting import _engines
from forgo.exporting._model import Arrays, Trained

if TYPE_CHECKING:
    from forgo.exporting._request import Request


def _no(_: Any) -> bool:
    return False


def _nothing(path: Path, trust: bool) -> None:
    pass


def _loads_no_file(path: Path, request: Request) -> tuple[Trained, Request]:
    raise ExportError(f"{path}: no adapter loads it")


def _takes_no_model(model: Any, request: Request, examples: Any) -> Trained:
    raise ExportError(f"a {type(model).__name__}: no adapter takes it")


def _no_meaning(model: Any) -> tuple[list[str] | None, str | None]:
    return None, None


def _no_labels(path: Path, outputs: list[str] | None) -> list[str] | None:
    return None


def _no_test_data(path: Path) -> tuple[Arrays, Arrays] | None:
    return None


def _stays(model: Any, folder: Path) -> Path | None:
    return None


@dataclass(frozen=True)
class Adapter:
    """How a framework's models are recognized, loaded, saved and run."""

    module: str
    """The module whose ADAPTER this is; the clean process imports it by this name."""
    models: str = ""
    """The models that it takes in memory, for messages: "a Keras 3 model"."""
    files: str = ""
    """The files that it takes, for messages: "a .keras or .h5 file"."""
    engines: tuple[str, ...] = _engines.NAMES
    """The names of the engines that can run its graphs."""
    chooses: bool = False
    """Whether users choose a model in its files by tags, a signature, inputs or outputs."""
    is_file: Callable[[Path], bool] = _no
    """Whether a path is one of its files. Does not import the framework."""
    check: Callable[[Path, bool], None] = _nothing
    """Refuse a file, unless it is trusted, before the framework opens it. Runs in the user's process."""
    load: Callable[[Path, Request], tuple[Trained, Request]] = _loads_no_file
    """Load a file in the clean process. Returns the request with what the model adds to it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the clean process."""
    is_model: Callable[[Any], bool] = _no
    """Whether an object is one of its models. Imports nothing: a caller with a model has its framework."""
    adapt: Callable[[Any, Request, Any], Trained] = _takes_no_model
    """Take a model in memory, in the user's process. Its answers there become the expected ones. The
    examples are as the user gave them."""
    layouts: tuple[str, ...] = ("last",)
    """Where the pictures of its models may have their channels: "last", [height, width, channels], or "first"."""
    tables: bool = False
    """Whether its rows are a table: a DataFrame or a matrix, in which numbers may be missing. Its models have ``rows``,
    the examples by input."""
    means: Callable[[Any], tuple[list[str] | None, str | None]] = _no_meaning
    """The labels and the task that a model in memory knows, used if the user gives neither."""
    labels: Callable[[Path, list[str] | None], list[str] | None] = _no_labels
    """The labels that a file has for the first of the chosen outputs, asked if the user gives none but labels examples."""
    test_data: Callable[[Path], tuple[Arrays, Arrays] | None] = _no_test_data
    """Rows and expected answers in files beside the model's, by input and output; None if there are none."""
    save: Callable[[Any, Path], Path | None] = _stays
    """Save a model in memory as a file for ``load``, in a temporary folder. Returns None if the model cannot
    be saved or needs no clean process; the user's process then converts it."""
