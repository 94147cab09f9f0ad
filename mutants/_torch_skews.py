"""Skews planted in the export of PyTorch's models, in that library's own environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mutants._plant import export_apart
from tests.conftest import ROOT
from tests.environments import environment


@dataclass(frozen=True)
class TorchSkew:
    """One change of the adapter's source, or of what the export is told."""

    name: str
    stage: str
    file: str = ""
    """Of forgo.exporting, whose text is replaced."""
    old: str = ""
    new: str = ""
    resize: str = "bilinear-pillow"
    """What the export is told of the transform, which resizes as Pillow does, with antialias."""


def attack(skew: TorchSkew, folder: Path) -> tuple[str, str]:
    """Export with the skew, and say where that is refused."""
    python = environment(ROOT / "tests" / "pytorch", forgo=True)
    return export_apart(python, "_torch", [skew.file, skew.old, skew.new, skew.resize], folder)


_TURN = 'nodes.append(helper.make_node("Transpose", [at], [out], name=f"{_LAYOUT}_turn", perm=[0, 3, 1, 2]))'
_RESHAPE = (
    'graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 3, *info.shape[1:3]]), "shape")); '
    'nodes.append(helper.make_node("Reshape", [at, "shape"], [out]))'
)

TORCH_SKEWS = [
    TorchSkew("PyTorch: height and width turned", "model", "_graph", "perm=[0, 3, 1, 2]", "perm=[0, 3, 2, 1]"),
    TorchSkew("PyTorch: channels last read as channels first", "model", "_graph", _TURN, _RESHAPE),
    TorchSkew("PyTorch: batch norm run in training mode", "answers", "_torch_model",
              "        model.eval()\n", "        model.train()\n"),
    TorchSkew("PyTorch: a resize without antialias", "preprocess", resize="bilinear"),
    TorchSkew("PyTorch: an antialias that rounds otherwise", "preprocess", resize="bilinear-antialias"),
]  # fmt: skip
