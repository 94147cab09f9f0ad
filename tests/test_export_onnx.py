"""Existing .onnx files: whose answers the goldens are, every kind of input, pictures, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_iris, load_sample_images

import forgo
from tests.clients.servers import running
from tests.conftest import ROOT
from tests.conftest import forgo as run_forgo

GRAPHS = ROOT / "conformance" / "graphs"
ROWS = load_iris().data.astype(np.float32)
LABELS = ["setosa", "versicolor", "virginica"]
WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def write(file: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], held: list[Any] = []) -> Path:  # noqa: B006
    graph = helper.make_graph(nodes, "g", inputs, outputs, held)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="tests"
    )
    file.write_bytes(model.SerializeToString())
    return file


def classifier(file: Path) -> Path:
    """Its label comes first, as exporters of scikit-learn have it."""
    value = helper.make_tensor_value_info
    return write(
        file,
        [
            helper.make_node("MatMul", ["X", "w"], ["z"]),
            helper.make_node("Softmax", ["z"], ["probabilities"], axis=-1),
            helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0),
        ],
        [value("X", TensorProto.FLOAT, [None, 4])],
        [value("label", TensorProto.INT64, [None]), value("probabilities", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )


def answers(rows: Any = ROWS) -> dict[str, Any]:
    z = rows.astype(np.float64) @ WEIGHTS
    e = np.exp(z - z.max(1, keepdims=True))
    return {"probabilities": e / e.sum(1, keepdims=True), "label": z.argmax(1)}


def manifest_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "forgo.json").read_text())
    return found


def test_a_file_alone_answers_for_itself_and_everything_says_so(tmp_path: Path) -> None:
    rows = tmp_path / "rows.npy"
    np.save(rows, ROWS)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    path = tmp_path / "iris.forgo"
    file = classifier(tmp_path / "iris.onnx")
    done = run_forgo("export", file, "-o", path, "--examples", rows, "--labels", tmp_path / "labels.txt")
    assert "against the converted graph's own answers, not the training framework's" in done.err, done.err
    manifest = manifest_of(path)
    assert manifest["golden"]["expected_from"] == "converted graph"
    assert [o["name"] for o in manifest["outputs"]] == ["probabilities", "label"]
    assert manifest["provenance"]["onnx"]["producer"] == "tests"
    assert "not the training framework's" in run_forgo("inspect", path).out
    assert (
        json.loads(run_forgo("inspect", "--json", path).out)["bundle"]["expected_from"] == "converted graph"
    )
    assert "not the training framework's" in run_forgo("verify", path).out
    assert json.loads(run_forgo("verify", "--json", path).out)["parity"]["expected_from"] == "converted graph"
    assert "converted graph's own" in (path / "card.md").read_text()
    with running(path) as ports:
        with urllib.request.urlopen(f"http://{ports['http']}/v2/models/iris") as answer:
            parity = json.load(answer)["parameters"]["parity"]
        with urllib.request.urlopen(f"http://{ports['admin']}/metrics") as answer:
            metrics = answer.read().decode()
    assert parity["expected_from"] == "converted graph"
    assert 'forgo_model_parity_expected_from_graph{model="iris",version="1"} 1' in metrics


@pytest.mark.parametrize(("opset", "ir"), [(7, 3), (9, 4), (13, 7), (18, 8), (21, 10), (23, 11), (24, 12)])
def test_versions_old_and_new(opset: int, ir: int, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    ends = [value("X", TensorProto.FLOAT, [None, 4])], [value("p", TensorProto.FLOAT, [None, 3])]
    if ir < 4:  # what the graph holds must be an input, too
        ends[0].append(value("w", TensorProto.FLOAT, [4, 3]))
    nodes = [helper.make_node("MatMul", ["X", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"], axis=1)]
    graph = helper.make_graph(nodes, "g", *ends, [numpy_helper.from_array(WEIGHTS, "w")])
    opsets = [helper.make_opsetid("", opset)]
    file = tmp_path / "iris.onnx"
    file.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir).SerializeToString())
    expected = {"p": answers()["probabilities"]}
    result = forgo.export(file, tmp_path / "iris.forgo", examples=ROWS, expected=expected, labels=LABELS)
    assert result.parity["mode"] == "full"
    assert [i["name"] for i in manifest_of(tmp_path / "iris.forgo")["inputs"]] == ["X"]


def test_expected_answers_are_the_goldens(tmp_path: Path) -> None:
    file = classifier(tmp_path / "iris.onnx")
    np.savez(tmp_path / "answers.npz", **answers())
    result = forgo.export(
        file, tmp_path / "iris.forgo", examples=ROWS, expected=tmp_path / "answers.npz", labels=LABELS
    )
    assert "expected_from" not in manifest_of(tmp_path / "iris.forgo")["golden"]
    assert "expected_from" not in result.parity


def test_expected_answers_that_the_file_does_not_give(tmp_path: Path) -> None:
    file = classifier(tmp_path / "iris.onnx")
    wrong = answers()
    wrong["probabilities"][[7, 90]] = wrong["probabilities"][[7, 90]][:, ::-1]
    with pytest.raises(forgo.ParityError, match=r"'probabilities' of row 7 \(2 of 150 rows\), by up to"):
        forgo.export(file, tmp_path / "m.forgo", examples=ROWS, expected=wrong)
    lacking = {"label": answers()["label"]}
    with pytest.raises(forgo.ExportError, match="lack the output 'probabilities'"):
        forgo.export(file, tmp_path / "m.forgo", examples=ROWS, expected=lacking)
    with pytest.raises(
        forgo.ExportError, match="name 'other'; the model has the outputs label, probabilities"
    ):
        forgo.export(file, tmp_path / "m.forgo", examples=ROWS, expected={"other": ROWS})
    with pytest.raises(forgo.ExportError, match="holds the answers to examples: give those"):
        forgo.export(file, tmp_path / "m.forgo", expected=answers(), no_goldens=True)
    assert [f.name for f in tmp_path.iterdir()] == ["iris.onnx"]


def test_onnx_test_data_beside_the_file(tmp_path: Path) -> None:
    """Examples and expected answers as ONNX's own runners have them, written by forgo or by anybody."""
    file = classifier(tmp_path / "iris.onnx")
    for number, row in enumerate((0, 60, 120, 149)):
        folder = tmp_path / f"test_data_set_{number}"
        folder.mkdir()
        want = answers(ROWS[row : row + 1])
        arrays = {
            "input_0": ROWS[row : row + 1],
            "output_0": want["label"],
            "output_1": want["probabilities"].astype("f4"),
        }
        for name, array in arrays.items():
            (folder / f"{name}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    result = forgo.export(file, tmp_path / "iris.forgo", labels=LABELS)
    assert result.parity["cases"] == 4
    assert "expected_from" not in manifest_of(tmp_path / "iris.forgo")["golden"]
    (tmp_path / "test_data_set_2" / "output_1.pb").write_bytes(
        numpy_helper.from_array(np.full((1, 3), 1 / 3, np.float32)).SerializeToString()
    )
    with pytest.raises(
        forgo.ParityError, match=r"the test data beside it differs from the model.*row 2 \(1 of 4 rows\)"
    ):
        forgo.export(file, tmp_path / "again.forgo", labels=LABELS)
    outside = numpy_helper.from_array(np.zeros((1, 3), np.float32))
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "test_data_set_2" / "output_1.pb").write_bytes(outside.SerializeToString())
    with pytest.raises(forgo.ExportError, match="its data is in another file, which forgo does not read"):
        forgo.export(file, tmp_path / "again.forgo", labels=LABELS)


ENDS = ["affine", "network", "half-plus-two", "planes", "sensors", "free-planes", "lookup", "scalar-half",
        *(f"same-{t}" for t in ("bool", "float16", "float64", "int8", "int64", "uint16", "uint64", "string"))]  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_every_kind_of_input(name: str, tmp_path: Path) -> None:
    """Several inputs and outputs, free sizes, scalars, and every element type."""
    rng = np.random.default_rng(0)
    model = onnx.load(str(GRAPHS / f"{name}.onnx"))
    held = {i.name for i in model.graph.initializer}
    examples = {}
    for value in (v for v in model.graph.input if v.name not in held):
        tensor = value.type.tensor_type
        sizes = [d.dim_value if d.dim_value > 0 else 3 for d in tensor.shape.dim]
        shape = [5, *sizes[1:]]
        if tensor.elem_type == TensorProto.STRING:
            texts = [f"t{i}" for i in range(int(np.prod(shape)))]
            examples[value.name] = np.array(texts, dtype=object).reshape(shape)
        else:
            numbers = (
                rng.integers(0, 2, shape) if "bool" in name or "lookup" in name else rng.random(shape) * 9
            )
            examples[value.name] = numbers.astype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    result = forgo.export(GRAPHS / f"{name}.onnx", tmp_path / "m.forgo", examples=examples)
    assert result.parity["cases"] == 5


@pytest.mark.parametrize("first", [True, False], ids=["channels-first", "channels-last"])
@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
def test_pictures(tmp_path: Path, first: bool, half: bool) -> None:
    """What the file answers to a picture is what NumPy makes of the same pixels, normalized and laid out."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    shape = [None, 3, 8, 8] if first else [None, 8, 8, 3]
    value = helper.make_tensor_value_info
    weights: Any = (np.random.default_rng(1).normal(size=(192, 3)) / 8).astype(
        np.float16 if half else np.float32
    )
    file = write(
        tmp_path / "photo.onnx",
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["z"]),
            helper.make_node("Softmax", ["z"], ["p"]),
            helper.make_node("Cast", ["p"], ["y"], to=TensorProto.FLOAT),
        ],
        [value("x", kind, shape)],
        [value("y", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, pixels in enumerate(load_sample_images().images):
        Image.fromarray(pixels[:320, :320]).resize((8, 8)).save(folder / f"{i}.png")
    normal: dict[str, Any] = {
        "scale": "1/255",
        "mean": "0.485,0.456,0.406",
        "std": "0.229,0.224,0.225",
        "channels": "BGR",
    }
    result = forgo.export(
        file, tmp_path / "m.forgo", examples=folder, labels=["a", "b", "c"], resize="nearest", **normal
    )
    assert result.parity["cases"] == 2
    picture = folder / "0.png"
    done = run_forgo("predict", "--json", "--top", "0", tmp_path / "m.forgo", picture)
    got = {c["label"]: c["score"] for c in json.loads(done.out)["classes"]}
    pixels = np.asarray(Image.open(picture)).astype(np.float32)[None, :, :, ::-1]
    x = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = (x.transpose(0, 3, 1, 2) if first else x).reshape(1, -1).astype(weights.dtype)
    z = (x.astype(np.float64) @ weights.astype(np.float64))[0]
    want = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    assert np.allclose([got[n] for n in "abc"], want, atol=5e-3 if half else 1e-5)


def sequence(file: Path) -> Path:
    out = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    return write(file, [helper.make_node("SequenceConstruct", ["x"], ["y"])], [x], [out])


def unknown_field(file: Path) -> Path:
    classifier(file)
    with file.open("ab") as f:
        f.write(bytes([0xF2, 0x7F, 1, 0]))
    return file


def whole_answer(file: Path) -> Path:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [None, 4]), ("y", [1])))
    return write(file, [helper.make_node("ReduceSum", ["x"], ["z"]), helper.make_node("Reshape", ["z", "s"], ["y"])],
                 [x], [y], [numpy_helper.from_array(np.array([1]), "s")])  # fmt: skip


def unknown_operation(file: Path, domain: str = "") -> Path:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 4]) for n in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Frobnicate", ["x"], ["y"], domain=domain)], "g", [x], [y])
    opsets = [helper.make_opsetid(d, 18 if d == "" else 1) for d in dict.fromkeys(("", domain))]
    file.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return file


def text(file: Path) -> Path:
    file.write_text("no model")
    return file


def fifo(file: Path) -> Path:
    os.mkfifo(file)
    return file


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (lambda f: shutil.copy(GRAPHS / "external-data.onnx", f), {}, "keeps weights in another file"),
        (unknown_field, {}, "onnx.proto"),
        (unknown_operation, {}, "refuses it: .*No Op registered for Frobnicate"),
        (lambda f: unknown_operation(f, "my.ops"), {}, 'operations of the domain "my.ops", which need a custom library'),
        (text, {}, "m.onnx: "),
        (fifo, {}, "not a regular file"),
        (sequence, {}, 'output "y" is a sequence'),
        (whole_answer, {}, "needs a row for each row"),
        (lambda f: shutil.copy(GRAPHS / "same-bfloat16.onnx", f), {}, "tensor of bfloat16"),
        (lambda f: shutil.copy(GRAPHS / "scalar-string.onnx", f), {}, "is a scalar string"),
        (classifier, {"outputs": ["logits"]}, "no output 'logits', only label, probabilities"),
        (classifier, {"signature": "serve"}, "no tag, signature or inputs"),
        (classifier, {"engine": "tensorflow"}, "runs only on onnxruntime"),
        (classifier, {"examples": ROWS[:, :3]}, r"shape \(150, 3\), but the model takes"),
        (classifier, {"examples": ROWS[:0]}, "none of the given ones can be used"),
        (classifier, {"examples": {"z": ROWS}}, "the model has no input 'z'"),
        (classifier, {"examples": None}, "parity cannot be proven without examples"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    file = Path(make(tmp_path / "m.onnx"))
    with pytest.raises(forgo.ForgoError, match=says) as caught:
        forgo.export(file, tmp_path / "m.forgo", **{"examples": ROWS, **options})
    assert "\n" not in str(caught.value)
    assert [f.name for f in tmp_path.iterdir()] == ["m.onnx"]


def trees(file: Path) -> Any:
    """A forest whose splits send missing numbers to one side, and its framework's model."""
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = lightgbm.LGBMRegressor(n_estimators=8, verbose=-1).fit(with_gaps(), load_iris().target)
    made = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 4]))])
    file.write_bytes(made.SerializeToString())
    return model


def with_gaps() -> Any:
    rows = ROWS.copy()
    rows[::7, 2] = rows[3::11, 0] = np.nan
    return rows


def test_missing_numbers_are_proven_where_the_file_answers_them(tmp_path: Path) -> None:
    model = trees(tmp_path / "trees.onnx")
    forgo.export(tmp_path / "trees.onnx", tmp_path / "m.forgo", examples=with_gaps(), task="regression")
    replayed = [
        (tmp_path / "m.forgo" / c["input"]).read_text()
        for c in manifest_of(tmp_path / "m.forgo")["golden"]["cases"]
    ]
    assert any("null" in row for row in replayed)
    with forgo.load(tmp_path / "m.forgo") as go:
        assert np.abs(go.predict(with_gaps()).ravel() - model.predict(with_gaps())).max() < 1e-5


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_missing_numbers_in_a_file(name: str, tmp_path: Path) -> None:
    model = trees(tmp_path / "trees.onnx")
    rows = [[None if np.isnan(v) else v for v in row] for row in with_gaps().tolist()]
    lines = [
        json.dumps({"x": row})
        if name == "rows.jsonl"
        else ",".join("NaN" if v is None else str(v) for v in row)
        for row in rows
    ]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    forgo.export(tmp_path / "trees.onnx", tmp_path / "m.forgo", examples=tmp_path / name)
    with forgo.load(tmp_path / "m.forgo") as go:
        assert np.abs(go.predict(with_gaps()).ravel() - model.predict(with_gaps())).max() < 1e-5


def test_missing_numbers_without_an_answer(tmp_path: Path) -> None:
    file = classifier(tmp_path / "m.onnx")
    with pytest.raises(
        forgo.ExportError, match="'X' of row 0 has NaN, to which the model's answer is not finite"
    ):
        forgo.export(file, tmp_path / "m.forgo", examples=with_gaps())
    with pytest.raises(forgo.ExportError, match="'X' has values that are not finite"):
        forgo.export(file, tmp_path / "m.forgo", examples=np.where(np.isnan(with_gaps()), np.inf, ROWS))
    assert [f.name for f in tmp_path.iterdir()] == ["m.onnx"]


def test_a_frame_for_an_input_that_takes_a_matrix(tmp_path: Path) -> None:
    file = classifier(tmp_path / "m.onnx")
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c", "d"])
    (tmp_path / "rows.csv").write_text(frame.to_csv(index=False))
    with pytest.raises(
        forgo.ExportError,
        match=r"no input 'a'; it has \['X'\]\. If .*: frame\.to_numpy\(\)\.astype\('float32'\)",
    ):
        forgo.export(file, tmp_path / "m.forgo", examples=frame)
    with pytest.raises(forgo.ExportError, match=r"call them X\[0\], X\[1\], …, or leave the header out"):
        forgo.export(file, tmp_path / "m.forgo", examples=tmp_path / "rows.csv")
    forgo.export(file, tmp_path / "m.forgo", examples=frame.to_numpy().astype("float32"))
