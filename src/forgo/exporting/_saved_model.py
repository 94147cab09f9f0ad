"""SavedModels of TensorFlow 1 and 2: the adapter."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forgo import _binary
from forgo._errors import ExportError, ForgoError, argument
from forgo.exporting import _engines, _meta_graph
from forgo.exporting._adapter import Adapter
from forgo.exporting._arrays import typed
from forgo.exporting._batches import SINGLE, in_parts
from forgo.exporting._examples import as_bytes
from forgo.exporting._model import STRING, UNNAMED, Arrays, SavedGraph, TensorInfo, Trained
from forgo.exporting._tensorflow import Traceable

if TYPE_CHECKING:
    from forgo.exporting._request import Request

METHODS = ("predict", "classify", "regress")


class SavedModel(Traceable):
    """A graph of a SavedModel, called by a signature or, without one, by its operations.

    Args:
        folder: the SavedModel's folder.
        tags: the graph's tags; optional if there is only one graph.
        signature: optional if there is only one, or one named ``serving_default``; of several, with commas
            between them, the first is called.
        inputs: operations in place of a signature's inputs.
        outputs: names of the signature's outputs in the wanted order, or operations.
        trust: whether operations that reach files may run here.
        retag: if there is only one graph, with other tags, write it with the tags asked for.
        several: the bundle can hold several signatures, so that none need be chosen.
    """

    others: list[str]
    """The other signatures asked for."""

    def __init__(
        self,
        folder: Path,
        *,
        tags: list[str] | None = None,
        signature: str | None = None,
        inputs: list[str] | None = None,
        outputs: list[str] | None = None,
        trust: bool = False,
        retag: bool = False,
        several: bool = False,
    ) -> None:
        import tensorflow as tf

        self.folder = folder
        meta = _meta_graph.choose_graph(folder, tags, retag)
        self._nodes = {n.name: n for n in meta.graph_def.node}
        inside = [n.name for f in meta.graph_def.library.function for n in f.node_def]
        self.scopes = {scope for name in [*self._nodes, *inside] for scope in name.split("/")}
        """The names of all scopes and operations, layers included."""
        self._retag = retag
        self.tags = list(meta.meta_info_def.tags)
        self.framework = f"tensorflow {tf.__version__}"
        by_operations = bool(inputs) or not _meta_graph.signatures(meta)
        self._trust, self._signed = trust, dict(meta.signature_def)
        self.signature, self.others = None, []
        if not by_operations:
            self.signature, self.others = _meta_graph.choose_signatures(folder, meta, signature, several)
        if by_operations:
            if signature:
                raise ExportError(
                    f"{folder}: it has no signature {signature!r}: "
                    + ("inputs name operations instead" if inputs else "nor any other")
                )
            self._ins = _meta_graph.by_operation(folder, self._nodes, "input", inputs)
            self._outs = _meta_graph.by_operation(folder, self._nodes, "output", outputs)
        else:
            self._sign()
            if outputs:
                self._outs = [_meta_graph.pick(folder, self._outs, name) for name in outputs]
        if not trust:
            self._check()
        # As in Go: TensorFlow must not swap functions for others that claim to do the same.
        tf.config.optimizer.set_experimental_options({"implementation_selector": False})
        try:
            self._loaded = tf.saved_model.load(str(folder), tags=self.tags)
            self._function = self._loaded.signatures[self.signature] if self.signature else self._pruned()
        except Exception as e:  # TensorFlow raises many kinds for incomplete folders
            raise ExportError(
                f"{folder}: TensorFlow cannot load it: {(str(e).strip().splitlines() or [repr(e)])[0]}"
            ) from None
        if not self.signature:  # the types and shapes are in the graph itself
            for infos, tensors in (
                (self._ins, self._function.inputs),
                (self._outs, self._function.outputs),
            ):
                infos[:] = [
                    (name, _meta_graph.info_loaded(name, t))
                    for (name, _), t in zip(infos, tensors, strict=False)
                ]
        self._open()
        # A normalization before it means a new graph: operations keep their names.
        named = [] if self.signature else [*self._ins, *self._outs]
        self.operations = {e.name: _meta_graph.operation(name) for name, e in named}

    def _sign(self) -> None:
        """Take the signature's inputs and outputs."""
        signed = self._signed[self.signature]
        # TensorFlow keeps no order.
        self._ins = [
            (k, _meta_graph.info_in_signature(self.folder, k, v)) for k, v in sorted(signed.inputs.items())
        ]
        self._outs = [
            (k, _meta_graph.info_in_signature(self.folder, k, v))
            for k, v in sorted(
                signed.outputs.items(),
                key=lambda item: (not _meta_graph.is_softmax(self._nodes, item[1].name), item[0]),
            )
        ]

    def _open(self) -> None:
        if not self._ins:
            raise ExportError(
                f"{self.folder}: {self.signature!r} has no inputs, so there is nothing to prove: its answers depend "
                "on earlier calls or are always the same, and a replay proves neither"
            )
        self.batch = self._batch()
        self.inputs = [self._batched(e) for _, e in self._ins]
        self.outputs = [self._batched(e) for _, e in self._outs]

    @property
    def method(self) -> str:
        """What its signature is for: predict, classify or regress."""
        name = self._signed[self.signature].method_name if self.signature else ""
        method = name.removeprefix("tensorflow/serving/")
        return method if method in METHODS else METHODS[0]

    def sibling(self, signature: str) -> SavedModel:
        """The same model by another signature; nothing is loaded again.

        Raises:
            ExportError: the signature cannot be called, or reaches files.
        """
        other = copy.copy(self)
        other.signature, other.others, other.operations = signature, [], {}
        other._sign()
        if not self._trust:
            other._check()
        other._function = self._loaded.signatures[signature]
        other._open()
        return other

    def _batch(self) -> int | None:
        """How many rows the graph takes at once, from its inputs' shapes."""
        shapes = {info.name: info.shape for _, info in self._ins}
        if any(shape == () for shape in shapes.values()):
            return SINGLE
        sizes = {shape[0] for shape in shapes.values() if shape != _meta_graph.UNKNOWN} - {None}
        if len(sizes) > 1:
            raise ExportError(f"{self.folder}: its inputs have different batch sizes: {shapes}")
        return sizes.pop() if sizes else None

    def _batched(self, info: TensorInfo) -> TensorInfo:
        """An input or output as a bundle has it: the first dimension is the batch, and free."""
        if info.shape == _meta_graph.UNKNOWN:
            return info
        if self.batch == SINGLE:
            return replace(info, shape=(None, *info.shape))
        if not info.shape or info.shape[0] not in (None, self.batch):
            raise ExportError(
                f"{self.folder}: {info.name!r} has no batch: its shape is {list(info.shape)}, "
                f"while the inputs have {self.batch or 'any number of'} rows"
            )
        return replace(info, shape=(None, *info.shape[1:]))

    def settle(self, rows: Arrays | None) -> None:
        """Learn ranks that the graph leaves open from the examples, and from its answers to the first two.

        Raises:
            ExportError: there are no examples for such an input.
        """
        if all(info.shape != _meta_graph.UNKNOWN for info in [*self.inputs, *self.outputs]):
            return
        examples = {e.name: (rows or {}).get(e.name, (rows or {}).get(UNNAMED)) for e in self.inputs}
        for i, info in enumerate(self.inputs):
            row = examples[info.name]
            if row is None or row.ndim == 0:
                raise ExportError(
                    f"{self.folder}: {info.name!r} takes tensors of any rank: give examples, which fix the rank"
                )
            if info.shape == _meta_graph.UNKNOWN:
                self.inputs[i] = replace(info, shape=(None,) * row.ndim)
        try:
            first = {e.name: typed(examples[e.name][:2], e.dtype) for e in self.inputs}  # type: ignore[index]
        except (TypeError, ValueError):
            return  # the check of the examples says more
        answers = self.predict(first)
        for i, info in enumerate(self.outputs):
            if info.shape == _meta_graph.UNKNOWN:
                self.outputs[i] = replace(info, shape=(None,) * answers[info.name].ndim)

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with TensorFlow, 32 rows at a time."""
        return in_parts(self._predict, inputs, self.batch)

    def _predict(self, inputs: Arrays) -> Arrays:
        if self.batch is not None:
            return {e.name: a.numpy() for e, a in zip(self.outputs, self._run(inputs), strict=True)}
        rows = len(next(iter(inputs.values())))
        parts: dict[str, list[Any]] = {e.name: [] for e in self.outputs}
        for start in range(0, rows, 32):
            answers = self._run({name: a[start : start + 32] for name, a in inputs.items()})
            for info, answer in zip(self.outputs, answers, strict=True):
                parts[info.name].append(answer.numpy())
        return {name: np.concatenate(part) for name, part in parts.items()}

    def _run(self, inputs: Arrays) -> list[Any]:
        import tensorflow as tf

        try:
            return self.call(*(tf.constant(inputs[e.name]) for e in self.inputs))
        except tf.errors.OpError as e:
            raise ExportError(
                f"{self.folder}: TensorFlow cannot run it: {e.message.splitlines()[0]}"
            ) from None

    def call(self, *values: Any) -> list[Any]:
        """Answer with tensors, in the order of the lists."""
        if not self.signature:
            return list(self._function(*values))
        answers = self._function(**dict(zip([name for name, _ in self._ins], values, strict=True)))
        return [answers[name] for name, _ in self._outs]

    def tracked(self) -> Any:
        """The object that holds the model's variables and tables."""
        return self._loaded

    def to_saved_model(self, folder: Path, tags: list[str]) -> SavedGraph:
        """Copy the SavedModel: its files are what was trained."""
        folder.mkdir()
        shutil.copyfile(self.folder / "saved_model.pb", folder / "saved_model.pb")
        for part in ("variables", "assets"):
            if (self.folder / part).is_dir():
                shutil.copytree(self.folder / part, folder / part)
        if self._retag and set(tags) != set(self.tags):
            from tensorflow.core.protobuf import saved_model_pb2

            file = folder / "saved_model.pb"
            saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
            saved.meta_graphs[0].meta_info_def.tags[:] = tags
            file.write_bytes(saved.SerializeToString(deterministic=True))
            self.tags = tags
        return self.graph()

    def graph(self) -> SavedGraph:
        """How it is called in its folder."""
        names = {e.name: name for name, e in [*self._ins, *self._outs]}
        return SavedGraph(self.tags, self.signature, names, self.method)

    def _check(self) -> None:
        """Ask the Go half whether it would open the SavedModel, before any of it runs here."""
        within = self.folder.resolve()
        for file in self.folder.rglob("*"):  # the whole folder is copied into the bundle
            if not file.resolve().is_relative_to(within):
                raise ExportError(
                    f"{file}: the link leads out of the SavedModel; copy the folder with cp -rL if "
                    "its target belongs in the bundle"
                )
            if not file.is_file() and not file.is_dir():
                raise ExportError(f"{file}: it is neither a file nor a folder")
        try:
            _binary.check_saved_model(
                self.folder, self.tags, self.signature,
                [] if self.signature else [name for name, _ in self._ins], [name for name, _ in self._outs],
            )  # fmt: skip
        except ForgoError as e:
            raise ExportError(
                f"{e.message}; pass {argument('trust', True)} if you trust its author"
            ) from None

    def _pruned(self) -> Any:
        if not hasattr(self._loaded, "prune"):
            raise ExportError(f"{self.folder}: it has no signature, and TensorFlow 2 can call it only by one")
        return self._loaded.prune(
            [_meta_graph.tensor(name) for name, _ in self._ins],
            [_meta_graph.tensor(name) for name, _ in self._outs],
        )


def _check(folder: Path, trust: bool) -> None:
    if not (folder / "saved_model.pb").is_file():
        raise ExportError(f"{folder}: it is not a SavedModel: it has no saved_model.pb")


def _load(path: Path, request: Request) -> tuple[Trained, Request]:
    saved = SavedModel(
        path, tags=request.tags, signature=request.signature, inputs=request.input_operations,
        outputs=request.output_operations, trust=request.trust, retag=request.bare,
        several=_engines.named(request.engine).saved_model and not request.bare,
    )  # fmt: skip
    request = _of_bytes(saved, request)
    saved.settle(request.rows)
    return saved, request


def _of_bytes(model: Trained, request: Request) -> Request:
    """Files or base64 for a string input are its rows, not pictures."""
    name, alone = request.picture_name, len(model.inputs) == 1
    infos = [e for e in model.inputs if e.name == name or (alone and name == UNNAMED)]
    if request.pictures is None or not infos or infos[0].dtype != STRING:
        return request
    rows = {**(request.rows or {}), infos[0].name: as_bytes(request.pictures)}
    return replace(request, pictures=None, picture_name=UNNAMED, rows=rows)


ADAPTER = Adapter(
    module=__name__,
    files="a SavedModel's folder",
    chooses=True,
    is_file=Path.is_dir,
    check=_check,
    load=_load,
)
