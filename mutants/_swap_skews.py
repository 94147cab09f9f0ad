"""Skews that show once a new version has taken an old one's place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load_file, save_file

from mutants._binary_skews import BinarySkew
from mutants._bundle_skews import BundleSkew, Manifest
from mutants._bundle_skews import apply as plant
from mutants._serve_skews import BUNDLES, serving, verify


@dataclass(frozen=True)
class SwapSkew(BinarySkew):
    """One change of one Go file that only a swap shows; its stage names the protocol too."""


def reverse_classes(bundle: Path, manifest: Manifest) -> None:
    """Make the next version of a bundle: its classes in another order, its answers the same."""
    model = onnx.load(bundle / "model.onnx")
    classes = len(manifest["labels"])
    model.graph.initializer.append(numpy_helper.from_array(np.arange(classes)[::-1].copy(), "order"))
    outputs = [output.name for output in model.graph.output]
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}/before" if name in outputs else name for name in names]
    for name in outputs:
        model.graph.node.append(helper.make_node("Gather", [f"{name}/before", "order"], [name], axis=1))
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    manifest["labels"].reverse()
    for case in manifest["golden"]["cases"]:
        tensors = load_file(bundle / case["tensors"])
        for name in outputs:
            tensors[f"output.{name}"] = np.ascontiguousarray(tensors[f"output.{name}"][:, ::-1])
        save_file(tensors, bundle / case["tensors"])


def attack(binary: Path, folder: Path) -> tuple[str, str]:
    """Serve a version, have it replaced by the next while it answers, and verify both."""
    first, second, models = BUNDLES / "iris.forgo", folder / "second.forgo", folder / "models"
    shutil.copytree(first, second)
    plant(BundleSkew("the next version", "", reverse_classes), second)
    shutil.copytree(first, models / "iris" / "1")
    with serving(binary, models, "--versions", "all", "--watch", "10ms") as server:
        stage, message = verify(first, server)
        if stage != "accepted":
            raise ValueError(f"the first version is refused at {stage}: {message}")
        shutil.copytree(second, models / "iris" / ".2")
        (models / "iris" / ".2").rename(models / "iris" / "2")
        server.logs(r"loaded.*\bversion\W+2\b")
        stage, message = verify(second, server)
        return (stage, message) if stage != "accepted" else verify(first, server, "--version", "1")


REPOSITORY, REST, GRPC = "serve/repository/repository.go", "serve/oip/rest.go", "serve/oip/grpc.go"
NATIVE = "serve/native/native.go"

# What they plant keeps the first model that it sees.
FIRST_OF_REST = """	if err == nil && req.Method == http.MethodPost && version == "" {
		if first == nil {
			first = model
		}
		first.Acquire()
		model.Release()
		model = first
	}
	if err != nil {
		reply.Failure(w, err)
		return
	}
	defer model.Release()
	next("""
FIRST_OF_GRPC = """	if err == nil && req.GetModelVersion() == "" {
		if first == nil {
			first = m
		}
		first.Acquire()
		m.Release()
		m = first
	}
"""
LOOK_UP = "	m, err := s.models.Get(req.GetModelName(), req.GetModelVersion())\n"

SWAP_SKEWS = [
    SwapSkew("a stale version after a swap", "serve native", REPOSITORY, "e.serving = e.labels[Stable]", "e.serving = e.labels[Stable]\n		if was := r.now.Load(); was != nil && was.byName[name] != nil && was.byName[name].serving != nil {\n			e.serving = was.byName[name].serving\n		}"),
    SwapSkew("a stale version for inferences over REST", "serve oip", REST, "func (h handler) with(", "var first *served.Model\n\nfunc (h handler) with(", also=(("	if err != nil {\n		reply.Failure(w, err)\n		return\n	}\n	defer model.Release()\n	next(", FIRST_OF_REST),)),
    SwapSkew("a stale version for inferences over gRPC", "serve oip-grpc", GRPC, LOOK_UP, LOOK_UP + FIRST_OF_GRPC, also=(("// ModelInfer runs a model.", "var first *served.Model\n\n// ModelInfer runs a model."),)),
    SwapSkew("labels of another version after a swap", "serve native", NATIVE, "// infer answers one request.", "var first *served.Model\n\n// infer answers one request.", also=(("return a.write(w, r.Model, out)", "if first == nil {\n		first = r.Model\n	}\n	return a.write(w, first, out)"),)),
    SwapSkew("another version than the one asked for", "serve native", REPOSITORY, '	if version == "" {\n', "	if e.serving != nil {\n"),
]  # fmt: skip
