"""forgo.load: a bundle in a Python process, answered by the Go binary beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

import forgo
from tests.conftest import BUNDLES
from tests.conftest import forgo as command

IRIS, SHAPES, HALVES = (BUNDLES / f"{n}.forgo" for n in ("iris", "shapes", "halves"))
ROWS = np.array([[5.9, 3.2, 4.8, 1.8], [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
PICTURES = sorted((SHAPES / "golden").glob("*.jpg"))[:4]


@pytest.fixture(scope="module")
def iris() -> Any:
    with forgo.load(IRIS, engine="onnx") as model:  # as the command, below, answers
        yield model


@pytest.fixture(scope="module")
def shapes() -> Any:
    with forgo.load(SHAPES) as model:
        yield model


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True  # nobody in a container may be there to wait for it
        time.sleep(0.02)
    return False


NAMES = [f"input[{n}]" for n in range(4)]


@pytest.mark.parametrize(
    "rows",
    [
        ROWS, ROWS.tolist(), {"input": ROWS}, {"input": ROWS.astype(np.float32)},
        [{"input": r} for r in ROWS], np.asfortranarray(ROWS), ROWS.astype(">f8"), ROWS.astype(object),
        pd.DataFrame(ROWS, columns=["a", "b", "c", "d"]),
        pd.DataFrame(ROWS, columns=NAMES)[NAMES[::-1]],
        pl.DataFrame(ROWS, schema=["a", "b", "c", "d"]),
        pl.DataFrame(ROWS, schema=NAMES).select(NAMES[::-1]),
    ],
    ids=["array", "list", "dict", "float32", "dicts", "by columns", "big-endian", "objects",
         "pandas", "pandas, by names", "polars", "polars, by names"],
)  # fmt: skip
def test_rows_of_every_kind_have_the_same_answers(iris: forgo.Model, rows: Any) -> None:
    probabilities = iris.predict(rows)
    assert probabilities.dtype == np.float32
    assert probabilities.tobytes() == iris.predict(ROWS).tobytes()
    assert [c["classes"][0]["label"] for c in iris.classify(rows)] == ["virginica", "setosa", "virginica"]


def test_it_answers_as_the_command_does(iris: forgo.Model, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS.tolist()))
    done = command("predict", IRIS, tmp_path / "rows.json", "--json", "--top", "0", "--engine", "onnx")
    said = [json.loads(line)["classes"] for line in done.out.splitlines()]
    assert [a["classes"] for a in iris.classify(ROWS, top=0)] == said


def test_every_output(iris: forgo.Model) -> None:
    outputs = iris.run(ROWS)
    assert list(outputs) == ["probabilities", "logits"]
    assert outputs["probabilities"].tobytes() == iris.predict(ROWS).tobytes()
    assert outputs["logits"].shape == (3, 3)


def test_pictures_of_every_kind_have_the_same_answers(shapes: forgo.Model) -> None:
    by_path = shapes.predict(PICTURES)
    assert by_path.shape == (4, 3)
    for given in (
        [str(p) for p in PICTURES],
        [p.read_bytes() for p in PICTURES],
        [Image.open(p) for p in PICTURES],
        {"image": PICTURES},
    ):
        assert shapes.predict(given).tobytes() == by_path.tobytes()
    assert shapes.predict(PICTURES[0]).tobytes() == by_path[:1].tobytes()
    best = [a["classes"][0]["label"] for a in shapes.classify(PICTURES)]
    assert best == [("blue", "green", "red")[n] for n in by_path.argmax(1)]


def test_a_pillow_image_is_what_it_shows(shapes: forgo.Model, tmp_path: Path) -> None:
    turned = Image.effect_noise((40, 24), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert (
        shapes.predict(Image.open(tmp_path / "turned.jpg")).tobytes()
        == shapes.predict(tmp_path / "turned.jpg").tobytes()
    )


def test_a_picture_beside_other_inputs() -> None:
    ink = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)
    with forgo.load(HALVES) as model:
        together = model.predict({"image": PICTURES[:2], "ink": ink})
        assert (
            together.tobytes()
            == model.predict([{"image": p, "ink": i} for p, i in zip(PICTURES, ink, strict=False)]).tobytes()
        )
        best = [a["classes"][0]["label"] for a in model.classify({"image": PICTURES[:2], "ink": ink})]
    assert best == [str(n) for n in together.argmax(1)]


def test_many_rows_come_back_in_order(iris: forgo.Model, shapes: forgo.Model) -> None:
    rows = np.random.default_rng(3).uniform(0, 8, (300_000, 4)).astype(np.float32)
    answers = iris.predict(rows)
    assert answers.shape == (300_000, 3)
    for n in (0, 131_071, 262_144, 299_999):
        np.testing.assert_allclose(answers[n : n + 1], iris.predict(rows[n : n + 1]), atol=1e-6)
    many = shapes.predict(PICTURES * 50)
    np.testing.assert_allclose(many, np.tile(shapes.predict(PICTURES), (50, 1)), atol=1e-6)
    assert iris.predict(np.empty((0, 4))).shape == (0, 3)
    assert iris.classify(np.empty((0, 4))) == []


def test_threads_share_it(iris: forgo.Model) -> None:
    rows = np.random.default_rng(4).uniform(0, 8, (200, 4))
    alone = iris.predict(rows)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda r: iris.predict(r[None]), rows))
    np.testing.assert_allclose(np.concatenate(answers), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.0, 2.0, 3.0, 4.0], "input: must be an array of shape [rows, 4], not [4]; put one row into a list"),
        ([[1.0, 2.0]], "input: must be an array of shape [rows, 4], not [1, 2]"),
        ([[1.0, 2.0, 3.0, 4.0], [1.0]], "input: "),
        ([["a", "b", "c", "d"]], "input: must be FP32, not 'a'"),
        ([[True] * 4], "input: must be FP32, not True"),
        ([[1e60] * 4], "input: FP32 does not hold 1e+60"),
        ({"inptu": ROWS}, "the input 'input' is missing; the model takes input"),
        ({"input": ROWS, "more": ROWS}, "no input 'more'; the model takes input"),
        ([{"input": ROWS[0]}, {"inptu": ROWS[0]}], "row 1 has inptu; the first has input"),
        (pd.DataFrame(ROWS, columns=[*NAMES[:3], "odd"]), "no input 'odd'; the model takes input"),
        ("seven.png", "input: must be FP32, not 'seven.png'"),
        (None, "input: "),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(iris: forgo.Model, rows: Any, message: str) -> None:
    with pytest.raises(forgo.ForgoError) as refused:
        iris.predict(rows)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_pictures_that_are_refused(shapes: forgo.Model, iris: forgo.Model, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(forgo.RequestError) as refused:
        shapes.predict(tmp_path / "text.png")
    assert refused.value.status == 400
    with pytest.raises(forgo.ForgoError, match=r"no-such\.png': No such file"):
        shapes.predict("no-such.png")
    with pytest.raises(forgo.ForgoError, match="a picture must be a path, bytes or a Pillow image, not int"):
        shapes.predict([3])
    with pytest.raises(forgo.ForgoError, match="mode CMYK"):
        shapes.predict(Image.new("CMYK", (8, 8)))
    with pytest.raises(forgo.ForgoError, match="top=-1"):
        iris.classify(ROWS, top=-1)


def test_bundles_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(forgo.ForgoError, match="no such bundle"):
        forgo.load(tmp_path / "none.forgo")
    with pytest.raises(forgo.ForgoError, match=r"not a bundle: it has no forgo\.json"):
        forgo.load(tmp_path)
    with pytest.raises(forgo.ForgoError, match="verify='no'"):
        forgo.load(IRIS, verify="no")
    with pytest.raises(
        forgo.ForgoError, match=r'"tpu" for "--engine" flag: must be onnx, pure, tensorflow or auto'
    ):
        forgo.load(IRIS, engine="tpu")
    with pytest.raises(forgo.ForgoError, match=r"engine='a\\x00b'"):
        forgo.load(IRIS, engine="a\0b")
    with pytest.raises(forgo.ForgoError, match="threads='x': give a whole number"):
        forgo.load(IRIS, threads="x")  # type: ignore[arg-type]
    damaged = shutil.copytree(IRIS, tmp_path / "damaged.forgo")
    with (damaged / "model.onnx").open("r+b") as f:
        f.seek(200)
        f.write(b"x")
    with pytest.raises(forgo.ForgoError, match=r"model\.onnx") as refused:
        forgo.load(damaged)
    assert "\n" not in str(refused.value)


def test_a_crash_is_an_error_and_a_closed_model_says_so() -> None:
    with forgo.load(IRIS) as model:
        os.kill(model._process.pid, signal.SIGKILL)
        model._process.wait(10)
        with pytest.raises(forgo.ForgoError, match="ended by signal 9: load the bundle again"):
            model.predict(ROWS)
    with pytest.raises(forgo.ForgoError, match="closed"):
        model.predict(ROWS)
    assert not model._folder.exists()


def test_an_engine_has_every_name_of_the_command_and_finds_its_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with forgo.load(IRIS, engine="onnxruntime") as model:
        assert model.predict(ROWS).shape == (3, 3)
    monkeypatch.setenv("FORGO_ONNXRUNTIME", "/no/such/library")
    with pytest.raises(forgo.ForgoError, match="/no/such/library"):
        forgo.load(IRIS, engine="onnx")


def test_variables_of_other_servers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGO_HTTP", "nonsense")
    monkeypatch.setenv("FORGO_KEYS", "/no/such/file")
    monkeypatch.setenv("FORGO_MISSPELT", "1")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nonsense")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with forgo.load(IRIS) as model:
        assert model.predict(ROWS).shape == (3, 3)


NOTEBOOK = """
import os, sys
import numpy as np
import forgo
model = forgo.load(sys.argv[1])
for n in range(1000):
    assert model.predict(np.full((1, 4), n % 8)).shape == (1, 3)
child = 0
if "fork" in sys.argv:
    child = os.fork()
    if child == 0:
        assert model.predict(np.ones((1, 4))).shape == (1, 3)
        os.write(1, b"child\\n")
        os.read(0, 1)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WNOHANG | os.WEXITED)
print(model._process.pid, child, flush=True)
os.read(0, 1)
"""


@pytest.mark.parametrize("forks", ["", "fork"])
def test_nothing_is_left_of_a_process_that_was_killed(forks: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, IRIS, forks],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as notebook:
        assert notebook.stdout is not None
        lines = [notebook.stdout.readline() for _ in range(2 if forks else 1)]
        server, _child = map(int, next(line for line in lines if line != "child\n").split())
        notebook.kill()
        assert gone(server)
        if forks:
            assert "child\n" in lines  # it was answered, and holds up nobody


def test_it_ends_with_its_process() -> None:
    script = "import forgo, sys; m = forgo.load(sys.argv[1]); print(m._process.pid, m._folder)"
    done = subprocess.run([sys.executable, "-c", script, IRIS], capture_output=True, text=True, check=True)
    pid, folder = done.stdout.split()
    assert gone(int(pid))
    assert not Path(folder).exists()
    assert not done.stderr


def test_folders_of_killed_processes_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, used = tmp_path / "forgo-load-old", tmp_path / "forgo-load-used"
    for folder in (old, used):
        folder.mkdir()
    (used / "s").touch()
    for folder in (old, used):
        os.utime(folder, (0, 0))
    with forgo.load(IRIS):
        assert not old.exists()
        assert used.exists()


def test_nothing_is_imported_before_it_is_used() -> None:
    script = "import forgo, sys; assert not {'httpx', 'numpy', 'onnx', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
