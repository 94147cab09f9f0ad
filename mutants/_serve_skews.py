"""Skews planted in the server: its replay at load passes, and ``forgo verify --url`` must find them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from forgo import _binary
from mutants._binary_skews import ROOT, BinarySkew

BUNDLES = ROOT / "conformance" / "bundles"


@dataclass(frozen=True)
class ServeSkew(BinarySkew):
    """One change of one Go file that only requests show; its stage names the protocol too."""

    bundle: str = "iris"
    """Of conformance/bundles."""
    options: tuple[str, ...] = ()
    """Of forgo serve."""
    replay: tuple[str, ...] = ()
    """Options of forgo verify."""


@dataclass(frozen=True)
class Server:
    """A running server, by its URLs, and what it has logged since."""

    http: str
    grpc: str
    log: SimpleQueue[str]
    pid: int

    def logs(self, pattern: str) -> re.Match[str]:
        """Wait for a line; ValueError where there comes none."""
        return _logs(self.log, pattern)


def _logs(log: SimpleQueue[str], pattern: str) -> re.Match[str]:
    last = ""
    while line := log.get(timeout=60):
        if found := re.search(pattern, line):
            return found
        last = line
    raise ValueError(f"the server ended: {last.strip()}")


@contextlib.contextmanager
def serving(binary: Path, path: Path, *options: str) -> Iterator[Server]:
    """A server on free ports; ValueError where it refuses to start."""
    command = [str(binary), "serve", str(path), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *options]
    with subprocess.Popen(
        [*command, "--admin", "off"], env=_binary.environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        log: SimpleQueue[str] = SimpleQueue()

        def read() -> None:
            for line in process.stderr or []:
                log.put(line)
            log.put("")  # the end

        Thread(target=read, daemon=True).start()
        try:
            at = _logs(log, r"serving.*\bhttp\W+(127\.0\.0\.1:\d+).*\bgrpc\W+(127\.0\.0\.1:\d+)")
            yield Server(f"http://{at[1]}", f"grpc://{at[2]}", log, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=60)


def verify(path: Path, server: Server, *options: str) -> tuple[str, str]:
    """The stage and protocol that the sound binary refuses a server at, and what it says."""
    urls = ["--url", server.http, "--url", server.grpc]
    done = subprocess.run(
        [_binary.path(), "verify", "--json", *urls, *options, path],
        capture_output=True,
        text=True,
        check=False,
    )
    verdict = json.loads(done.stdout)
    if verdict["ok"]:
        return "accepted", f"{verdict['cases']} cases"
    error = re.sub(r"^parity refused at stage serve.*?: |(?<=\S) at \w+://[^\s,]+", "", verdict["error"])
    return f"{verdict['stage']} {verdict.get('protocol', '')}", error


def attack(skew: ServeSkew, binary: Path) -> tuple[str, str]:
    """Serve with a skewed binary, and verify."""
    path = BUNDLES / f"{skew.bundle}.forgo"
    with serving(binary, path, *skew.options) as server:
        return verify(path, server, *skew.replay)


REQUEST, INFER, GRPC = (f"serve/oip/{name}.go" for name in ("request", "infer", "grpc"))
PICTURES, GATHER = "serve/internal/served/request.go", "predict/internal/batching/batch.go"
NATIVE = "serve/native/answer.go"
CLASSES = "serve/oip/classes.go"
TF_REQUEST, TF_ANSWER = "serve/tfserving/request.go", "serve/tfserving/answer.go"

# The replay at load gathers eight rows at most: these differ only where more run together.
TOGETHER = ("--max-delay", "100ms", "--max-batch-rows", "32")
LARGE = ("--protocol", "oip,oip-grpc", "--batch", "8")  # each request alone waits for the delay
# What some of them plant, in Go.
TRANSPOSED = """	if x, ok := in.tensor.Data.([]float32); ok && seen && len(shape) == 2 {
		columns := make([]float32, len(x))
		for i := range x {
			columns[i] = x[i%int(shape[0])*int(shape[1])+i/int(shape[0])]
		}
		in.tensor.Data = columns
	}
	in.base64 = seen
"""
REVERSED = """			dst = append(dst, '[')
			for i := t.Rows() - 1; i >= 0; i-- {
				row := tensor.AppendFlat(nil, t.Slice(i, i+1), tensor.Bare)
				dst = append(append(dst, row[1:len(row)-1]...), ',')
			}
			dst[len(dst)-1] = ']'
"""
BYTES_SWAPPED = """		data, err := t.Bytes()
		data = append([]byte{}, data...)
		for i := 0; i+3 < len(data); i += 4 {
			data[i], data[i+1], data[i+2], data[i+3] = data[i+3], data[i+2], data[i+1], data[i]
		}
"""
LAST_FIRST = """			if n := t.Rows(); n > 1 {
				t, _ = tensor.Concat(t.Slice(n-1, n), t.Slice(0, n-1))
			}
			out.Contents = wire.Contents(t)
"""
SECOND_FIRST = """		if n := t.Rows(); n > 1 {
			t, _ = tensor.Concat(t.Slice(1, n), t.Slice(0, 1))
		}
		columns[spec.Name] = t
		return nil
"""
ROTATED = """		if n := t.Rows(); n > 1 {
			t, _ = tensor.Concat(t.Slice(1, n), t.Slice(0, 1))
		}
"""
ROTATED_PARTS = """	for name, list := range j.parts {
		j.parts[name] = append(list[1:len(list):len(list)], list[0])
	}
	j.at = func(i int, err error) error { return fmt.Errorf("line %d: %w", numbers[i], err) }
"""
SIGNATURES, SERIALIZED = "serve/tfserving/signatures.go", "serve/tfserving/serialized.go"
OIP_MESSAGES, TF_MESSAGES = "internal/oippb/wire.go", "internal/tfpb/wire.go"
EXAMPLES, TF_PROTO = "serve/tfserving/examples.go", "serve/tfserving/proto.go"
ALL_OUTPUTS = "outputs := q.m.Manifest().Outputs\n		dst = appendTensor(a, dst, infos[0].Name, results[outputs[len(outputs)-1].Name])"
SWAPPED = """			if t.rows > 8 {
				from, to = t.rows-to, t.rows-from
			}
			c.finish(Rows(out, from, to), nil)
			if t.rows > 8 {
				to = t.rows - from
			}
"""

SERVE_SKEWS = [
    ServeSkew("OIP JSON read column by column", "serve oip", REQUEST, "	in.base64 = seen\n", TRANSPOSED, proves="reader OIP JSON"),
    ServeSkew("OIP JSON rows reversed", "serve oip", INFER, "			dst = body.Flat(dst, t, tensor.Bare)\n", REVERSED, proves="writer OIP JSON"),
    ServeSkew("OIP outputs swapped", "serve oip", INFER, "if tensors[i], err = o.of(m, results)", "if tensors[i], err = wanted[len(wanted)-1-i].of(m, results)"),
    ServeSkew("OIP binary tensors shifted by an element", "serve oip", REQUEST, "raw := p.data[:size:size]", "raw := append(append([]byte{}, p.data[4:size]...), p.data[:4]...)", proves="reader OIP binary"),
    ServeSkew("gRPC raw outputs in the other byte order", "serve oip-grpc", GRPC, "		data, err := t.Bytes()\n", BYTES_SWAPPED, proves="writer OIP gRPC raw"),
    ServeSkew("gRPC typed outputs from the last row on", "serve oip-grpc", GRPC, "			out.Contents = wire.Contents(t)\n", LAST_FIRST, proves="writer OIP gRPC typed"),
    ServeSkew("TensorFlow columns from the second row on", "serve tensorflow", TF_REQUEST, "		columns[spec.Name] = t\n		return nil\n", SECOND_FIRST, proves="reader TensorFlow REST columns"),
    ServeSkew("TensorFlow predictions are the logits", "serve tensorflow", TF_ANSWER, "dst = appendTensor(a, dst, infos[0].Name, results[infos[0].Name])", ALL_OUTPUTS, proves="writer TensorFlow REST"),
    ServeSkew("TensorFlow classes labelled one off", "serve tensorflow", TF_ANSWER, "		label = c.labels[i]\n", "		label = c.labels[(i+1)%c.each]\n", proves="writer TensorFlow REST classes"),
    ServeSkew("native answers given to another file", "serve native", NATIVE, "m.Label(out, i)", "m.Label(out, rows-1-i)", bundle="shapes", proves="writer native answers"),
    ServeSkew("OIP best classes are the worst", "serve oip", CLASSES, "cmp.Compare(row[b], row[a])", "cmp.Compare(row[a], row[b])"),
    ServeSkew("OIP best classes labelled one off", "serve oip", CLASSES, "labels[i]...)", "labels[(i+1)%len(labels)]...)", proves="writer OIP classes"),
    ServeSkew("pictures of a request reversed", "serve native", PICTURES, "parts[i] = in[input]", "parts[len(parts)-1-i] = in[input]", bundle="shapes"),
    ServeSkew("pictures given to other rows", "serve native", PICTURES, "parts[i] = in[input]", "parts[len(parts)-1-i] = in[input]", bundle="halves"),
    ServeSkew("large batches swap rows between callers", "serve oip", GATHER, "			c.finish(Rows(out, from, to), nil)\n", SWAPPED, options=TOGETHER, replay=LARGE),
    ServeSkew("large batches drop rows", "serve oip", GATHER, "		from = to\n", "		if t.rows <= 8 {\n			from = to\n		}\n", options=TOGETHER, replay=LARGE),
    ServeSkew("native rows from the second on", "serve native", "serve/native/rows.go", "		inputs := tensor.NewMap()\n", ROTATED + "		inputs := tensor.NewMap()\n", proves="reader native rows"),
    ServeSkew("JSON lines from the second on", "serve native", "serve/native/rows.go", "	j.at = func(i int, err error) error { return fmt.Errorf(\"line %d: %w\", numbers[i], err) }\n", ROTATED_PARTS, proves="reader native lines"),
    ServeSkew("pictures answered with those of the first body", "serve native", "serve/native/native.go", "		return m.Picture(body)\n", "		if first == nil {\n			first = bytes.Clone(body)\n		}\n		return m.Picture(first)\n", also=(("// answers says how to answer a request.\n", "var first []byte\n\n// answers says how to answer a request.\n"),), bundle="shapes", proves="reader native pictures"),
    ServeSkew("BYTES cut short", "serve oip", "predict/tensor/bytes.go", "values[i] = unsafe.String(unsafe.SliceData(rest), size)", "values[i] = unsafe.String(unsafe.SliceData(rest), max(1, size)-1)", bundle="shapes", proves="reader BYTES"),
    ServeSkew("OIP binary outputs shifted by an element", "serve oip", INFER, "			raw, err := t.Bytes()\n", "			raw, err := t.Bytes()\n			raw = append(raw[4:len(raw):len(raw)], raw[:4]...)\n", proves="writer OIP binary"),
    ServeSkew("gRPC raw inputs shifted by an element", "serve oip-grpc", GRPC, "tensor.FromBytes(d, raw[i], ", "tensor.FromBytes(d, append(raw[i][4:len(raw[i]):len(raw[i])], raw[i][:4]...), ", proves="reader OIP gRPC raw"),
    ServeSkew("gRPC typed inputs shifted by an element", "serve oip-grpc", "internal/wire/contents.go", "data = \"fp32_contents\", c.GetFp32Contents()", "data = \"fp32_contents\", append(c.GetFp32Contents()[1:], c.GetFp32Contents()[0])", proves="reader OIP gRPC typed"),
    ServeSkew("TensorFlow rows from the second on", "serve tensorflow", TF_REQUEST, "		columns := tensor.NewMap()\n", ROTATED + "		columns := tensor.NewMap()\n", proves="reader TensorFlow REST rows"),
    ServeSkew("TensorFlow features reversed", "serve tensorflow", EXAMPLES, "		return each(spec.Name, t)\n", "		if x, ok := t.Data.([]float32); ok {\n			slices.Reverse(x)\n		}\n		return each(spec.Name, t)\n", proves="reader TensorFlow REST examples"),
    ServeSkew("tf.Example's floats reversed", "serve tensorflow-grpc", EXAMPLES, "		case tensor.Float32:\n			data = values\n", "		case tensor.Float32:\n			slices.Reverse(values)\n			data = values\n", proves="reader tf.Example"),
    ServeSkew("TensorFlow gRPC values shifted by one", "serve tensorflow-grpc", TF_PROTO, "filled(r, p.GetFloatVal(), n)", "filled(r, append(p.GetFloatVal()[1:], p.GetFloatVal()[0]), n)", proves="reader TensorFlow gRPC values"),
    ServeSkew("TensorFlow gRPC content shifted by an element", "serve tensorflow-grpc", TF_PROTO, "tensor.FromBytes(d, raw, int64(n))", "tensor.FromBytes(d, append(raw[4:len(raw):len(raw)], raw[:4]...), int64(n))", proves="reader TensorFlow gRPC content"),
    ServeSkew("TensorFlow gRPC outputs shifted by one", "serve tensorflow-grpc", TF_PROTO, "p.FloatVal = data\n", "p.FloatVal = append(data[1:len(data):len(data)], data[0])\n", proves="writer TensorFlow gRPC"),
    ServeSkew("TensorFlow gRPC classes labelled one off", "serve tensorflow-grpc", "serve/tfserving/grpc.go", "			label, score := scored.class(row, i)\n", "			_, score := scored.class(row, i)\n			label, _ := scored.class(row, (i+1)%scored.each)\n", proves="writer TensorFlow gRPC classes"),
    ServeSkew("another signature answers", "serve tensorflow", SIGNATURES, "	if s, ok := all[name]; ok {\n", "	if s, ok := all[strings.TrimSuffix(name, \"2\")]; ok {\n", also=(('	"slices"\n', '	"slices"\n	"strings"\n'),), bundle="half_plus_two"),
    ServeSkew("serialized tf.Examples in another order", "serve tensorflow-grpc", SERIALIZED, "		values[i] = text(data)\n", "		values[len(values)-1-i] = text(data)\n", bundle="half_plus_two", replay=("--protocol", "tensorflow-grpc"), proves="writer tf.Example"),
    ServeSkew("floats of features rounded to integers", "serve tensorflow", SERIALIZED, "		values, _ := t.Data.([]float32)\n", "		values, _ := t.Data.([]float32)\n		for i := range values {\n			values[i] = float32(int(values[i]))\n		}\n", bundle="half_plus_two", proves="reader TensorFlow REST serialized examples"),
    ServeSkew("raw inputs of a gRPC message shifted by an element", "serve oip-grpc", OIP_MESSAGES, "			x.RawInputContents = append(x.RawInputContents, r.Clone())\n", "			raw := r.Clone()\n			x.RawInputContents = append(x.RawInputContents, append(raw[min(4, len(raw)):len(raw):len(raw)], raw[:min(4, len(raw))]...))\n", proves="reader OIP gRPC message"),
    ServeSkew("typed outputs of a gRPC message from the second on", "serve oip-grpc", OIP_MESSAGES, "dst = protofields.AppendFloats(dst, 6, x.Fp32Contents)", "dst = protofields.AppendFloats(dst, 6, append(append([]float32{}, x.Fp32Contents[min(1, len(x.Fp32Contents)):]...), x.Fp32Contents[:min(1, len(x.Fp32Contents))]...))", proves="writer OIP gRPC message"),
    ServeSkew("content of a TensorFlow gRPC message shifted by an element", "serve tensorflow-grpc", TF_MESSAGES, "			x.TensorContent = r.Clone()\n", "			raw := r.Clone()\n			x.TensorContent = append(raw[min(4, len(raw)):len(raw):len(raw)], raw[:min(4, len(raw))]...)\n", proves="reader TensorFlow gRPC message"),
    ServeSkew("floats of a TensorFlow gRPC message from the second on", "serve tensorflow-grpc", TF_MESSAGES, "dst = protofields.AppendFloats(dst, 5, x.FloatVal)", "dst = protofields.AppendFloats(dst, 5, append(append([]float32{}, x.FloatVal[min(1, len(x.FloatVal)):]...), x.FloatVal[:min(1, len(x.FloatVal))]...))", proves="writer TensorFlow gRPC message"),
]  # fmt: skip
