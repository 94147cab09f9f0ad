"""Plants a skew in the source of an adapter, in this process."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def plant(file: str, old: str, new: str) -> None:
    """Run a module of the export again with other text in it."""
    module = import_module(f"forgo.exporting.{file}")
    source = Path(str(module.__file__)).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{file}.py has {old!r} {source.count(old)} times")
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), module.__dict__)
