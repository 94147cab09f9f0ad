"""Estimators of tables, from any library: a conversion is proven on all rows of the examples.

The framework answers the rows as the user gives them. The graph gets them as clients send them, in the types of its
inputs: float32, unless ``precision`` says float64. If the answers then differ, the error names the rows and the cause, and
offers what was proven on all rows.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from forgo._errors import ExportError, ParityError, argument
from forgo.exporting import _synthesized, _table_graph, _tables
from forgo.exporting._arrays import typed
from forgo.exporting._golden import difference
from forgo.exporting._graph import OnnxModel, names_inside, rename_tensors
from forgo.exporting._model import STRING, Arrays, OnnxOnly, TensorInfo
from forgo.exporting._table_examples import TableExamples

_SHOWN = 5
_LONGEST = 1000
"""The longest part of a row that a message shows."""
_HEAD = 4096
_FAILS = "examples: the model fails on these rows: "
Answer = Callable[[Any], npt.NDArray[Any]]
Answers = dict[str, tuple[Answer, int]]
"""The framework's answers by output, each with its index among the converted graph's outputs."""


@dataclass(frozen=True)
class Conversion:
    """How a library's model becomes ONNX, and what the outputs of that graph are."""

    answers: Mapping[str, Answer]
    """The framework's answer for each kept output, by logical name, in order."""
    convert: Callable[[str], onnx.ModelProto]
    """Makes the graph at a precision; its inputs are a column [rows, 1] for each input of the table, or one matrix."""
    outputs: Mapping[str, int]
    """The index of each among the graph's outputs."""
    precisions: tuple[str, ...] = _tables.PRECISIONS
    explain: Callable[[Any], str | None] = lambda rows: None
    """Says why the graph may differ on some rows, in the framework's form, if the library knows."""


class Estimator(OnnxOnly):
    """A model of tables: the framework's answers to the examples, and a graph that gives them for all rows."""

    def __init__(
        self,
        framework: str,
        table: TableExamples,
        conversion: Conversion,
        precision: str | None,
        tolerance: float,
        provenance: Mapping[str, Any],
    ) -> None:
        self.framework = framework
        self._table, self._conversion, self._tolerance = table, conversion, tolerance
        self.precision = precision or conversion.precisions[0]
        if self.precision not in conversion.precisions:
            raise ExportError(
                f"{argument('precision')} must be {' or '.join(conversion.precisions)} for this model, not {precision!r}"
            )
        self.provenance = {**provenance, "precision": self.precision}
        self.columns = [c.entry() for c in table.columns]
        self.inputs = table.infos(self.precision)
        self.rows = table.rows()
        self.notes: list[str] = []
        self._expected = self._answer(table.whole)
        self._row_indices = {key: i for i, key in enumerate(_keys(self._inputs()))}
        again = self._answer(table.whole[:1])
        if any(difference(a, self._expected[name][:1]) > tolerance for name, a in again.items()):
            raise ExportError(
                "the model answers row 0 differently alone than among others: its rows depend on one another, or it is random; no "
                "replay can prove that"
            )
        self.outputs: list[TensorInfo] = []
        self._model = self._proven()
        self.synthesized = self._proven_beside()
        """Rows beside the examples that the graph was proven on too, or None."""
        self._check_refusals()

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer with the framework."""
        keys = _keys(inputs)
        if not all(key in self._row_indices for key in keys):
            answers = self._answer(self._table.to_framework(inputs))
        else:  # rows as they were given, which float32 may have rounded
            indices = [self._row_indices[key] for key in keys]
            answers = {name: a[indices] for name, a in self._expected.items()}
        return {
            e.name: answers[e.name].astype(e.dtype) if e.dtype != STRING else answers[e.name]
            for e in self.outputs
        }

    def _inputs(self) -> Arrays:
        try:
            return self._table.inputs(self.precision)
        except ExportError as e:
            raise ExportError(f"{e.message}; {self._ways() or 'scale the column, in training too'}") from None

    def _ways(self, beside: _synthesized.Rows | None = None) -> str:
        """What would work, proven on all rows; "" for nothing."""
        rows = "all" if beside is None else "it and on all"
        return "; ".join(
            f"{argument('precision', p)} is proven on {rows} {len(self._table)} rows"
            for p in self._conversion.precisions
            if p != self.precision and self._proves(p, beside)
        )

    def _answer(self, rows: Any) -> Arrays:
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
        codes = [c.codes for c in self._table.columns]
        _table_graph.before(model, self._table.infos(precision), precision, codes)
        infos = []
        for name, kind in zip(self._conversion.outputs, kinds, strict=True):
            expected = self._expected[name]
            infos.append(TensorInfo(name, kind, (None, *expected.shape[1:])))
        _table_graph.after(model, infos)
        return model, infos

    def _proven(self) -> onnx.ModelProto:
        """Convert, and compare the graph with the framework on every row given.

        Raises:
            ParityError: answers differ; the message has the rows, the cause and what would work.
        """
        model, infos = self._graph(self.precision)
        differing, worst, got = self._differences(model, infos, self.precision)
        self.outputs = infos
        if not differing:
            return model
        ways = self._ways()
        shown = ", ".join(map(str, differing[:_SHOWN])) + (", …" if len(differing) > _SHOWN else "")
        raise ParityError(
            f"parity refused at stage model: {len(differing)} of {len(self._table)} rows differ by up to {worst:.3g} between "
            f"{self.framework.split()[0]} and the converted graph, tolerance {self._tolerance:.0e}: rows {shown}; "
            f"{self._cause(differing, got, bool(ways))}; {ways or 'no other conversion gives the same answers'}",
            stage="model", case=f"row {differing[0]}", difference=worst,
        )  # fmt: skip

    def _proven_beside(self) -> _synthesized.Rows | None:
        """Make rows beside the examples, and compare the graph with the framework on them.

        Raises:
            ParityError: answers differ; the message has the row, and what would work.
        """
        inputs = self._table.inputs(self.precision)
        adjacent = self.precision == "float32" and _synthesized.compares_first(self._model)

        def ask(row: Arrays) -> Arrays:
            return self._answer(self._table.to_framework(row))

        def compared(*, adjacent: bool) -> tuple[_synthesized.Rows | None, list[int], float]:
            made = _synthesized.rows(inputs, self._expected, self._table.columns, ask, adjacent=adjacent)
            rows = self._answerable(made)
            if rows is None:
                return None, [], 0.0
            found = self._differences(self._model, self.outputs, self.precision, rows.inputs, rows.answers)
            return rows, *found[:2]

        rows, differing, worst = compared(adjacent=adjacent)
        # Thresholds are rounded as the rows are.
        if differing and adjacent and not self._table.fits_float32():
            rows, differing, worst = compared(adjacent=False)
        if rows is None or not differing:
            return rows
        at = differing[0]
        cells = {
            n: a[at].decode() if isinstance(a[at], bytes) else a[at].tolist() for n, a in rows.inputs.items()
        }
        raise ParityError(
            f"parity refused at stage model: {self.framework.split()[0]} and the converted graph differ by up to {worst:.3g}, tolerance "
            f"{self._tolerance:.0e}, on {len(differing)} of {len(rows)} synthesized rows, the first {json.dumps(cells, ensure_ascii=False)[:_LONGEST]} "
            f"({rows.origins[at]}); {self._ways(rows) or 'no other conversion gives the same answers'}",
            stage="model", case=f"synthesized: {rows.origins[at]}", difference=worst,
        )  # fmt: skip

    def _answerable(self, rows: _synthesized.Rows | None) -> _synthesized.Rows | None:
        """Rows without those on which the graph fails, which a server refuses; a note names the first."""

        def fails(of: list[int]) -> bool:
            some = rows.part(of) if rows else None
            try:
                if some:
                    self._differences(self._model, self.outputs, self.precision, some.inputs, some.answers)
            except ExportError:
                return True
            return False

        if rows is None or not fails([*range(len(rows))]):
            return rows
        failing = [i for i in range(len(rows)) if fails([i])]
        if failing:
            note = f"the graph answers no row like this: {rows.origins[failing[0]]}; a server refuses it, {self.framework.split()[0]} does not"
            self.notes += [note] if note not in self.notes else []
        return rows.part([i for i in range(len(rows)) if i not in failing])

    def _check_refusals(self) -> None:
        """Refuse strings, and note numbers, that the framework refuses and the graph answers."""
        made = _synthesized.strange(self._table.inputs(self.precision), self._table.columns)

        def refusal(rows: list[Arrays]) -> str | None:
            whole = {n: np.concatenate([row[n] for row in rows]) for n in rows[0]}
            try:
                self._answer(self._table.to_framework(whole))
            except ExportError as e:
                return str(e).removeprefix(_FAILS)
            return None

        if not made or refusal([row for row, _, _ in made]) is None:
            return
        library = self.framework.split()[0]
        graph = self._runtime(self._model, self.outputs, self.precision)
        for row, column, text in made:
            reason = refusal([row])
            if reason is None or not _answers(graph, row):
                continue
            if text:
                raise ExportError(
                    f"{column}: {library} refuses strings that it does not know, the converted graph answers them ({reason}): have its "
                    "encoder take them (handle_unknown), or give a DataFrame"
                )
            note = f"{column}: {library} refuses numbers that it does not know, the bundle answers them ({reason})"
            self.notes += [note]

    def _proves(self, precision: str, beside: _synthesized.Rows | None = None) -> bool:
        try:
            model, infos = self._graph(precision)
            if self._differences(model, infos, precision)[0]:
                return False
            if beside is None:
                return True
            inputs = {e.name: typed(beside.inputs[e.name], e.dtype) for e in self._table.infos(precision)}
            return not self._differences(model, infos, precision, inputs, beside.answers)[0]
        except ExportError:
            return False

    def _differences(
        self,
        model: onnx.ModelProto,
        infos: list[TensorInfo],
        precision: str,
        rows: Arrays | None = None,
        answers: Arrays | None = None,
    ) -> tuple[list[int], float, Arrays]:
        """The rows on which the graph differs, by default of the examples; the largest difference; and its answers."""
        runtime = self._runtime(model, infos, precision)
        got = runtime.predict(self._table.inputs(precision) if rows is None else rows)
        differing: set[int] = set()
        worst = 0.0
        for info in infos:
            answer, expected = got[info.name], (answers or self._expected)[info.name]
            if answer.shape != expected.shape:
                raise ExportError(
                    f"the converter gives {info.name!r} the shape {list(answer.shape)}, {self.framework.split()[0]} gives {list(expected.shape)}"
                )
            for i in range(len(expected)):
                d = difference(answer[i : i + 1], expected[i : i + 1])
                if d > self._tolerance:
                    differing.add(i)
                    worst = max(worst, d)
        return sorted(differing), worst, got

    def _runtime(self, model: onnx.ModelProto, infos: list[TensorInfo], precision: str) -> OnnxModel:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        inputs = self._table.infos(precision)
        rename_tensors(copy, inputs, infos)
        return OnnxModel(copy, infos, inside=names_inside(inputs, infos))

    def _cause(self, differing: list[int], got: Arrays, rounding: bool) -> str:
        """Why the two differ, as far as the rows and the model tell."""
        whole = self._table.whole
        if said := self._conversion.explain(
            whole.iloc[differing] if hasattr(whole, "iloc") else whole[differing]
        ):
            return said
        cells = {n: a[differing] for n, a in self._table.inputs(self.precision).items()}
        if self.precision == "float32":
            rounded = self._answer(self._table.to_framework(cells))
            if rounding or all(
                difference(got[n][differing], a) <= self._tolerance for n, a in rounded.items()
            ):
                return "float32 rounds numbers together that the model tells apart, with a threshold between them"
        missing = [
            n
            for n, a in cells.items()
            if a.dtype.kind == "f" and np.isnan(a).reshape(len(differing), -1).any(1).all()
        ]
        if missing:
            return (
                f"all of them have a missing value in {missing[0]!r}, which the converter treats differently"
            )
        strings = [c.name for c in self._table.columns if c.type in (_tables.TEXT, _tables.CATEGORY)]
        return f"the converter is wrong for this model{', or for a category of ' + ', '.join(strings[:3]) if strings else ''}"


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a library raises when it is asked into one line."""
    try:
        yield
    except ExportError:
        raise
    except Exception as e:  # of any kind, by the library and by the user's own steps
        raise ExportError(f"{_FAILS}{first_line(e)}") from None


def _answers(graph: OnnxModel, row: Arrays) -> bool:
    try:
        graph.predict(row)
    except ExportError:
        return False
    return True


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


def head(path: Path) -> bytes:
    """The first bytes of a regular file, to recognize it by; empty for anything else."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(opened, "rb") as file:
        return file.read(_HEAD) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def first_line(error: Exception) -> str:
    """An error's first line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
