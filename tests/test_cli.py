"""The command line as a user sees it: one clear line for a mistake, exit codes, hand-over."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from forgo._launch import GO_VERBS
from tests.conftest import BUNDLES, FORGO, ROOT, forgo

SHAPES, IRIS = BUNDLES / "shapes.forgo", BUNDLES / "iris.forgo"
PICTURE = SHAPES / "golden" / "000.jpg"


def huge_png() -> bytes:
    body = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + chunk


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is text\n", "not a JPEG, PNG, GIF, BMP, TIFF or WebP"),
        ("truncated.jpg", PICTURE.read_bytes()[:400], "truncated"),
        ("huge.png", huge_png(), "60000 x 60000"),
        ("folder", None, "folder"),
        ("missing.jpg", None, "no such file"),
    ],
)
def test_predict_on_a_bad_file(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    elif name == "folder":
        file.mkdir()
    done = forgo("predict", "--json", SHAPES, file)
    assert done.code == 1
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert str(file) in done.err
    assert says in done.err
    # the others are answered all the same
    done = forgo("predict", "--json", SHAPES, file, PICTURE)
    assert done.code == 1
    assert json.loads(done.out)["file"] == str(PICTURE)


def test_predict_prints_one_object_a_line_best_first() -> None:
    done = forgo("predict", "--json", "--top", "0", SHAPES, PICTURE, PICTURE)
    assert (done.code, done.err) == (0, "")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert first == second
    assert set(first) == {"file", "classes"}
    scores = [c["score"] for c in first["classes"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    one = json.loads(forgo("predict", "--json", SHAPES, PICTURE).out)
    assert one["classes"] == first["classes"][:1]


def test_predict_for_people() -> None:
    done = forgo("predict", "--top", "2", SHAPES, PICTURE)
    assert done.code == 0
    assert "parity proven: 16 of 16 cases" in done.err
    assert len(done.out.splitlines()) == 2
    assert "%" in done.out


@pytest.mark.parametrize("arguments", [["predict"], ["predict", SHAPES], ["verify"], ["nothing"], ["serve", SHAPES, "--port", "1"], ["train"], ["train", ".", "--epochs", "many", "-o", "x.forgo"]])  # fmt: skip
def test_wrong_usage_is_exit_2(arguments: list[str | Path]) -> None:
    done = forgo(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "goroutine" not in done.err


def test_refusals_are_exit_1_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "one" / "class").mkdir(parents=True)
    (tmp_path / "fake.keras").write_bytes(b"no zip")
    commands: list[list[str | Path]] = [
        ["verify", tmp_path],
        ["verify", tmp_path / "missing.forgo"],
        ["inspect", PICTURE],
        ["serve", tmp_path / "missing.forgo"],
        ["train", tmp_path / "missing", "-o", tmp_path / "x.forgo"],
        ["train", tmp_path / "one", "-o", tmp_path / "x.forgo"],
        ["train", tmp_path / "one", "-o", tmp_path / "nowhere" / "x.forgo"],
        ["train", tmp_path / "one", "-o", tmp_path / "x.forgo", "--backbone", "huge"],
        ["export", tmp_path / "missing.keras", "-o", tmp_path / "x.forgo", "--examples", tmp_path],
        ["export", tmp_path / "fake.keras", "-o", tmp_path / "x.forgo", "--examples", SHAPES / "golden"],
    ]
    for arguments in commands:
        done = forgo(*arguments)
        assert done.code == 1, arguments
        assert done.err.startswith("forgo: "), (arguments, done.err)
        assert done.err.count("\n") == 1, (arguments, done.err)
        assert not (tmp_path / "x.forgo").exists()


def test_every_verb_has_help_with_an_example() -> None:
    top = forgo("--help")
    assert top.code == 0
    for verb in ["train", "export", "batch", *GO_VERBS]:
        assert verb in top.out
        done = forgo(verb, "--help")
        assert done.code == 0, verb
        assert "Example" in done.out, verb
        assert f"forgo {verb}" in done.out, verb


def test_go_verbs_are_those_of_the_binary() -> None:
    done = subprocess.run(
        [ROOT / "src/forgo/bin/forgo", "--help"], capture_output=True, text=True, check=True
    )
    listed = done.stdout.split("Available Commands:")[1].split("Flags:")[0]
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} - {"help"} == set(GO_VERBS)


def test_both_halves_have_one_version() -> None:
    version = (ROOT / "VERSION").read_text().strip()
    assert forgo("--version").out == f"forgo {version}\n"
    binary = subprocess.run(
        [ROOT / "src/forgo/bin/forgo", "--version"], capture_output=True, text=True, check=True
    )
    assert binary.stdout == f"forgo {version}\n"
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes or f"## [{version}] - 20" in changes


def test_hand_over_imports_nothing_heavy() -> None:
    program = (
        "import sys; from forgo import _binary; "
        "_binary.hand_over = lambda a: (print(a), [print('heavy', m) for m in "
        "('numpy', 'onnx', 'onnxruntime', 'typer', 'rich', 'PIL', 'keras', 'tensorflow', 'subprocess.typer') if m in sys.modules]); "
        "sys.argv = ['forgo', 'doctor', '--json']; from forgo import _launch; _launch._cli = None\n"
        "try: _launch.main()\nexcept BaseException as e: print(type(e))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "['doctor', '--json']"
    assert "heavy" not in done.stdout


def test_help_and_export_import_no_framework() -> None:
    program = "import sys, forgo._cli, forgo.exporting, forgo.training; print([m for m in ('keras', 'tensorflow', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_doctor_and_inspect_as_json() -> None:
    found = json.loads(forgo("doctor", "--json").out)
    assert found["onnxruntime"]["version"]
    inspected = json.loads(forgo("inspect", "--json", SHAPES).out)
    assert inspected["bundle"]["labels"] == ["blue", "green", "red"]
    graph = json.loads(forgo("inspect", "--json", SHAPES / "model.onnx").out)
    assert graph["inputs"][0]["name"] == "pixels"
    assert graph["outputs"][0]["name"] == "probabilities"


def test_verify_names_the_stage_as_json(tmp_path: Path) -> None:
    assert json.loads(forgo("verify", "--json", IRIS).out)["parity"]["cases"] == 16
    done = forgo("verify", "--json", tmp_path)
    assert done.code == 1
    assert json.loads(done.out)["stage"] == "bundle"


def test_the_command_is_the_binary_itself() -> None:
    """Signals and exit codes are the binary's own: the process is replaced, not wrapped."""
    command: list[str | Path] = [
        FORGO,
        "serve",
        IRIS,
        "--http",
        "127.0.0.1:0",
        "--grpc",
        "off",
        "--admin",
        "off",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            assert any('"url":' in line for line in server.stderr)
            assert Path(f"/proc/{server.pid}/exe").resolve().name == "forgo"
        finally:
            server.terminate()
        assert server.wait(timeout=40) == 0


def test_help_version_and_completion_are_words_too() -> None:
    version = forgo("--version").out
    assert forgo("version").out == version
    assert "Available" not in forgo("help").out
    assert forgo("help").out == forgo("--help").out
    assert forgo("help", "train").out == forgo("train", "--help").out
    assert forgo("help", "predict").out == forgo("predict", "--help").out
    script = forgo("completion", "bash")
    assert script.code == 0
    subprocess.run(["bash", "-n"], input=script.out, text=True, check=True)
    completed = forgo("__complete", "").out
    assert {"train", "export", *GO_VERBS} <= {line.split("\t")[0] for line in completed.splitlines()}
    assert "--json" in forgo("__complete", "predict", "--js").out
