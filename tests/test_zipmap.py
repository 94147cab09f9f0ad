"""Files that scikit-learn's converters write by default end in ZipMap; the bundle has its input and its labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import forgo
from tests.conftest import ROOT

ROWS = load_iris().data.astype(np.float32)
SPECIES = load_iris().target
NAMES = np.array(["virginica", "setosa", "versicolor"])[SPECIES]
"""Their sorted order, which the model has, is not that of the numbers."""


def converted(file: Path, model: Any, rows: Any) -> Path:
    from skl2onnx import to_onnx

    made = to_onnx(model, rows[:1])
    assert made.graph.node[-1].op_type == "ZipMap"
    file.write_bytes(made.SerializeToString())
    return file


@pytest.mark.parametrize("target", [SPECIES * 5 - 3, NAMES, SPECIES > 0], ids=["numbers", "strings", "two"])
def test_a_pipeline_answers_as_scikit_learn_does(target: Any, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, target)
    file = converted(tmp_path / "iris.onnx", model, ROWS)
    result = forgo.export(file, tmp_path / "iris.forgo", examples=ROWS)
    labels = [str(int(c) if c.dtype.kind == "b" else c) for c in model.classes_]
    assert f"the labels are those of ZipMap, which is taken out: {', '.join(labels)}" in result.notes
    manifest = json.loads((tmp_path / "iris.forgo" / "forgo.json").read_text())
    assert manifest["labels"] == labels
    assert manifest["task"] == "classification"
    assert [o["name"] for o in manifest["outputs"]] == ["output_probability", "output_label"]
    assert "ZipMap" not in {n.op_type for n in onnx.load(tmp_path / "iris.forgo" / "model.onnx").graph.node}
    with forgo.load(tmp_path / "iris.forgo") as go:
        assert np.abs(go.predict(ROWS) - model.predict_proba(ROWS)).max() < 1e-5
        assert [a["classes"][0]["label"] for a in go.classify(ROWS)] == [
            labels[i] for i in model.predict_proba(ROWS).argmax(1)
        ]


def test_a_frame_with_strings(tmp_path: Path) -> None:
    frame = pd.DataFrame({"length": ROWS[:, 2], "site": np.array(["field", "wood"])[np.arange(150) % 2]})
    columns = make_column_transformer((StandardScaler(), ["length"]), (OneHotEncoder(), ["site"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, NAMES)
    file = converted(tmp_path / "iris.onnx", model, frame.astype({"length": np.float32}))
    forgo.export(file, tmp_path / "m.forgo", examples={n: frame[[n]].to_numpy() for n in frame})
    with forgo.load(tmp_path / "m.forgo") as go:
        got = go.predict({n: frame[[n]].to_numpy() for n in frame})
    assert np.abs(got - model.predict_proba(frame)).max() < 1e-5


def test_boosted_trees_by_onnxmltools(tmp_path: Path) -> None:
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(ROWS, NAMES)
    made = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 4]))])
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    forgo.export(tmp_path / "m.onnx", tmp_path / "m.forgo", examples=ROWS)
    with forgo.load(tmp_path / "m.forgo") as go:
        assert np.abs(go.predict(ROWS) - model.predict_proba(ROWS)).max() < 1e-5


def iris(folder: Path) -> Path:
    return converted(folder / "iris.onnx", LogisticRegression().fit(ROWS, NAMES), ROWS)


def test_the_user_may_rename_labels_but_not_order_them(tmp_path: Path) -> None:
    file = iris(tmp_path)
    forgo.export(file, tmp_path / "m.forgo", examples=ROWS, labels=["S", "C", "V"])
    assert json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())["labels"] == ["S", "C", "V"]
    with pytest.raises(
        forgo.ExportError, match="in another order, setosa, versicolor, virginica: leave out labels"
    ):
        forgo.export(file, tmp_path / "n.forgo", examples=ROWS, labels=["virginica", "setosa", "versicolor"])


@pytest.mark.parametrize(
    "options", [{"outputs": ["output_label"]}, {"task": "tensors"}], ids=["label", "tensors"]
)
def test_what_needs_no_labels_has_none(options: dict[str, Any], tmp_path: Path) -> None:
    forgo.export(iris(tmp_path), tmp_path / "m.forgo", examples=ROWS, **options)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert "labels" not in manifest
    assert manifest["task"] == "tensors"


def test_labels_in_another_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps of the file as it came say which probability is whose."""
    from forgo.exporting import _onnx_file, _zipmap

    expected = LogisticRegression().fit(ROWS, NAMES).predict_proba(ROWS)
    model = onnx.load(iris(tmp_path))
    sound = _onnx_file.OnnxFile(model, tmp_path / "iris.onnx")
    assert np.abs(sound.predict({"X": ROWS})["output_probability"] - expected).max() < 1e-5
    labels = _zipmap._labels
    monkeypatch.setattr(_zipmap, "_labels", lambda node: labels(node)[::-1])
    wrong = _onnx_file.OnnxFile(model, tmp_path / "iris.onnx")
    assert np.abs(wrong.predict({"X": ROWS})["output_probability"] - expected[:, ::-1]).max() < 1e-5


def test_a_label_of_two_columns(tmp_path: Path) -> None:
    model = onnx.load(ROOT / "conformance" / "graphs" / "zipmap.onnx")
    node = next(n for n in model.graph.node if n.op_type == "ZipMap")
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("classlabels_int64s", [1, 1]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(forgo.ExportError, match="two columns of 'probabilities' have the label 1"):
        forgo.export(tmp_path / "m.onnx", tmp_path / "m.forgo", examples=ROWS[:, :2])


def mapped(file: Path, *, ends: tuple[str, ...] = ("map",), **labels: Any) -> Path:
    """A graph whose "map" ZipMap makes of the softmax of its rows."""
    kind = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    maps = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    ins = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])]
    outs = {
        "map": onnx.ValueInfoProto(name="map", type=helper.make_sequence_type_proto(maps)),
        "p": helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 4]),
    }
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["map"], domain="ai.onnx.ml", **labels),
    ]
    graph = helper.make_graph(nodes, "g", ins, [outs[n] for n in ends])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), file)
    return file


def test_a_map_alone_and_the_accuracy_by_its_labels(tmp_path: Path) -> None:
    file = mapped(tmp_path / "m.onnx", classlabels_int64s=[7, 5, 3, 1])
    right = [str(7 - 2 * i) for i in ROWS.argmax(1)]
    forgo.export(file, tmp_path / "m.forgo", examples=ROWS, expected_labels=right, accept_accuracy=True)
    manifest = json.loads((tmp_path / "m.forgo" / "forgo.json").read_text())
    assert manifest["labels"] == ["7", "5", "3", "1"]
    assert [o["name"] for o in manifest["outputs"]] == ["map"]
    with pytest.raises(forgo.ExportError, match="'2' is not among the labels 7, 5, 3, 1"):
        forgo.export(file, tmp_path / "n.forgo", examples=ROWS, expected_labels=["2"] * len(ROWS))


def test_labels_that_no_bundle_takes_leave_the_other_outputs(tmp_path: Path) -> None:
    for labels, why in (
        ([b"\xff", b"a", b"b", b"c"], r"the label b'\\xff' of 'map' is not UTF-8"),
        (
            [b"a", b"a", b"b", b"c"],
            "two columns of 'map' have the label 'a': choose other outputs with outputs",
        ),
    ):
        file = mapped(tmp_path / "m.onnx", ends=("map", "p"), classlabels_strings=labels)
        with pytest.raises(forgo.ExportError, match=why):
            forgo.export(file, tmp_path / "m.forgo", examples=ROWS)
    forgo.export(file, tmp_path / "m.forgo", examples=ROWS, outputs=["p"])


def test_a_function_of_that_name_is_none(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 4]) for n in ("x", "y")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    negative = helper.make_function(
        "own", "ZipMap", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opsets[:1]
    )
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="own")
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=[negative]),
        tmp_path / "m.onnx",
    )
    forgo.export(tmp_path / "m.onnx", tmp_path / "m.forgo", examples=ROWS)
    with forgo.load(tmp_path / "m.forgo") as go:
        assert (go.predict(ROWS) == -ROWS).all()


def test_another_sequence_beside_a_tensor(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 4]) for n in ("x", "y"))
    both = helper.make_tensor_sequence_value_info("both", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Abs", ["x"], ["y"]),
        helper.make_node("SequenceConstruct", ["x", "y"], ["both"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [both, y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "m.onnx",
    )
    with pytest.raises(
        forgo.ExportError, match="'both' is a sequence, not a tensor: choose others with outputs"
    ):
        forgo.export(tmp_path / "m.onnx", tmp_path / "m.forgo", examples=ROWS)
    assert (
        forgo.export(tmp_path / "m.onnx", tmp_path / "m.forgo", examples=ROWS, outputs=["y"]).parity["cases"]
        == 16
    )
