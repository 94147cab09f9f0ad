"""What an adapter is: everything the export knows about one framework, as a value.

An adapter is one file with a value of this type, called ADAPTER, and one line in ``_adapters``. The framework
is imported by its functions alone, so that the list of adapters costs no import of a framework.
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
    from forgo.exporting._pipeline import Request


def _no(_: Any) -> bool:
    return False


def _nothing(path: Path, trust: bool) -> None:
    pass


def _loads_no_file(path: Path, request: Request) -> tuple[Trained, Request]:
    raise ExportError(f"{path}: it is loaded by no adapter")


def _takes_no_model(model: Any, request: Request, examples: Any) -> Trained:
    raise ExportError(f"a {type(model).__name__} is taken by no adapter")


def _no_meaning(model: Any) -> tuple[list[str] | None, str | None]:
    return None, None


def _no_test_data(path: Path) -> tuple[Arrays, Arrays] | None:
    return None


def _stays(model: Any, folder: Path) -> Path | None:
    return None


@dataclass(frozen=True)
class Adapter:
    """How the models of a framework are recognized, loaded, saved and asked."""

    module: str
    """The module that has it as ADAPTER, by which the clean process finds it."""
    models: str = ""
    """What it takes in memory, for messages: "a Keras 3 model"."""
    files: str = ""
    """What it takes by its path, for messages: "a .keras or .h5 file"."""
    engines: tuple[str, ...] = _engines.NAMES
    """What can run its graphs in Go."""
    chooses: bool = False
    """Whether a model is chosen out of its files by tags, a signature, inputs or outputs."""
    is_file: Callable[[Path], bool] = _no
    """Whether a path is one of its files, told without its framework."""
    check: Callable[[Path, bool], None] = _nothing
    """Refuse a file before the framework sees it, unless it is trusted; in the user's process."""
    load: Callable[[Path, Request], tuple[Trained, Request]] = _loads_no_file
    """Load a file in the clean process. The request comes back with what the model says of it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the clean process."""
    is_model: Callable[[Any], bool] = _no
    """Whether an object is one of its models. It imports nothing: whoever has a model has its framework."""
    adapt: Callable[[Any, Request, Any], Trained] = _takes_no_model
    """Take a model in memory, in the user's process, where it gives the answers that the bundle is held to. The
    examples come as the user gave them."""
    layouts: tuple[str, ...] = ("last",)
    """Where the pictures that its models are given may have their channels: "last", [height, width, channels], or
    "first"."""
    tables: bool = False
    """Whether its rows are a table: a DataFrame or a matrix, where numbers may be missing. Its models have ``rows``,
    the examples by input."""
    means: Callable[[Any], tuple[list[str] | None, str | None]] = _no_meaning
    """The labels and the task that a model in memory tells of itself, where the user says neither."""
    test_data: Callable[[Path], tuple[Arrays, Arrays] | None] = _no_test_data
    """Rows and the framework's answers to them that lie beside a file, by input and output; None where none do."""
    save: Callable[[Any, Path], Path | None] = _stays
    """Save a model in memory as a file for ``load``, in a folder that is removed later. None, where it cannot
    be saved or needs no clean process: it is then converted in the user's."""
