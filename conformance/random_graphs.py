"""Writes random ONNX graphs of small models with ONNX Runtime's answers, each in a folder.

    python conformance/random_graphs.py FOLDER SEED COUNT

A case is model.onnx, input_N.pb and output_N.pb. The models are dense and small convolutional
networks, chains of operators that move and compare elements, trees, linear models, support
vector machines and preprocessing of columns, in the operators and settings that exporters use.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable

import numpy as np
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from conformance.random_graph import Graph, UnfitError, answers, build, kind_of
from conformance.random_networks import convolutional, dense, moving
from conformance.random_tables import columns, linear, trees, vectors

REFUSALS = (
    UnfitError,
    state.NotImplemented,
    state.RuntimeException,
    state.Fail,
    state.InvalidGraph,
    state.InvalidArgument,
)
KINDS: list[Callable[[Graph], list[str]]] = [
    dense,
    convolutional,
    moving,
    columns,
    linear,
    trees,
    trees,
    vectors,
]


def main(folder: pathlib.Path, seed: int, count: int) -> None:
    """Write the cases."""
    refused = 0
    for number in range(count):
        g = Graph(np.random.default_rng([seed, number]))
        kind = KINDS[number % len(KINDS)]
        try:
            outputs = kind(g)
            if not g.nodes:
                continue
            results = answers(g, outputs)
        except REFUSALS:
            refused += 1
            continue
        path = folder / f"{number:05d}-{kind.__name__}"
        path.mkdir(parents=True)
        typed = {name: kind_of(a) for name, a in zip(outputs, results, strict=True)}
        model = build(g, outputs, typed)
        (path / "model.onnx").write_bytes(model.SerializeToString())
        for what, arrays in (("input", g.inputs), ("output", dict(zip(outputs, results, strict=True)))):
            for i, (name, array) in enumerate(arrays.items()):
                (path / f"{what}_{i}.pb").write_bytes(
                    numpy_helper.from_array(np.asarray(array), name).SerializeToString()
                )
    if refused > count / 10:
        raise SystemExit(f"ONNX Runtime refused {refused} of {count} graphs: too many to call this a test")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
