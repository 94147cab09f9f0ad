"""Wrong options of the Python verbs: one line, exit code 2, and the option that was meant."""

from __future__ import annotations

import inspect
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import forgo as library
from forgo import _batch
from forgo._errors import ForgoError, Note, argument, in_command
from forgo._usage import nearest
from tests.conftest import BUNDLES, forgo


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", ".", "-o", "x.forgo", "--lr", "1"], "no such option: --lr; did you mean --learning-rate?"),
        (["train", ".", "-o", "x.forgo", "--size", "9"], "did you mean --image-size?"),
        (["train", ".", "-o", "x.forgo", "--augmnt", "no"], "did you mean --augment?"),
        (["train", ".", "-o", "x.forgo", "--zzz"], "no such option: --zzz (see"),
        (
            ["train", ".", "-o", "x.forgo", "--epochs", "ten"],
            "--epochs: must be a whole number, not 'ten' (see forgo train --help)",
        ),
        (["train", ".", "-o", "x.forgo", "--learning-rate", "fast"], "must be a number, not 'fast'"),
        (["export", "x", "-o", "y.forgo", "--tolerance", "1e"], "--tolerance: must be a number, not '1e'"),
        (["train", "."], "missing option"),
        (["train"], "missing argument 'DIR'"),
        (["trian"], "did you mean 'train'?"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], says: str) -> None:
    done = forgo(*words)
    assert (done.code, done.out) == (2, "")
    assert says.lower() in done.err.lower()
    assert done.err.startswith("forgo: ")
    assert done.err.count("\n") == 1


def test_nearest_option() -> None:
    known = ["--learning-rate", "--image-size", "--help", "-o", "--out"]
    assert nearest("--lr", known) == "--learning-rate"
    assert nearest("--image", known) == "--image-size"
    assert nearest("--learningrate=3", known) == "--learning-rate"
    assert nearest("--q", known) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--learning-rate", "-1"], "--learning-rate must be above 0 and at most 1, not -1"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0 and at most 1, not nan"),
        (["--learning-rate", "100"], "--learning-rate must be above 0 and at most 1, not 100"),
        (["--epochs", "0"], "--epochs must be 1 or more, not 0"),
        (["--seed", "-1"], "--seed must be from 0 to 4294967295, not -1"),
        (["--image-size", "100000"], "--image-size must be from 8 to 4096, not 100000"),
        (["--weights", "imagenet"], "pass --weights none, or --backbone resnet50"),
        (["--weights", "missing.h5"], "--weights: no such file missing.h5"),
        (["--save-keras", "nowhere/m.keras"], "--save-keras: the folder nowhere does not exist"),
        (["--backbone", "huge"], "--backbone must be one of small, resnet50, not 'huge'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_read(
    tmp_path: Path, options: list[str], says: str
) -> None:
    done = forgo("train", tmp_path / "missing", "-o", tmp_path / "x.forgo", *options)
    assert done.code == 1
    assert says in done.err
    assert done.err.count("\n") == 1


def test_errors_name_arguments_in_python_and_options_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ForgoError, match=r"^learning_rate must be above 0 and at most 1, not -1$"):
        library.train(tmp_path, tmp_path / "x.forgo", learning_rate=-1)
    with pytest.raises(ForgoError, match="epochs must be a whole number, not 'ten'"):
        library.train(tmp_path, tmp_path / "x.forgo", epochs="ten")  # type: ignore[arg-type]
    error = ForgoError(
        f"pass {argument('weights', 'none')} or {argument('force', True)}, see {argument('fit')} and {argument('outputs')}"
    )
    assert str(error) == "pass weights='none' or force=True, see fit and outputs"
    assert error.as_command() == "pass --weights none or --force, see --fit and --output"
    assert str(ForgoError(error.message)) == str(error)
    note = Note(error.message)
    assert note == str(error)
    assert note.as_command() == error.as_command()


def test_every_argument_that_an_error_names_is_an_option_too() -> None:
    named = set()
    for file in Path(library.__file__).parent.rglob("*.py"):
        named |= set(re.findall(r"""argument\(["'](\w+)["']""", file.read_text()))
    verbs: dict[str, Callable[..., Any]] = {
        "export": library.export,
        "train": library.train,
        "batch": _batch.run,
    }
    known = {option for verb in verbs for option in re.findall(r"--[a-z][a-z-]*", forgo(verb, "--help").out)}
    python = {name for call in verbs.values() for name in inspect.signature(call).parameters}
    assert len(named) > 30
    assert named <= python
    assert {in_command(argument(name)) for name in named - {"preprocess"}} <= known


@pytest.mark.parametrize(
    ("mistake", "python", "command"),
    [
        (
            {"channels": "GRB", "no_goldens": True},
            "channels is RGB or BGR, not 'GRB'",
            "--channels is RGB or BGR, not 'GRB'",
        ),
        ({"scale": "x", "no_goldens": True}, "scale: 'x' is not a number", "--scale: 'x' is not a number"),
        (
            {},
            "give examples, or no_goldens=True for",
            "give --examples, or --no-goldens for",
        ),
        ({"thresholds": 0.5}, "add task='multi-label'", "add --task multi-label"),
    ],
)
def test_export_names_arguments_as_its_caller_knows_them(
    tmp_path: Path, mistake: dict[str, Any], python: str, command: str
) -> None:
    with pytest.raises(ForgoError) as error:
        library.export(object(), tmp_path / "m.forgo", **mistake)
    assert python in str(error.value)
    assert command in error.value.as_command()


def test_an_existing_bundle_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "iris.forgo"
    path.mkdir()
    (path / "forgo.json").write_bytes((BUNDLES / "iris.forgo" / "forgo.json").read_bytes())
    before = (path / "forgo.json").read_bytes()
    for words in (["train", str(tmp_path)], ["export", "m.keras", "--no-goldens"]):
        done = forgo(*words, "-o", path)
        assert done.code == 1
        assert done.err == f"forgo: {path} exists: pass --force to replace it, or choose another name\n"
    assert (path / "forgo.json").read_bytes() == before


def test_a_wrong_path_is_told_before_tensorflow_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys, forgo\n"
        "try:\n forgo.train(sys.argv[1], sys.argv[2])\n"
        "except forgo.ForgoError as e:\n print(e, [m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    import subprocess
    import sys

    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "missing", tmp_path / "x.forgo"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"{tmp_path / 'missing'}: no such folder []\n"
    assert time.monotonic() - start < 60


SLOW_IMPORT = """
import sys
import time


class Slow:
    def find_spec(self, name, *_):
        if name == "numpy":
            print("importing", flush=True)
            time.sleep(120)


sys.meta_path.insert(0, Slow())
from forgo._launch import main

main()
"""


def test_an_interruption_while_importing_prints_nothing() -> None:
    command = [sys.executable, "-c", SLOW_IMPORT, "train", "pictures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == ""
    assert process.returncode == -signal.SIGINT
