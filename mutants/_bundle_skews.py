"""Skews planted in a bundle, with every digest made right again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image
from safetensors.numpy import load_file, save_file

from forgo import _preprocess
from mutants._models import CUT, SIGNATURES, TAGS, seal

Manifest = dict[str, Any]


@dataclass(frozen=True)
class BundleSkew:
    """One change of a bundle's files and manifest."""

    name: str
    stage: str
    """Where the refusal must place it."""
    plant: Callable[[Path, Manifest], None]
    bundle: str = "tiles.forgo"
    """Below build/."""


def apply(skew: BundleSkew, bundle: Path) -> None:
    """Plant a skew in a copy of a bundle, then make all digests right."""
    manifest: Manifest = json.loads((bundle / "forgo.json").read_text())
    skew.plant(bundle, manifest)
    seal(bundle, manifest)


def _graph(file: str, change: Callable[[onnx.ModelProto], None]) -> Callable[[Path, Manifest], None]:
    def plant(bundle: Path, manifest: Manifest) -> None:
        model = onnx.load(bundle / file)
        change(model)
        (bundle / file).write_bytes(model.SerializeToString())

    return plant


def preprocess_of(**options: Any) -> Callable[[Path, Manifest], None]:
    """Another preprocessing graph of the same ends, as a stale or hand-made one would be."""

    def plant(bundle: Path, manifest: Manifest) -> None:
        _, height, width, _ = manifest["inputs"][0]["shape"]
        graph = _preprocess.build(height, width, **options)
        (bundle / "preprocess.onnx").write_bytes(graph.SerializeToString())

    return plant


def _attribute(op: str, name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        (node,) = [n for n in model.graph.node if n.op_type == op]
        for attribute in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute(name, value))

    return change


def _before_output(op: str, constant: Any, **attributes: Any) -> Callable[[onnx.ModelProto], None]:
    """Put one more operation in front of the graph's first output."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        output = graph.output[0].name
        for node in graph.node:
            node.output[:] = ["before" if o == output else o for o in node.output]
            node.input[:] = ["before" if i == output else i for i in node.input]
        inputs = ["before"]
        if constant is not None:
            graph.initializer.append(numpy_helper.from_array(constant, "planted"))
            inputs.append("planted")
        graph.node.append(helper.make_node(op, inputs, [output], **attributes))

    return change


def values_changed(op: str, constant: Any, **attributes: Any) -> Callable[[Path, Manifest], None]:
    """Put one more operation at the end of preprocess.onnx."""
    return _graph("preprocess.onnx", _before_output(op, constant, **attributes))


def _crop_off_by_one(model: onnx.ModelProto) -> None:
    """Start every crop one pixel further down and right."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "planted"))
    for node in model.graph.node:
        if list(node.output) == ["starts"]:
            node.output[0] = "starts_before"
    at = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Slice" and "starts" in n.input)
    model.graph.node.insert(at, helper.make_node("Add", ["starts_before", "planted"], ["starts"]))


def _weights(change: Callable[[Any], Any]) -> Callable[[onnx.ModelProto], None]:
    """Change all of the model's weights."""

    def plant(model: onnx.ModelProto) -> None:
        for weight in [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT]:
            changed = np.asarray(change(numpy_helper.to_array(weight)))
            weight.CopyFrom(numpy_helper.from_array(changed, weight.name))

    return plant


def _input_shifted(model: onnx.ModelProto) -> None:
    """Take 117 off every pixel before the model's own normalization."""
    name = model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = ["shifted" if i == name else i for i in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array(117, np.float32), "planted"))
    model.graph.node.insert(0, helper.make_node("Sub", [name, "planted"], ["shifted"]))


def _rows_leak(model: onnx.ModelProto) -> None:
    """Let the rows of a batch see each other: alone, every row is right."""
    name = model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = ["leaking" if i == name else i for i in node.input]
    zero = numpy_helper.from_array(np.array([0], np.int64), "planted")
    model.graph.initializer.append(zero)
    model.graph.node.insert(0, helper.make_node("ReduceMax", [name, "planted"], ["leaking_one"], keepdims=1))
    model.graph.node.insert(1, helper.make_node("Mul", [name, "none"], ["nothing"]))
    model.graph.node.insert(2, helper.make_node("Add", ["nothing", "leaking_one"], ["leaking"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "none"))


def _normalization(kernel: Any, offset: Any) -> Callable[[onnx.ModelProto], None]:
    """Another first convolution, 1 x 1, than the one that turns RGB to BGR and takes ImageNet's means off."""

    def change(model: onnx.ModelProto) -> None:
        constants = {i.name: i for i in model.graph.initializer}
        (first,) = [
            n for n in model.graph.node if n.op_type == "Conv" and constants[n.input[1]].dims[2:] == [1, 1]
        ]
        shape = list(constants[first.input[1]].dims)
        for name, value in ((first.input[1], kernel), (first.input[2], offset)):
            if value is not None:
                value = np.asarray(value, np.float32)
                value = value.reshape(shape) if name == first.input[1] else value
                constants[name].CopyFrom(numpy_helper.from_array(value, name))

    return change


def _prepended(**constants: Any) -> Callable[[onnx.ModelProto], None]:
    """Other constants in the normalization that export put before the graph."""

    def change(model: onnx.ModelProto) -> None:
        for name, value in constants.items():
            (held,) = [i for i in model.graph.initializer if i.name == f"forgo_pixels_{name}"]
            was = numpy_helper.to_array(held)
            held.CopyFrom(numpy_helper.from_array(np.full(was.shape, value, was.dtype), held.name))

    return change


def _mean_before_scale(model: onnx.ModelProto) -> None:
    """Take the mean off pixels from 0 to 255, and scale what is left."""
    scale, mean = (
        next(n for n in model.graph.node if n.name == f"forgo_pixels_{s}") for s in ("scale", "mean")
    )
    scale.op_type, mean.op_type = mean.op_type, scale.op_type
    scale.input[1], mean.input[1] = mean.input[1], scale.input[1]


def _graph_of(**entries: Any) -> Callable[[Path, Manifest], None]:
    """Another graph of the same SavedModel, whose ends are the same."""

    def plant(bundle: Path, manifest: Manifest) -> None:
        manifest["graph"].update(entries)

    return plant


def _labels(order: Callable[[list[str]], list[str]]) -> Callable[[Path, Manifest], None]:
    def plant(bundle: Path, manifest: Manifest) -> None:
        manifest["labels"] = order(manifest["labels"])

    return plant


def _outputs_swapped(bundle: Path, manifest: Manifest) -> None:
    first, second = manifest["outputs"]
    first["graph_name"], second["graph_name"] = second["graph_name"], first["graph_name"]


def _loose_tolerance(bundle: Path, manifest: Manifest) -> None:
    manifest["tolerance"]["model"] = 0.5


def _pictures_saved_again(bundle: Path, manifest: Manifest) -> None:
    """Golden JPEGs opened and saved again, as a well-meaning tool would."""
    for case in manifest["golden"]["cases"]:
        if case["content_type"] == "image/jpeg":
            out = io.BytesIO()
            Image.open(bundle / case["input"]).save(out, "JPEG", quality=95)
            (bundle / case["input"]).write_bytes(out.getvalue())


def _answers_of_another_run(bundle: Path, manifest: Manifest) -> None:
    """Recorded outputs nudged, as those of an earlier epoch would be."""
    for case in manifest["golden"]["cases"]:
        tensors = load_file(bundle / case["tensors"])
        tensors["output.logits"] = tensors["output.logits"] * np.float32(1.01)
        save_file(tensors, bundle / case["tensors"])


def _both_swapped(model: onnx.ModelProto) -> None:
    """Each label gets the probability of the other."""
    both = next(n for n in model.graph.node if n.op_type == "Concat" and n.name == "forgo_head_both")
    both.input[:] = [both.input[1], both.input[0]]


def _grey_of_bgr(model: onnx.ModelProto) -> None:
    weights = next(i for i in model.graph.initializer if i.name == "grey_weights")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights)[::-1].copy(), weights.name))


def _thresholds_reversed(bundle: Path, manifest: Manifest) -> None:
    manifest["thresholds"].reverse()


def _signatures(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Callable[[Path, Manifest], None]:
    """Change the two signatures of the same input whose outputs differ."""

    def plant(bundle: Path, manifest: Manifest) -> None:
        by_name = {s["name"]: s for s in manifest["signatures"]}
        change(by_name["regress_x_to_y"], by_name["regress_x_to_y2"])

    return plant


def _swapped(key: str) -> Callable[[Path, Manifest], None]:
    def swap(a: dict[str, Any], b: dict[str, Any]) -> None:
        a[key], b[key] = b[key], a[key]

    return _signatures(swap)


def _columns_swapped(bundle: Path, manifest: Manifest) -> None:
    """Two columns of numbers in each other's place."""
    income, spend = (next(i for i in manifest["inputs"] if i["name"] == name) for name in ("income", "spend"))
    income["graph_name"], spend["graph_name"] = spend["graph_name"], income["graph_name"]


def _categories_in_order_of_appearance(model: onnx.ModelProto) -> None:
    """Number categories as the rows bring them, not as training did."""
    (encoder, *_) = [n for n in model.graph.node if n.op_type == "OneHotEncoder"]
    (categories,) = [a for a in encoder.attribute if a.name == "cats_strings"]
    categories.strings[:] = [*categories.strings[1:], categories.strings[0]]


def _missing_is_zero(model: onnx.ModelProto) -> None:
    (imputer,) = [n for n in model.graph.node if n.op_type == "Imputer"]
    (values,) = [a for a in imputer.attribute if a.name == "imputed_value_floats"]
    values.floats[:] = [0.0] * len(values.floats)


def _thresholds_in_float32(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values_as_tensor":
                wide = numpy_helper.to_array(attribute.t)
                attribute.t.CopyFrom(
                    numpy_helper.from_array(wide.astype(np.float32).astype(wide.dtype), attribute.t.name)
                )


def _next_category(model: onnx.ModelProto) -> None:
    """Test for the category after the one that the split names."""
    (node,) = [n for n in model.graph.node if n.op_type == "TreeEnsembleRegressor"]
    attributes = {a.name: a for a in node.attribute}
    equal = np.array([m == b"BRANCH_EQ" for m in attributes["nodes_modes"].strings])
    held = attributes["nodes_values_as_tensor"].t
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held) + equal, held.name))


OLD = "../conformance/bundles/shapes.forgo"
"""Of format 1's first days: its graph resizes by ONNX's Resize."""
HALF = "../conformance/bundles/half_plus_two.forgo"


def _constant(name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    """Another value for a constant of the graph that has a name."""

    def change(model: onnx.ModelProto) -> None:
        (tensor,) = [i for i in model.graph.initializer if i.name == name]
        old = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(np.array(value, old.dtype).reshape(old.shape), name))

    return change


CAFFE, TAGGED, PREPENDED, GREY, RIPE, CUT_OUT, PADDED, TABLE, PRECISE, CATEGORIES = (
    f"mutants/{name}.forgo"
    for name in (
        "caffe",
        "tags",
        "normalized",
        "grey",
        "ripe",
        "cut",
        "padded",
        "table",
        "precise",
        "categories",
    )
)

BUNDLE_SKEWS = [
    BundleSkew("BGR for RGB in preprocess.onnx", "preprocess", values_changed("Gather", np.array([2, 1, 0], np.int64), axis=2)),
    BundleSkew("nearest for bilinear resize", "preprocess", _graph("preprocess.onnx", _attribute("Resize", "mode", "nearest")), OLD),
    BundleSkew("cubic for bilinear resize", "preprocess", _graph("preprocess.onnx", _attribute("Resize", "mode", "cubic")), OLD),
    BundleSkew("half a pixel off (asymmetric)", "preprocess", _graph("preprocess.onnx", _attribute("Resize", "coordinate_transformation_mode", "asymmetric")), OLD),
    BundleSkew("corners aligned", "preprocess", _graph("preprocess.onnx", _attribute("Resize", "coordinate_transformation_mode", "align_corners")), OLD),
    BundleSkew("crop off by one", "preprocess", _graph("preprocess.onnx", _crop_off_by_one), OLD),
    BundleSkew("a stale preprocess.onnx (stretch for crop)", "preprocess", preprocess_of(fit="stretch")),
    BundleSkew("antialiased resize", "preprocess", preprocess_of(resize="bilinear-antialias", fit="crop")),
    BundleSkew("117 subtracted in preprocess.onnx", "preprocess", values_changed("Sub", np.array(117, np.float32))),
    BundleSkew("pixels scaled to 0..1 twice", "preprocess", values_changed("Div", np.array(255, np.float32))),
    BundleSkew("117 subtracted in the model", "model", _graph("model.onnx", _input_shifted)),
    BundleSkew("weights cast to float16", "model", _graph("model.onnx", _weights(lambda w: w.astype(np.float16).astype(np.float32)))),
    BundleSkew("weights of another epoch", "model", _graph("model.onnx", _weights(lambda w: w * np.float32(1.001)))),
    BundleSkew("rows of a batch leak", "model", _graph("model.onnx", _rows_leak)),
    BundleSkew("probabilities and logits swapped", "model", _outputs_swapped),
    BundleSkew("answers of another epoch recorded", "model", _answers_of_another_run),
    BundleSkew("labels in another order", "label", _labels(lambda labels: labels[::-1])),
    BundleSkew("RGB for caffe's BGR", "model", _graph("model.onnx", _normalization(np.eye(3), None)), CAFFE),
    BundleSkew("117 subtracted for caffe's means", "model", _graph("model.onnx", _normalization(None, [-117] * 3)), CAFFE),
    BundleSkew("labels from another class order", "label", _labels(lambda labels: [*labels[1:], labels[0]]), CAFFE),
    BundleSkew("the scale before the model lost", "model", _graph("model.onnx", _prepended(scale=1)), PREPENDED),
    BundleSkew("the mean before the model in RGB's order", "model", _graph("model.onnx", _prepended(mean=[0.485, 0.456, 0.406])), PREPENDED),
    BundleSkew("the std before the model in RGB's order", "model", _graph("model.onnx", _prepended(std=[0.229, 0.224, 0.225])), PREPENDED),
    BundleSkew("RGB for BGR before the model", "model", _graph("model.onnx", _prepended(order=[0, 1, 2])), PREPENDED),
    BundleSkew("the mean before the scale", "model", _graph("model.onnx", _mean_before_scale), PREPENDED),
    BundleSkew("divided by 255 for torch's mean and std", "model", _graph("model.onnx", _prepended(mean=0, std=1)), PREPENDED),
    BundleSkew("-1 to 1 for torch's mean and std", "model", _graph("model.onnx", _prepended(scale=1 / 127.5, mean=1, std=1)), PREPENDED),
    BundleSkew("caffe's means for torch's mean and std", "model", _graph("model.onnx", _prepended(scale=1, mean=[103.939, 116.779, 123.68], std=1)), PREPENDED),
    BundleSkew("a filter without antialias", "preprocess", preprocess_of(resize="bicubic", fit="shorter-side", shorter_side=CUT), CUT_OUT),
    BundleSkew("another filter with antialias", "preprocess", preprocess_of(resize="lanczos-pillow", fit="shorter-side", shorter_side=CUT), CUT_OUT),
    BundleSkew("resized without rounding", "preprocess", preprocess_of(resize="bicubic-antialias", fit="shorter-side", shorter_side=CUT), CUT_OUT),
    BundleSkew("crop before resize", "preprocess", preprocess_of(resize="bicubic-pillow", fit="crop"), CUT_OUT),
    BundleSkew("a shorter side that is one pixel shorter", "preprocess", preprocess_of(resize="bicubic-pillow", fit="shorter-side", shorter_side=CUT - 1), CUT_OUT),
    BundleSkew("PyTorch's bicubic for Pillow's (a = -0.75)", "preprocess", _graph("preprocess.onnx", _constant("cubic_a", -0.75)), CUT_OUT),
    BundleSkew("half a pixel off in a filter", "preprocess", _graph("preprocess.onnx", _constant("centre", 0)), CUT_OUT),
    BundleSkew("another pad colour", "preprocess", preprocess_of(resize="bilinear-pillow", fit="pad", pad_colour=(0, 0, 0)), PADDED),
    BundleSkew("stretch for pad", "preprocess", preprocess_of(resize="bilinear-pillow"), PADDED),
    BundleSkew("another signature of the same shape", "model", _graph_of(signature=SIGNATURES[1]), TAGGED),
    BundleSkew("a signature proven by another's cases", "model", _swapped("golden"), HALF),
    BundleSkew("two signatures in each other's names", "model", _swapped("name"), HALF),
    BundleSkew("a signature with another's output", "model", _signatures(lambda a, b: a["outputs"][0].update(graph_name="y2")), HALF),
    BundleSkew("a signature with the cases of another", "bundle", _signatures(lambda a, b: a.update(golden=b["golden"])), HALF),
    BundleSkew("a signature without cases", "bundle", _signatures(lambda a, b: a.update(golden={"cases": [], "none": "trust me"})), HALF),
    BundleSkew("another tag of the same shape", "model", _graph_of(tags=TAGS[1]), TAGGED),
    BundleSkew("p for 1 - p of two labels", "model", _graph("model.onnx", _both_swapped), GREY),
    BundleSkew("grey weighed as BGR", "preprocess", _graph("preprocess.onnx", _grey_of_bgr), GREY),
    BundleSkew("thresholds of other labels", "label", _thresholds_reversed, RIPE),
    BundleSkew("two columns of a table swapped", "model", _columns_swapped, TABLE),
    BundleSkew("categories numbered in another order", "model", _graph("model.onnx", _categories_in_order_of_appearance), TABLE),
    BundleSkew("a missing number filled with zero", "model", _graph("model.onnx", _missing_is_zero), TABLE),
    BundleSkew("probabilities in the order of ZipMap's keys", "model", _graph("model.onnx", _before_output("Gather", np.array([2, 0, 1], np.int64), axis=1)), TABLE),
    BundleSkew("labels in the order of ZipMap's keys", "label", _labels(lambda labels: [labels[2], *labels[:2]]), TABLE),
    BundleSkew("float64 thresholds in float32", "model", _graph("model.onnx", _thresholds_in_float32), PRECISE),
    BundleSkew("a split by the next category", "model", _graph("model.onnx", _next_category), CATEGORIES),
    BundleSkew("an edited tolerance", "bundle", _loose_tolerance),
    BundleSkew("golden pictures saved again", "decode", _pictures_saved_again),
]  # fmt: skip
