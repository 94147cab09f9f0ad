"""Estimators of tables, from any library: how rows reach them, and the proof of a conversion on all rows given.

The framework answers the rows as they were given. The graph gets them as clients send them, in the types of its
inputs: float32, unless ``precision`` says float64. If the answers then differ, the error names the rows and the cause, and
offers what was proven on all rows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError, ParityError, argument
from forgo.exporting import _table_graph, _tables
from forgo.exporting._arrays import typed
from forgo.exporting._golden import difference
from forgo.exporting._graph import OnnxModel, names_inside, rename_tensors
from forgo.exporting._model import STRING, UNNAMED, Arrays, OnnxOnly, TensorInfo, Trained

if TYPE_CHECKING:
    from forgo.exporting._request import Request

_INPUT = "input"
_SHOWN = 5
_HEAD = 4096
Answer = Callable[[Any], npt.NDArray[Any]]
Answers = dict[str, tuple[Answer, int]]
"""The framework's answers by output, each with its index among the converted graph's outputs."""


@dataclass(frozen=True)
class Given:
    """The examples as the user gave them."""

    frame: Any = None
    array: npt.NDArray[Any] | None = None
    columns: tuple[_tables.Column, ...] = ()
    """Those of the frame, or of an array whose columns have names."""

    @property
    def whole(self) -> Any:
        """All rows, in the framework's form."""
        return self.frame if self.frame is not None else self.array

    def __len__(self) -> int:
        return len(self.whole)

    def check(self, count: int, names: list[str] | None, what: str, spaces: str = " ") -> None:
        """Refuse rows with other columns than a model was fitted on.

        Args:
            count: the number of its columns.
            names: their names, if the model knows them.
            what: the model, for messages.
            spaces: what replaces spaces in its names.
        """
        if self.frame is None:
            assert self.array is not None
            have = self.array.shape[1] if self.array.ndim == 2 else 1
            if have != count:
                raise ExportError(f"examples: {what} was fitted on {count} columns, the examples have {have}")
            return
        mine = [str(n) for n in self.frame.columns]
        if names is not None and [n.replace(" ", spaces) for n in mine] != list(names):
            other = next((n for n in names if n not in {m.replace(" ", spaces) for m in mine}), None)
            why = f"{other!r} is missing" if other else "the order differs, or there are more"
            raise ExportError(f"examples: {what} was fitted on other columns: {why}")
        if len(mine) != count:
            raise ExportError(
                f"examples: {what} was fitted on {count} columns, the examples have {len(mine)}"
            )

    def coded(self, codes: Mapping[str, Sequence[Any]]) -> Given:
        """The same rows of columns whose values the model itself numbers, by the columns' names."""
        columns = (replace(c, codes=tuple(codes[c.name])) if c.name in codes else c for c in self.columns)
        return replace(self, columns=tuple(columns))

    def categories(self) -> dict[str, list[Any]]:
        """The categories of each column that pandas holds as such, by the columns' names."""
        if self.frame is None:
            return {}
        kinds = zip(self.columns, self.frame.dtypes, strict=True)
        return {c.name: dtype.categories.tolist() for c, dtype in kinds if hasattr(dtype, "categories")}

    def infos(self, precision: str) -> list[TensorInfo]:
        """The inputs of the model."""
        if self.columns:
            return [c.info(precision) for c in self.columns]
        assert self.array is not None
        dtype = STRING if self.array.dtype.kind in "OSU" else precision
        return [TensorInfo(_INPUT, dtype, (None, *self.array.shape[1:]))]

    def rows(self) -> Arrays:
        """The rows by input."""
        if self.frame is not None:
            return _tables.rows(self.frame, list(self.columns))
        assert self.array is not None
        if self.columns:
            return {c.input: self.array[:, i] for i, c in enumerate(self.columns)}
        return {_INPUT: self.array}

    def inputs(self, precision: str) -> Arrays:
        """The rows as the graph takes them."""
        rows = self.rows()
        return {e.name: typed(rows[e.name], e.dtype) for e in self.infos(precision)}

    def back(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Any:
        """The framework's form of rows in the graph's form."""
        if self.frame is not None:
            return _tables.frame_of(inputs, list(self.columns), self.frame)
        assert self.array is not None
        if self.columns:
            return np.stack([inputs[c.input].astype(np.float64) for c in self.columns], axis=1)
        cells = inputs[_INPUT]
        if cells.dtype.kind == "O":
            return np.array([c.decode() for c in cells.ravel()], dtype=object).reshape(cells.shape)
        return cells.astype(self.array.dtype if self.array.dtype.kind == "f" else np.float64)


def given(examples: Any, what: str) -> Given:
    """Examples of a model of tables.

    Raises:
        ExportError: there are none, or they are not rows.
    """
    if isinstance(examples, dict) and list(examples) == [UNNAMED]:
        examples = examples[UNNAMED]
    if examples is None:
        raise ExportError(
            f"{what} needs examples, whose columns become its inputs: give rows with {argument('examples')}"
        )
    if _tables.is_frame(examples):
        frame = _tables.as_pandas(examples)
        if not len(frame):
            raise ExportError("examples: there are no rows")
        return Given(frame, columns=tuple(_tables.columns(frame)))
    if isinstance(examples, dict):
        raise ExportError(f"examples of {what} must be a DataFrame or an array [rows, columns]")
    array = np.asarray(examples)
    if array.ndim and not len(array):
        raise ExportError("examples: there are no rows")
    if array.dtype.kind not in "biufOSU" or array.ndim not in (1, 2):
        raise ExportError(
            f"examples of {what} must be a DataFrame or an array [rows, columns], not {array.dtype}{list(array.shape)}"
        )
    if array.dtype.kind == "O" and not all(isinstance(v, str) for v in array.ravel()):
        raise ExportError(
            "examples: an array must hold only numbers or only strings; give mixed columns as a DataFrame"
        )
    return Given(array=array)


@dataclass(frozen=True)
class Conversion:
    """How a library's model becomes ONNX, and what the outputs of that graph are."""

    answers: Mapping[str, Answer]
    """The framework's answer for each kept output, by logical name, in order."""
    convert: Callable[[str], onnx.ModelProto]
    """Makes the graph at a precision; its inputs are a column [rows, 1] for each input of Given, or one matrix."""
    outputs: Mapping[str, int]
    """The index of each among the graph's outputs."""
    precisions: tuple[str, ...] = _tables.PRECISIONS
    explain: Callable[[Any], str | None] = lambda rows: None
    """Says why the graph may differ on some rows, in the framework's form, if the library knows."""


class Estimator(OnnxOnly):
    """A model of tables: the framework's answers to the rows given, and a graph that gives them for all rows."""

    def __init__(
        self,
        framework: str,
        given: Given,
        conversion: Conversion,
        precision: str | None,
        tolerance: float,
        provenance: Mapping[str, Any],
    ) -> None:
        self.framework = framework
        self._given, self._conversion, self._tolerance = given, conversion, tolerance
        self.precision = precision or conversion.precisions[0]
        if self.precision not in conversion.precisions:
            raise ExportError(
                f"{argument('precision')} must be {' or '.join(conversion.precisions)} for this model, not {precision!r}"
            )
        self.provenance = {**provenance, "precision": self.precision}
        self.columns = [c.entry() for c in given.columns]
        self.inputs = given.infos(self.precision)
        self.rows = given.rows()
        self.notes: list[str] = []
        self._places = {key: i for i, key in enumerate(_keys(given.inputs(self.precision)))}
        self._expected = self._ask(given.whole)
        again = self._ask(given.whole[:1])
        if any(difference(a, self._expected[name][:1]) > tolerance for name, a in again.items()):
            raise ExportError(
                "the model answers row 0 differently alone than among others: its rows depend on one another, or it is random; no "
                "replay can prove that"
            )
        self.outputs: list[TensorInfo] = []
        self._model = self._proven()

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the framework."""
        keys = _keys(inputs)
        if not all(key in self._places for key in keys):
            answers = self._ask(self._given.back(inputs))
        else:  # rows as they were given, which float32 may have rounded
            places = [self._places[key] for key in keys]
            answers = {name: a[places] for name, a in self._expected.items()}
        return {
            e.name: answers[e.name].astype(e.dtype) if e.dtype != STRING else answers[e.name]
            for e in self.outputs
        }

    def _ask(self, rows: Any) -> Arrays:
        made: Arrays = {}
        for name, answer in self._conversion.answers.items():
            with answering():
                got = np.asarray(answer(rows))
            made[name] = typed(got, STRING) if got.dtype.kind in "OSU" else got
        return made

    def to_onnx(self) -> onnx.ModelProto:
        """The graph that was proven."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        return model

    def _graph(self, precision: str) -> tuple[onnx.ModelProto, list[TensorInfo]]:
        try:
            model = self._conversion.convert(precision)
        except ExportError:
            raise
        except Exception as e:  # converters raise whatever they meet
            raise ExportError(f"the converter cannot turn the model into ONNX: {first_line(e)}") from None
        kept = [model.graph.output[i] for i in self._conversion.outputs.values()]
        kinds = [_table_graph.dtype(o) for o in kept]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        codes = [c.codes for c in self._given.columns]
        _table_graph.before(model, self._given.infos(precision), precision, codes)
        infos = []
        for name, kind in zip(self._conversion.outputs, kinds, strict=True):
            want = self._expected[name]
            infos.append(TensorInfo(name, kind, (None, *want.shape[1:])))
        _table_graph.after(model, infos)
        return model, infos

    def _proven(self) -> onnx.ModelProto:
        """Convert, and compare the graph with the framework on every row given.

        Raises:
            ParityError: answers differ; the message has the rows, the cause and what would work.
        """
        model, infos = self._graph(self.precision)
        apart, worst, got = self._apart(model, infos, self.precision)
        self.outputs = infos
        if not apart:
            return model
        ways = []
        for precision in self._conversion.precisions:
            if precision != self.precision and self._holds(precision):
                ways.append(f"{argument('precision', precision)} is proven on all {len(self._given)} rows")
        shown = ", ".join(map(str, apart[:_SHOWN])) + (", …" if len(apart) > _SHOWN else "")
        raise ParityError(
            f"parity refused at stage model: {len(apart)} of {len(self._given)} rows differ by up to {worst:.3g} between "
            f"{self.framework.split()[0]} and the converted graph, tolerance {self._tolerance:.0e}: rows {shown}; "
            f"{self._cause(apart, got, bool(ways))}; {'; '.join(ways) or 'no other conversion gives the same answers'}",
            stage="model", case=f"row {apart[0]}", difference=worst,
        )  # fmt: skip

    def _holds(self, precision: str) -> bool:
        try:
            model, infos = self._graph(precision)
            return not self._apart(model, infos, precision)[0]
        except ExportError:
            return False

    def _apart(
        self, model: onnx.ModelProto, infos: list[TensorInfo], precision: str
    ) -> tuple[list[int], float, Arrays]:
        """The rows on which the graph differs, the largest difference, and its answers."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        given = self._given.infos(precision)
        rename_tensors(copy, given, infos)
        runtime = OnnxModel(copy, infos, inside=names_inside(given, infos))
        got = runtime.predict(self._given.inputs(precision))
        rows: set[int] = set()
        worst = 0.0
        for info in infos:
            answer, want = got[info.name], self._expected[info.name]
            if answer.shape != want.shape:
                raise ExportError(
                    f"the converter gives {info.name!r} the shape {list(answer.shape)}, {self.framework.split()[0]} gives {list(want.shape)}"
                )
            for i in range(len(want)):
                d = difference(answer[i : i + 1], want[i : i + 1])
                if d > self._tolerance:
                    rows.add(i)
                    worst = max(worst, d)
        return sorted(rows), worst, got

    def _cause(self, apart: list[int], got: Arrays, rounding: bool) -> str:
        """Why the two differ, as far as the rows and the model tell."""
        whole = self._given.whole
        if said := self._conversion.explain(whole.iloc[apart] if hasattr(whole, "iloc") else whole[apart]):
            return said
        cells = {n: a[apart] for n, a in self._given.inputs(self.precision).items()}
        if self.precision == "float32":
            rounded = self._ask(self._given.back(cells))
            if rounding or all(difference(got[n][apart], a) <= self._tolerance for n, a in rounded.items()):
                return "float32 rounds numbers together that the model tells apart, with a threshold between them"
        missing = [
            n
            for n, a in cells.items()
            if a.dtype.kind == "f" and np.isnan(a).reshape(len(apart), -1).any(1).all()
        ]
        if missing:
            return (
                f"all of them have a missing value in {missing[0]!r}, which the converter treats differently"
            )
        strings = [c.name for c in self._given.columns if c.type in (_tables.TEXT, _tables.CATEGORY)]
        return f"the converter is wrong for this model{', or for a category of ' + ', '.join(strings[:3]) if strings else ''}"


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a library raises when it is asked into one line."""
    try:
        yield
    except ExportError:
        raise
    except Exception as e:  # of any kind, by the library and by the user's own steps
        raise ExportError(f"examples: the model fails on these rows: {first_line(e)}") from None


def _keys(inputs: Mapping[str, npt.NDArray[Any]]) -> list[bytes]:
    """A key for each row, equal for equal rows."""
    parts = [a.reshape(len(a), -1) for a in inputs.values()]

    def key(row: int) -> bytes:
        return b"\0".join(
            repr(p[row].tolist()).encode() if p.dtype.kind == "O" else p[row].tobytes() for p in parts
        )

    return [key(i) for i in range(len(parts[0]))]


def conversion(
    answers: Answers,
    convert: Callable[[str], onnx.ModelProto],
    precisions: tuple[str, ...] = _tables.PRECISIONS,
) -> Conversion:
    """A conversion from answers with their indices among the graph's outputs."""
    return Conversion(
        {n: of for n, (of, _) in answers.items()},
        convert,
        {n: at for n, (_, at) in answers.items()},
        precisions,
    )


def onnxmltools(framework: str, extra: str) -> tuple[Any, Any]:
    """The converter of boosted trees, and its type of float inputs.

    Raises:
        ExportError: it is not installed; ``extra`` says how to install it.
    """
    try:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError:
        raise ExportError(
            f"{framework}: converting its models needs onnxmltools, which is not installed: {extra}"
        ) from None
    return onnxmltools, FloatTensorType


def head(path: Path) -> bytes:
    """The first bytes of a regular file, to recognize it by; empty for anything else."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(opened, "rb") as file:
        return file.read(_HEAD) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def from_file(
    path: Path,
    request: Request,
    names: list[str] | None,
    estimate: Callable[[Given], Trained],
    spaces: str = " ",
) -> tuple[Trained, Request]:
    """A model from a file, with rows from a file or a matrix: numbers [rows, columns].

    Columns with names become inputs of these names, in the model's order, whatever the order in the file.

    Args:
        path: the model's file.
        request: has the rows.
        names: the names of the columns that the model was fitted on, if it knows them.
        estimate: makes the model from the rows.
        spaces: what replaces spaces in the model's names.

    Raises:
        ExportError: there are no rows, or they have other columns.
    """
    rows = request.rows or {}
    if not rows:
        raise ExportError(
            f"{path}: it needs examples, whose columns become its inputs: give rows with {argument('examples')}"
        )
    if list(rows) != [UNNAMED] and names is not None:
        have = {n.replace(" ", spaces): n for n in rows}
        if wrong := [f"{n!r} is missing" for n in names if n not in have] or [
            f"{n!r} is new" for n in have if n not in names
        ]:
            raise ExportError(f"examples: the model was fitted on other columns: {wrong[0]}")
        rows = {have[n]: rows[have[n]] for n in names}
    try:
        columns = [np.asarray(a).reshape(len(a), -1) for a in rows.values()]
        matrix = np.concatenate([_numbers(c) for c in columns], axis=1)
    except ValueError as e:
        raise ExportError(f"examples: the rows are not numbers [rows, columns]: {e}") from None
    named: tuple[_tables.Column, ...] = ()
    if list(rows) != [UNNAMED] and len(rows) == matrix.shape[1]:
        named = tuple(_tables.number(n, matrix[:, i]) for i, n in enumerate(rows))
    made: Any = estimate(Given(array=matrix, columns=named))
    return made, replace(
        request, rows=made.rows, table=False, missing=True, notes=[*request.notes, *made.notes]
    )


def _numbers(cells: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if cells.dtype.kind in "OSU":
        cells = np.where(np.isin(cells.astype(str), ("", "null", "None")), "nan", cells.astype(str))
    return cells.astype(np.float64)


def first_line(error: Exception) -> str:
    """An error's first line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
