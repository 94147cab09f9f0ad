"""forgo.export of PyTorch's modules and programs: proven, left as they were, or refused in one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn
from torch.export import Dim

import forgo
from tests.conftest import forgo as run_forgo

X, Y = load_iris(return_X_y=True)
LABELS = ["setosa", "versicolor", "virginica"]
ROWS = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)


def train(model: nn.Module, rows: Any, target: Any, steps: int = 40) -> nn.Module:
    """Train a few steps; the module is left in training mode."""
    x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(target)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


@pytest.fixture
def iris() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)]
    return train(nn.Sequential(*layers), X, Y)


def scores(model: nn.Module, rows: Any) -> Any:
    model.eval()
    with torch.no_grad():
        return model(torch.tensor(rows, dtype=torch.float32)).softmax(1).numpy()


def test_a_classifier_in_training_mode_answers_in_evaluation_mode(iris: nn.Module, tmp_path: Path) -> None:
    iris[1].eval()
    modes = [m.training for m in iris.modules()]
    state = torch.random.get_rng_state()
    result = forgo.export(
        iris, tmp_path / "iris.forgo", examples=X, labels=LABELS, append="softmax", expected_labels=Y.tolist()
    )
    assert [m.training for m in iris.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    assert any("it is exported in evaluation mode" in n for n in result.notes)
    assert result.accuracy is not None
    assert result.accuracy["right"] > 140
    with forgo.load(tmp_path / "iris.forgo") as model:
        got = np.asarray(model.predict(X))
    np.testing.assert_allclose(got, scores(iris, X), atol=1e-5)


def test_nothing_of_the_users_files_is_in_the_graph(iris: nn.Module, tmp_path: Path) -> None:
    forgo.export(iris, tmp_path / "iris.forgo", examples=X)
    data = (tmp_path / "iris.forgo" / "model.onnx").read_bytes()
    assert b".py" not in data
    assert [o.version for o in onnx.load_model_from_string(data).opset_import] == [18]
    assert sorted(p.name for p in (tmp_path / "iris.forgo").glob("model.onnx*")) == ["model.onnx"]


class Ends(nn.Module):
    """Several inputs and outputs, of several types."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(9, 4)
        self.linear = nn.Linear(4, 2)

    def forward(self, codes: Any, weight: Any, keep: Any, scale: Any = None) -> Any:
        x = self.linear(self.embedding(codes)) * weight[:, None]
        return {"scores": torch.where(keep[:, None], x, -x), "best": x.argmax(1), "none": None}


def test_inputs_and_outputs_keep_their_names_and_types(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    rows = {
        "weight": generator.normal(size=20), "codes": generator.integers(0, 9, (20, 5)), "keep": np.arange(20) % 3 == 0,
    }  # fmt: skip
    forgo.export(Ends(), tmp_path / "m.forgo", examples=rows)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert [(e["name"], e["dtype"]) for e in manifest["inputs"]] == [
        ("codes", "int64"), ("weight", "float32"), ("keep", "bool"),
    ]  # fmt: skip
    assert [(e["name"], e["dtype"]) for e in manifest["outputs"]] == [
        ("scores", "float32"),
        ("best", "int64"),
    ]


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.linear = nn.Linear(5, 2)

    def forward(self, tokens: Any, mask: Any) -> Any:
        states, _ = self.lstm(self.embedding(tokens) * mask[:, :, None])
        return self.linear(states[:, -1])


def test_a_sequence_keeps_its_free_length(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Sequence()
    generator = np.random.default_rng(1)
    rows = {"tokens": generator.integers(0, 9, (20, 7)), "mask": generator.random((20, 7))}
    forgo.export(model, tmp_path / "m.forgo", examples=rows)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert [e["shape"] for e in manifest["inputs"]] == [[None, None], [None, None]]
    longer = {
        "tokens": generator.integers(0, 9, (3, 31)),
        "mask": generator.random((3, 31)).astype(np.float32),
    }
    with forgo.load(tmp_path / "m.forgo") as loaded:
        got = loaded.run(longer)["output"]
    with torch.no_grad():
        want = model(*(torch.tensor(a) for a in longer.values())).numpy()
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_cast_up_and_said(dtype: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)).to(dtype).eval()
    result = forgo.export(model, tmp_path / "m.forgo", examples=ROWS)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert any("it is exported in float32" in n for n in result.notes)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["inputs"][0]["dtype"] == "float32"
    assert manifest["provenance"]["half_precision"]["difference"] < 0.05


def test_float64_stays(tmp_path: Path) -> None:
    forgo.export(nn.Linear(4, 3).double(), tmp_path / "m.forgo", examples=ROWS)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert (manifest["inputs"][0]["dtype"], manifest["outputs"][0]["dtype"]) == ("float64", "float64")


def test_whole_numbers_of_a_file_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("[1, 2, 3, 4]\n[5, 6, 7, 8]\n")
    forgo.export(nn.Linear(4, 3), tmp_path / "m.forgo", examples=tmp_path / "rows.jsonl")
    (tmp_path / "rows.csv").write_text("1,2,3,4\n5,6,7,8\n")
    forgo.export(nn.Linear(4, 3), tmp_path / "c.forgo", examples=tmp_path / "rows.csv")


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self.linear(x))


class Branches(nn.Module):
    def forward(self, x: Any) -> Any:
        if x.max() > 0.5:
            return x * 2
        return x


def strings() -> Any:
    return np.array(["a", "b"], dtype=object)


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "an operation that ONNX lacks": (
        lambda: Calls(lambda y: torch.linalg.svdvals(y.reshape(-1, 2, 2))), ROWS,
        r"ONNX has no operation for aten\._linalg_svd, which the model uses: rewrite it with other operations",
    ),
    "a branch on values": (
        Branches, ROWS, r"branches on the values of tensors \(.*test_export\.py, line \d+\).*torch\.where",
    ),
    "weights without values": (lambda: nn.Linear(4, 3, device="meta"), ROWS, r"on the device 'meta'.*load them on the CPU"),
    "no examples": (lambda: nn.Linear(4, 3), None, r"give examples, or"),
    "none in it": (lambda: nn.Linear(4, 3), ROWS[:0], r"examples: there are no rows"),
    "another width": (lambda: nn.Linear(5, 3), ROWS, r"fails on the examples: .*shapes cannot be multiplied \(1x4 and 5x3\)"),
    "tensors with gradients": (
        lambda: nn.Linear(4, 3), torch.tensor(ROWS, requires_grad=True), r"cannot be read as an array: .*detach",
    ),
    "strings": (lambda: nn.Linear(4, 3), strings(), r"are strings, which PyTorch tensors cannot hold"),
    "an input that is missing": (Ends, {"codes": np.zeros((3, 5), int)}, r"Ends\.forward also needs 'weight': give a dict"),
    "an input that is not there": (lambda: nn.Linear(4, 3), {"x": ROWS}, r"Linear\.forward takes no 'x'; it takes input"),
    "a frame for a matrix": (
        lambda: nn.Linear(4, 3), dict(zip("abcd", ROWS.T, strict=True)),
        r"takes no 'a'; it takes input\. If .*: frame\.to_numpy\(\)\.astype\('float32'\)",
    ),
    "a state that has no rows": (
        lambda: nn.LSTM(4, 3, batch_first=True), np.zeros((6, 5, 4), np.float32),
        r"'output_1_0' has the shape \[1, 2, 3\] for 2 rows",
    ),
    "an answer that is no tensor": (lambda: Calls(lambda y: (y, 3)), ROWS, r"output 'output_1' is a int, not a tensor"),
    "complex numbers": (lambda: Calls(torch.fft.rfft), ROWS, r"'output' is complex64"),
    "random answers": (
        lambda: Calls(lambda y: nn.functional.dropout(y, 0.5)), ROWS,
        r"changes from run to run in evaluation mode: the model is random, as F\.dropout is without",
    ),
    "rows that depend on one another": (lambda: Calls(lambda y: y - y.mean(0)), ROWS, r"its rows depend on one another"),
    "weights alone": (lambda: nn.Linear(4, 3).state_dict(), ROWS, r"OrderedDict cannot be exported: give a Keras 3 model, a PyTorch module"),
    "a class": (lambda: nn.Linear, ROWS, r"builtins\.type cannot be exported: give a Keras 3 model, a PyTorch module"),
    "no rows in training mode": (lambda: nn.BatchNorm1d(4).train(), ROWS[:0], r"examples: there are no rows"),
    "lazy layers": (lambda: nn.LazyLinear(3), ROWS, r"lazy layers, without weights yet: call it on data"),
    "TorchScript": (lambda: torch.jit.trace(nn.Linear(4, 3), torch.zeros(1, 4)), ROWS, r"give the nn\.Module that it was made from, or an \.onnx file"),
    "code that fails": (lambda: Calls(lambda y: y.missing), ROWS, r"fails on the examples: AttributeError"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    make, examples, message = REFUSED[case]
    with pytest.raises(forgo.ForgoError, match=message) as refused:
        forgo.export(make(), tmp_path / "m.forgo", examples=examples)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        forgo.ExportError, match="a PyTorch module or exported program runs only on onnxruntime"
    ):
        forgo.export(nn.Linear(4, 3), tmp_path / "m.forgo", examples=ROWS, engine="tensorflow")


def program(model: nn.Module, *, free: bool = True) -> Any:
    shapes = ({0: Dim.DYNAMIC},) if free else None
    return torch.export.export(model, (torch.tensor(ROWS[:2]),), dynamic_shapes=shapes)


@pytest.mark.parametrize("free", [True, False])
def test_a_program_in_a_file(free: bool, iris: nn.Module, tmp_path: Path) -> None:
    iris.eval()
    torch.export.save(program(iris, free=free), tmp_path / "iris.pt2")
    np.save(tmp_path / "rows.npy", X)
    command = [
        "export",
        tmp_path / "iris.pt2",
        "-o",
        tmp_path / "m.forgo",
        "--examples",
        tmp_path / "rows.npy",
    ]
    done = run_forgo(*command)
    assert done.code == 1
    assert "can run code here; pass --trust if you trust its author" in done.err
    assert not (tmp_path / "m.forgo").exists()
    done = run_forgo(*command, "--trust", "--append", "softmax")
    assert done.code == 0, done.err
    with forgo.load(tmp_path / "m.forgo") as model:
        got = np.asarray(model.predict(X[:40]))
    np.testing.assert_allclose(got, scores(iris, X[:40]), atol=1e-5)


def test_a_program_of_training_is_refused(iris: nn.Module, tmp_path: Path) -> None:
    iris.train()
    with pytest.raises(forgo.ExportError, match=r"call model\.eval\(\) before torch\.export\.export"):
        forgo.export(program(iris), tmp_path / "m.forgo", examples=X)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_pickles_are_refused_unread(suffix: str, iris: nn.Module, tmp_path: Path) -> None:
    torch.save(iris.state_dict(), tmp_path / f"w{suffix}")
    with pytest.raises(
        forgo.ExportError, match=r"is a pickle.*load_state_dict\(torch\.load\(FILE, weights_only=True\)\)"
    ):
        forgo.export(tmp_path / f"w{suffix}", tmp_path / "m.forgo", examples=X, trust=True)


def test_files_that_are_no_programs(tmp_path: Path) -> None:
    (tmp_path / "text.pt2").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip.pt2", "w") as archive:
        archive.writestr("archive/version", "0")
    for name in ("text", "zip"):
        with pytest.raises(
            forgo.ExportError, match=rf"{name}\.pt2: torch\.export\.load cannot load it"
        ) as refused:
            forgo.export(tmp_path / f"{name}.pt2", tmp_path / "m.forgo", examples=ROWS, trust=True)
        assert "\n" not in str(refused.value)
    with pytest.raises(forgo.ExportError, match="no such regular file"):
        forgo.export(tmp_path / "nothing.pt2", tmp_path / "m.forgo", examples=ROWS, trust=True)
