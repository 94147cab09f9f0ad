"""Usage errors: one line that says which word is wrong and what would work."""

from __future__ import annotations

import difflib
import sys
from typing import Any

import typer

from forgo._printable import printable


def whole_number(text: str) -> int:
    """Read an option's whole number.

    Raises:
        typer.BadParameter: The text is not a whole number.
    """
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, not {text!r}") from None


def number(text: str) -> float:
    """Read an option's number.

    Raises:
        typer.BadParameter: The text is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, not {text!r}") from None


def is_usage_error(error: Exception) -> bool:
    """Whether typer raised an error for a command line that it cannot parse."""
    return getattr(error, "exit_code", None) == 2 and hasattr(error, "format_message")


def show(error: Any, arguments: list[str]) -> None:
    """Print a usage error on stderr, or the help if there are no arguments."""
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "forgo"
    if not arguments:
        print(context.get_help(), file=sys.stderr)
        return
    print(f"forgo: {printable(_say(error, context))} (see {command} --help)", file=sys.stderr)


def _say(error: Any, context: Any) -> str:
    if option := getattr(error, "option_name", None):
        if not hasattr(error, "possibilities"):
            return _lower(error.format_message())
        known = [o for p in context.command.params for o in p.opts] if context else []
        near = nearest(option, known)
        return f"no such option: {option}" + (f"; did you mean {near}?" if near else "")
    param = getattr(error, "param", None)
    if param is not None and getattr(param, "opts", None) and isinstance(error, typer.BadParameter):
        name = (
            max(param.opts, key=len)
            if param.opts[0].startswith("-")
            else (param.metavar or param.name.upper())
        )
        if getattr(error, "message", ""):
            return f"{name}: {error.message}"
    return _lower(error.format_message())


def _lower(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:]


def nearest(typed: str, known: list[str]) -> str | None:
    """Return the closest option: by its initials (--lr), a part of it (--size), or its spelling."""
    word = typed.lstrip("-").split("=")[0]
    options = {o.lstrip("-"): o for o in known if o.startswith("--")}
    for name, option in options.items():
        if len(word) > 1 and word == "".join(part[0] for part in name.split("-")):
            return option
    for name, option in options.items():
        if len(word) > 2 and (name.startswith(word) or word in name.split("-")):
            return option
    close = difflib.get_close_matches(word, options, n=1)
    return options[close[0]] if close else None
