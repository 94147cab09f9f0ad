"""The command line: train, export, slim and batch run here, every other verb in the Go binary."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import Annotated

import typer

from forgo import _child, _usage
from forgo._cli_batch import batch
from forgo._cli_export import export, slim
from forgo._cli_train import train
from forgo._errors import ForgoError
from forgo._launch import GO_VERBS
from forgo._printable import printable

app = typer.Typer(
    name="forgo",
    help="Train with Python, predict with Go, and prove that both give the same answers.",
    epilog="Example: forgo train pictures -o animals.forgo, then forgo predict animals.forgo cat.jpg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        import forgo

        typer.echo(f"forgo {forgo.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("train", epilog="Example: forgo train pictures -o animals.forgo --epochs 10")(train)
app.command(
    "export",
    epilog="Example: forgo export model.keras -o animals.forgo --examples photos --labels labels.txt",
)(export)
app.command("slim", epilog="Example: forgo slim faces.forgo -o faces-slim.forgo")(slim)
app.command("batch", epilog="Example: forgo batch prices.forgo houses.parquet -o answers.parquet --keep id")(
    batch
)


def _add_go_verb(verb: str, summary: str) -> None:
    """Show a Go verb in --help; main hands it over before this module is even imported."""

    @app.command(
        verb, help=f"{summary}.", rich_help_panel="In Go", context_settings={"ignore_unknown_options": True}
    )
    def _hand_over(context: typer.Context) -> None:
        from forgo._binary import hand_over

        hand_over([verb, *context.args])


for _verb, _summary in GO_VERBS.items():
    _add_go_verb(_verb, _summary)


def run(arguments: list[str]) -> None:
    """Run a command line and exit. A user's mistake gets one line on stderr and no traceback."""
    _child.exit_on_terminate()
    _child.interrupt_once()
    try:
        code = app(arguments, prog_name="forgo", standalone_mode=False)
        if code == _INTERRUPTED:  # typer's code for KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(code)
    except ForgoError as e:
        _fail(e.as_command())
    except OSError as e:
        _fail(f"{e.filename}: {e.strerror}" if e.filename else str(e))
    except (KeyboardInterrupt, typer.Abort):
        print("\nforgo: interrupted; nothing was written", file=sys.stderr)
        _leave(_INTERRUPTED)
    except SystemExit as e:
        if e.code != 128 + signal.SIGTERM:
            raise
        _leave(e.code)
    except Exception as e:
        if not _usage.is_usage_error(e):
            raise
        _usage.show(e, arguments)
        sys.exit(2)


def _leave(code: int) -> None:
    """Exit without C++'s destructors, which crash where TensorFlow's threads were interrupted at work."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(message: str) -> None:
    print(f"forgo: {printable(' '.join(message.split()))}", file=sys.stderr)
    if os.environ.get("FORGO_TRACEBACK"):
        raise
    sys.exit(1)
