"""Skews planted in the Go binary by ``go build -overlay``: production code has no hooks for it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class BinarySkew:
    """One change of one Go file."""

    name: str
    stage: str
    """Where the refusal must place it."""
    file: str
    old: str
    """Must stand in the file exactly once, so that a stale mutant fails."""
    new: str
    proves: str = ""
    """The reader or writer, by its forgo:reader or forgo:writer comment, that it shows to be held."""
    also: tuple[tuple[str, str], ...] = ()
    """More changes of the file, each old and new."""
    bundle: str = "tiles.forgo"
    """That must be refused, below build/."""
    isolated: bool = False
    """Whether the engine runs in a process of its own, where the skew is."""
    engine: str = "auto"
    """That runs the graph: where another could take its place, a fault in one is only warned of."""
    tags: str | None = None
    """Of the Go build, where the skew is not in what this machine builds by itself."""


def planted(skew: BinarySkew) -> str:
    """The file with the skew in it."""
    source = (ROOT / skew.file).read_text()
    for old, new in ((skew.old, skew.new), *skew.also):
        if source.count(old) != 1:
            raise ValueError(
                f"mutant {skew.name!r} is stale: {old!r} stands {source.count(old)} times in {skew.file}"
            )
        source = source.replace(old, new)
    return source


def build(skew: BinarySkew, folder: Path) -> Path:
    """Build the binary with a skew in it."""
    return go_build({ROOT / skew.file: planted(skew)}, skew.tags, folder)


def go_build(replaced: dict[Path, str], tags: str | None, folder: Path) -> Path:
    """Build the binary with other text in some of its files."""
    folder.mkdir(exist_ok=True)
    overlay: dict[str, str] = {}
    for i, (file, text) in enumerate(replaced.items()):
        overlay[str(file)] = str(folder / f"changed-{i}.go")
        Path(overlay[str(file)]).write_text(text)
    (folder / "overlay.json").write_text(json.dumps({"Replace": overlay}))
    binary = folder / "forgo"
    subprocess.run(
        [ROOT / "scripts/go.sh", "build", "-overlay", folder / "overlay.json", "-o", binary, "./cmd/forgo"],
        cwd=ROOT, check=True, env=os.environ | ({} if tags is None else {"FORGO_GO_TAGS": tags}),
    )  # fmt: skip
    return binary


TURBO, PIXELS, PNG = "predict/pixels/jpeg_turbo.go", "predict/pixels/pixels.go", "predict/pixels/png.go"
# Of libjpeg-turbo on processors that have something faster.
BY_TURBO = (
    ("var turboFirst = !jpeg.Vectors()", "const turboFirst = true"),
    ('\n\n	"github.com/forgo-ml/forgo/predict/pixels/jpeg"', ""),
)
HEADER, ANSWER, PREDICT = "predict/pixels/header.go", "predict/answer.go", "predict/predict.go"
SESSION, GATHER, DECODED = (
    "predict/onnx/session.go",
    "predict/internal/batching/batch.go",
    "turned := upright(img, h.orientation)",
)

JPEG_VECTORS, JPEG_BLOCKS = "predict/pixels/jpeg/vectors_amd64.go", "predict/pixels/jpeg/huffman_amd64.s"
JPEG_TABLES, JPEG_BANDS = "predict/pixels/jpeg/huffman.go", "predict/pixels/jpeg/progressive.go"
PARSE, COLOUR, CAFFE = "predict/pixels/jpeg/parse.go", "predict/pixels/jpeg/colour.go", "mutants/caffe.forgo"
ROWS, TENSORS, TEXTS = "predict/payload/elements.go", "predict/tensorflow/tensors.go", "mutants/texts.forgo"
IRIS, SHAPES = "../conformance/bundles/iris.forgo", "../conformance/bundles/shapes.forgo"
HALF = "../conformance/bundles/half_plus_two.forgo"

RIPE, TABLE, NUMBERS, PRECISE, CATEGORIES = (
    f"mutants/{name}.forgo" for name in ("ripe", "table", "numbers", "precise", "categories")
)
CUT_OUT, PADDED, GREY = (f"mutants/{name}.forgo" for name in ("cut", "padded", "grey"))
FIT, KERNEL_TAPS, KERNEL_SUMS, KERNEL_VECTORS = (
    f"predict/preprocess/{name}.go" for name in ("fit", "taps", "rounded", "vectors_amd64")
)

WIRE = "predict/isolated/wire.go"

TREE, WALK, WALK_VECTORS, CONV, FUSE, DENSE, KERNELS = (
    "predict/pure/tree.go",
    "predict/pure/walk.go",
    "predict/pure/walk_amd64.s",
    "predict/pure/conv.go",
    "predict/pure/fuse.go",
    "predict/pure/dense.go",
    "mutants/kernels.forgo",
)


def pure(name: str, file: str, old: str, new: str, bundle: str = KERNELS, stage: str = "model") -> BinarySkew:
    """Return a skew of a kernel of the engine in pure Go."""
    return BinarySkew(name, stage, file, old, new, bundle=bundle, engine="pure")


BINARY_SKEWS = [
    pure("a missing value sent the other way", TREE, "			yes = true\n", "			yes = false\n"),
    pure("less for less or equal in a tree", TREE, "			yes = v <= node.threshold\n", "			yes = v < node.threshold\n"),
    pure("less for less or equal in eight trees at once", WALK_VECTORS, "	ADCQ $0, DX \\\n", "	SETLS AX \\\n	MOVBLZX AX, AX \\\n	ADDQ AX, DX \\\n"),
    pure("a tree of eight walked from another's root", WALK_VECTORS, "	START(6, R15)", "	START(5, R15)"),
    pure("a tree of four walked for another", WALK, "f.step(c, x), f.step(d, x)", "f.step(c, x), f.step(c, x)", PRECISE),
    pure("less or equal for less in eight trees at once", WALK, "threshold = below(threshold)", "_ = below[T]"),
    pure("a missing value sent the other way in eight trees at once", WALK, "missing != swapped {", "!missing != swapped {"),
    pure("a missing value sent as in a tree that asks for at most", WALK, "missing != swapped {", "missing {"),
    pure("a tree's base value lost", "predict/pure/tree_regressor.go", "scores[i] += e.baseOf(i)", "scores[i] += 0 * e.baseOf(i)"),
    pure("a float64 threshold cut to float32", TREE, "		return d, nil\n", "		for _, x := range d {\n			wide = append(wide, float64(float32(x)))\n		}\n		return wide, nil\n", PRECISE),
    pure("every category but the split's own", TREE, "			yes = v == node.threshold\n", "			yes = v != node.threshold\n", CATEGORIES),
    pure("an unknown category taken for a known one", "predict/pure/encode.go", "		if known {\n", "		if known = true; known {\n", TABLE),
    pure("padding off by one", CONV, "k[last]*w.dilate[last]-w.before[last], w.stride", "k[last]*w.dilate[last]-w.before[last]+1, w.stride"),
    pure("a fused bias forgotten", DENSE, "			copy(to[i:i+n], bias)\n", "			clear(to[i : i+n])\n"),
    pure("a convolution's fused bias forgotten", CONV, "fill = bias[g*filters+f]", "fill = 0 * bias[g*filters+f]"),
    pure("a fused scale forgotten", FUSE, "return p.widen(c) && p.affine(by, nil)", "return p.widen(c)"),
    pure("a bias scaled before it is there", FUSE, "b[i] = f.fit(float64(x)*scale[i], x == 0 || scale[i] == 0)", "b[i] = f.fit(float64(x), true)"),
    pure("a scale before a product forgotten", FUSE, "n.layer.scaleInput(before.by)", "len(before.by) > 0"),
    pure("the scales before a product taken for those of its columns", FUSE, "by[i/p.channels%len(by)]", "by[i%len(by)]"),
    pure("a division before a product fused as a multiplication", FUSE, '	if n.op == "Div" {\n		by = mapped(', '	if n.op == "Mul" {\n		by = mapped('),
    pure("a fused activation forgotten", DENSE, "		if activate != nil {\n", "		if activate != nil && block == 0 {\n"),
    pure("the mean of a fused normalization forgotten", FUSE, "shift[i] -= of[2][i] * scale[i]", "shift[i] -= 0 * of[2][i]"),
    pure("what else reads a fused value passed over", FUSE, "x < 0 || at.uses[n.in[x]] != 1", "x < 0"),
    pure("the tail behind the last vector lost", "predict/pure/product_vectors.go", "for ; j < n; j += 16 {", "for ; j+16 <= n; j += 16 {"),
    pure("a column too few in a vector kernel", "predict/pure/product_amd64.s", "VMOVUPS (R8)(R10*4), Y14", "VMOVUPS 4(R8)(R10*4), Y14"),
    pure("every other addition of a vector kernel lost", "predict/pure/product_amd64.s", "	VADDPS Y2, Y0, Y0\n	VADDPS Y3, Y1, Y1\n	VMASKMOVPS", "	VMASKMOVPS"),
    pure("a negative element kept by a vector kernel", "predict/pure/rectify_amd64.s", "VMAXPS Y0, Y1, Y0", "VMAXPS Y0, Y0, Y0"),
    pure("a broadcast read after its memory was taken over", "predict/pure/broadcast.go", "if out.data == a.data && size(shape) != int64(a.count()) {", "if p, ok := out.data.(*[]T); ok && out.data == a.data && int64(cap(*p)) < size(shape) {\n		*p = append(make([]T, 0, size(shape)), *p...)\n		x = (*p)[:len(x)]\n	}\n	if false {", "mutants/padded-graph.forgo", "preprocess"),
    pure("a loop's state of the turn before", "predict/pure/control.go", "				inputs[2+k] = v\n", "				if made > 0 {\n					inputs[2+k] = &kept[1-made%2][k]\n				} else {\n					inputs[2+k] = v\n				}\n", "mutants/cut-graph.forgo", "preprocess"),
    pure("the other branch", "predict/pure/control.go", "if !condition {", "if condition {", "mutants/cut-graph.forgo", "preprocess"),
    BinarySkew("tensors shifted on their way between processes", "model", WIRE, "data = append(data, raw)", "data = append(data, append(raw[min(4, len(raw)):len(raw):len(raw)], raw[:min(4, len(raw))]...))", "writer isolated tensors", bundle=IRIS, isolated=True),
    BinarySkew("tensors of another process read from the second element", "model", WIRE, "tensor.FromBytes(h.dtype, raw, h.shape...)", "tensor.FromBytes(h.dtype, append(raw[min(4, len(raw)):len(raw):len(raw)], raw[:min(4, len(raw))]...), h.shape...)", "reader isolated tensors", bundle=IRIS, isolated=True),
    BinarySkew("another signature run in another process", "model", "predict/isolated/child.go", "session, face := c.signed[signature], c", "session, face := c.signed[signature^signature>>2], c", bundle=HALF, isolated=True),
    BinarySkew("labels below their thresholds", "label", "predict/answer.go", "s > manifest.Thresholds[j]", "s < manifest.Thresholds[j]", bundle=RIPE),
    BinarySkew("thresholds of the labels in order of score", "label", "predict/answer.go", "s > manifest.Thresholds[j]", "s > manifest.Thresholds[len(scores)-1-j]", bundle=RIPE),
    BinarySkew("a part's copies answered for its rows", "model", "predict/parts.go", "t.Slice(0, have)", "t.Slice(size-have, size)", bundle=RIPE),
    BinarySkew("the first part answered again", "model", "predict/parts.go", "batching.Rows(inputs, start, start+have)", "batching.Rows(inputs, 0, have)", bundle=RIPE),
    BinarySkew("an input's last bytes left of another run's", "model", "predict/onnx/bound.go", "copy(b.Inputs[i], raw)", "copy(b.Inputs[i], raw[:len(raw)-4])", bundle=IRIS, engine="onnx"),
    BinarySkew("an output's first bytes left out", "model", "predict/onnx/bound.go", "append([]byte(nil), b.Outputs[i]...)", "append(make([]byte, 4, len(b.Outputs[i])), b.Outputs[i][4:]...)", bundle=IRIS, engine="onnx"),
    BinarySkew("elements of a large input read from the second on", "preprocess", "predict/onnx/session.go", "	return p.view(t.DType(), t.Shape, raw)\n", "	return p.view(t.DType(), t.Shape, append(raw[1:len(raw):len(raw)], raw[0]))\n", also=(("s.ownShapes.Load()", "true"),), bundle="mutants/cut-graph.forgo", engine="onnx"),
    BinarySkew("the first rows of a long request answered again", "model", "predict/internal/batching/split.go", "Rows(inputs, from, from+n)", "Rows(inputs, 0, n)", bundle=IRIS),
    BinarySkew("nearest chroma upsampling", "decode", TURBO, "TJPF_RGB, TJFLAG_ACCURATEDCT", "TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_FASTUPSAMPLE", also=BY_TURBO),
    BinarySkew("fast DCT", "decode", TURBO, "TJFLAG_ACCURATEDCT", "TJFLAG_FASTDCT", also=BY_TURBO),
    BinarySkew("BGR from the decoder", "decode", TURBO, "TJPF_RGB", "TJPF_BGR", also=BY_TURBO),
    BinarySkew("tables kept from the picture before", "decode", PARSE, "	p := parser{File: &File{data: data}}\n", "	p := parser{File: &File{data: data}, dht: kept}\n", also=(("p.dht[class][number] = h\n", "p.dht[class][number] = h\n		kept = p.dht\n"), ("const truncated =", "var kept [2][4]*huffmanSpec\n\nconst truncated =")), bundle=CAFFE, tags=""),
    BinarySkew("a table kept from the picture before", "decode", JPEG_TABLES, "if h.ready && h.counts == spec.counts && h.values == values {", "if h.ready {", bundle=CAFFE, tags=""),
    BinarySkew("the second of two coefficients without its sign", "decode", JPEG_BLOCKS, "	MOVBLSX 6(AX), DI ", "	MOVBLZX 6(AX), DI ", bundle=CAFFE, tags=""),
    BinarySkew("a block of this unit transformed for one of the unit before", "decode", JPEG_BLOCKS, "	ADDQ before-48(SP), SI\n", "", bundle=CAFFE, tags=""),
    BinarySkew("a long code taken for the one behind it", "decode", JPEG_BLOCKS, "	ANDL $255, SI\n	MOVBLZX huffman_values", "	INCL SI\n	ANDL $255, SI\n	MOVBLZX huffman_values", bundle=CAFFE, tags=""),
    BinarySkew("coefficients read with a bit too many", "decode", "predict/pixels/jpeg/pairs.go", "uint64(-c.size()&63)<<40", "uint64((63-c.size())&63)<<40", bundle=CAFFE, tags=""),
    BinarySkew("the first of two coefficients without its sign", "decode", JPEG_BLOCKS, "	XORQ DI, SI          \\\n	SUBQ DI, SI\n", "	NOP\n", bundle=CAFFE, tags=""),
    BinarySkew("blocks of one colour rounded down", "decode", JPEG_BLOCKS, "	ADDL $(4+128*8), SI\n", "	ADDL $(128*8), SI\n", bundle=CAFFE, tags=""),
    BinarySkew("blocks of a row written where its second ones are", "decode", JPEG_BLOCKS, "	IMULQ BX, DI\n", "", bundle=CAFFE, tags=""),
    BinarySkew("a slightly larger factor of red", "decode", JPEG_VECTORS, "(91881-1<<16)/2, ", "(91881-1<<16)/2+100, ", bundle=CAFFE, tags=""),
    BinarySkew("negative coefficients corrected upwards", "decode", JPEG_BANDS, "((one ^ sign) - sign) & more", "(one + 0*sign) & more", bundle=CAFFE, tags=""),
    BinarySkew("nearest chroma upsampling in Go", "decode", "predict/pixels/jpeg/upsample.go", "		u.fancy = width > 2\n", "		u.fancy = width < 0\n", tags=""),
    BinarySkew("inverse transform rounded down", "decode", "predict/pixels/jpeg/idct.go", "const center = 1<<17 + 128<<18", "const center = 128 << 18", tags=""),
    BinarySkew("the samples behind the last vector lost", "decode", JPEG_VECTORS, "if last := n - 15; n%16 > 0 {", "if last := n - 15; n%16 > 16 {", bundle=PADDED, tags=""),
    BinarySkew("the pixels behind the last vector lost", "decode", JPEG_VECTORS, "if last := n - 16; n%16 > 0 {", "if last := n - 16; n%16 > 16 {", bundle=PADDED, tags=""),
    BinarySkew("samples of the last vector taken one further right", "decode", JPEG_VECTORS, "double16(&near[last], ", "double16(&near[last+1], ", bundle=PADDED, tags=""),
    BinarySkew("chroma of half the width rounded as that of half both", "decode", "predict/pixels/jpeg/upsample.go", "vectorDouble(in, in, out, 4, 8)", "vectorDouble(in, in, out, 8, 7)", bundle=PADDED, tags=""),
    BinarySkew("the last row of pixels left of the picture before", "decode", "predict/pixels/jpeg/decode.go", "			ready = d.Height\n", "			ready = d.Height - 1\n", bundle=PADDED, tags=""),
    BinarySkew("red and blue swapped by the decoder in Go", "decode", COLOUR, "yCbCrRow(c[0], c[1], c[2], out)\n	case cmyk", "yCbCrRow(c[0], c[2], c[1], out)\n	case cmyk", tags=""),
    BinarySkew("CMYK taken as not inverted", "decode", COLOUR, "share := int32(255-v)*white + 128", "share := int32(v)*white + 128", bundle=CAFFE),
    BinarySkew("EXIF orientation dropped", "decode", PIXELS, DECODED, "turned := upright(img, 1)"),
    BinarySkew("EXIF orientations 6 and 8 mixed up", "decode", PIXELS, "case 6: // needs a quarter turn clockwise", "case 60:"),
    BinarySkew("EXIF mirrors ignored", "decode", PIXELS, "case 2: // mirrored left to right", "case 20:"),
    BinarySkew("EXIF read in one byte order only", "decode", HEADER, "order = binary.BigEndian\n", "order = binary.LittleEndian\n"),
    BinarySkew("palette index for colour in PNG", "decode", PNG, "p := f.palette[v]", "p := [3]byte{byte(v), byte(v), byte(v)}"),
    BinarySkew("transparent pixels laid over white", "decode", "predict/pixels/alpha.go", "	switch r {\n", "	if r == AlphaDropped {\n		r = AlphaWhite\n	}\n	switch r {\n", bundle=CAFFE),
    BinarySkew("the last frame of an animation", "decode", "predict/pixels/gif.go", "			return f, nil\n		case ';':", "			if at < len(data) && data[at] != ';' {\n				continue\n			}\n			return f, nil\n		case ';':", bundle=CAFFE),
    BinarySkew("the lower eight of 16 bits", "decode", PNG, "	return p[0], p[wide], p[2*wide], a\n", "	return p[wide-1], p[2*wide-1], p[3*wide-1], a\n", bundle=CAFFE),
    BinarySkew("nearest chroma upsampling in WebP", "decode", "predict/pixels/webp/upsample.go", "		out[2*x-1] = byte(((sum+2*(n1+f))>>3 + n) >> 1)\n", "		out[2*x-1] = byte(n + 0*sum)\n", bundle=CAFFE),
    BinarySkew("TIFF's predictor forgotten", "decode", "predict/pixels/tiff.go", "differences: one(tiffPredictor, 1) == 2,", "differences: one(tiffPredictor, 1) == 3,", bundle=CAFFE),
    BinarySkew("height and width swapped for the graph", "preprocess", "predict/preprocessing.go", "Shape: []int64{int64(img.Height), int64(img.Width), 3}", "Shape: []int64{int64(img.Width), int64(img.Height), 3}", bundle=SHAPES),
    BinarySkew("height and width swapped for the kernel", "preprocess", "predict/preprocessing.go", "k.Run(ctx, img.Pix, img.Width, img.Height)", "k.Run(ctx, img.Pix, img.Height, img.Width)"),
    BinarySkew("the crop a third of the way, not half", "preprocess", FIT, "a.start = (have[side] - a.have) / 2", "a.start = (have[side] - a.have) / 3"),
    BinarySkew("bilinear from the corners", "preprocess", KERNEL_TAPS, "\t\tif halfPixel {", "\t\tif false {"),
    BinarySkew("a filter's taps off by one", "preprocess", KERNEL_TAPS, "t.add(a.start+first+i, int32", "t.add(a.start+max(first-1, 0)+i, int32", bundle=CUT_OUT),
    BinarySkew("a filter's sums cut off, not rounded", "preprocess", KERNEL_SUMS, "rounding = 1 << (weightBits - 1)", "rounding = 1", bundle=CUT_OUT),
    BinarySkew("a filter's overshoot wraps round", "preprocess", KERNEL_SUMS, "byte(min(max(sum>>weightBits, 0), 255))", "byte(sum >> weightBits)", also=(("if hasVectors && len(to) >= 8 {", "if false {"),), bundle=CUT_OUT),
    BinarySkew("the columns behind the last vector lost", "preprocess", KERNEL_VECTORS, "if rest := len(to) - 8; n < len(to) {", "if rest := len(to) - 8; n > len(to) {", bundle=PADDED),
    BinarySkew("the last eight columns of a row not added", "preprocess", KERNEL_VECTORS, "add8(&line[0], &row[0], weight, n)", "add8(&line[0], &row[0], weight, n-8)", bundle="mutants/area.forgo"),
    BinarySkew("the columns of the last vector taken one further left", "preprocess", KERNEL_VECTORS, "&from[rest*fromStep], toStride", "&from[max(rest-1, 0)*fromStep], toStride", bundle=PADDED),
    BinarySkew("the share of the row above given to the one below with vectors", "preprocess", "predict/preprocess/bilinear_amd64.go", "d.share, width&^7)", "1-d.share, width&^7)", bundle=CAFFE),
    BinarySkew("the rows behind the last eight lost", "preprocess", KERNEL_SUMS, "at := min(y, n-together)", "at := min(y, n-n%together-together)", bundle=CUT_OUT),
    BinarySkew("the shorter side rounded up", "preprocess", FIT, "a.total = r.ShorterSide * have[side] / have[1-side]", "a.total = (r.ShorterSide*have[side] + have[1-side] - 1) / have[1-side]", bundle=CUT_OUT),
    BinarySkew("the ground of a padded picture black", "preprocess", "predict/preprocess/preprocess.go", "ground := r.PadColour[:]", "ground := make([]byte, 3)", bundle=PADDED),
    BinarySkew("a picture padded from the corner", "preprocess", FIT, "a.at = half(size[side] - a.total)", "a.at = 0", bundle=PADDED),
    BinarySkew("grey weighed evenly", "preprocess", "predict/preprocess/preprocess.go", "19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2])", "21845*uint32(p[0]) + 21846*uint32(p[1]) + 21845*uint32(p[2])", bundle=GREY),
    BinarySkew("outputs rounded", "model", PREDICT, "		t := results[info.GraphName]\n", "		t := results[info.GraphName]\n		for i, x := range t.Data.([]float32) {\n			t.Data.([]float32)[i] = float32(int(x*1000)) / 1000\n		}\n"),
    BinarySkew("batch rows swapped between callers", "model", GATHER, "c.finish(Rows(out, from, to), nil)", "c.finish(Rows(out, t.rows-to, t.rows-from), nil)"),
    BinarySkew("every caller gets the first rows", "model", GATHER, "		from = to\n", "		_ = to\n"),
    BinarySkew("batch gathered in reverse", "model", GATHER, "		for _, c := range t.calls {\n			j.parts", "		for i := range t.calls {\n			c := t.calls[len(t.calls)-1-i]\n			j.parts"),
    BinarySkew("strings in lower case", "decode", ROWS, "	case '\"':\n		return r.Text()\n", "	case '\"':\n		s, err := r.Text()\n		return string(bytes.ToLower([]byte(s))), err\n", bundle=TEXTS),
    BinarySkew("strings cut at the first space", "model", TENSORS, "func toStrings(shape []int64, values []string) (uintptr, error) {\n", "func toStrings(shape []int64, values []string) (uintptr, error) {\n	values = append([]string{}, values...)\n	for i, text := range values {\n		values[i], _, _ = strings.Cut(text, \" \")\n	}\n", also=(("import (\n	\"errors\"\n	\"fmt\"\n", "import (\n	\"errors\"\n	\"fmt\"\n	\"strings\"\n"),), bundle=TEXTS),
    BinarySkew("labels off by one", "label", ANSWER, "return manifest.Labels[i]", "return manifest.Labels[(i+1)%len(manifest.Labels)]"),
    BinarySkew("worst class first", "label", ANSWER, "cmp.Compare(b.Score, a.Score)", "cmp.Compare(a.Score, b.Score)"),
    BinarySkew("floats read five percent too large", "decode", "predict/payload/float.go", "if x = float64(digits) / tens[places]; negative", "if x = 1.05 * float64(digits) / tens[places]; negative", "reader JSON", bundle=IRIS),
    BinarySkew("long floats read five percent too large", "decode", "predict/payload/float.go", "	return T(x), nil\n", "	return 1.05 * T(x), nil\n", bundle=IRIS),
    BinarySkew("CSV columns one off", "decode", "predict/payload/csv.go", "known[col.name(i)] = place{col, i}", "known[col.name(i)] = place{col, (i + 1) % int(n)}", "reader CSV", bundle=IRIS),
    BinarySkew("CSV read in the model's order, not the header's", "decode", "predict/payload/csv.go", "	return order, nil\n}\n\n// listed", "	return inOrder(columns), nil\n}\n\n// listed", bundle=IRIS),
    BinarySkew("a missing number read as zero", "decode", "predict/payload/float.go", "		return float32(math.NaN()), nil\n", "		return 0, nil\n", bundle=TABLE),
    BinarySkew("an empty cell read as zero", "decode", "predict/payload/csv.go", 'text = []byte("NaN")', 'text = []byte("0")', bundle=TABLE),
    BinarySkew("a row without names in another order", "decode", "predict/payload/row.go", "		values[specs[i].Name] = t\n", "		if i == 1 || i == 2 {\n			i = 3 - i\n		}\n		values[specs[i].Name] = t\n", "reader JSON rows without names", bundle=TABLE),
    BinarySkew("columns without names one off", "decode", "predict/payload/csv.go", "order = append(order, place{col, i})", "order = append(order, place{col, (i + 1) % col.size()})", bundle=IRIS),
    BinarySkew("NumPy's arrays in Fortran's order taken row by row", "decode", "predict/payload/npy.go", "if fortran && len(a.shape) > 1 {", "if fortran && len(a.shape) > 2 {", "reader arrays", bundle=IRIS),
    BinarySkew("a matrix's columns one off", "decode", "predict/payload/arrays.go", "raw[(row*len(r.columns)+i)*size:]", "raw[(row*len(r.columns)+(i+1)%len(r.columns))*size:]", "reader matrices", bundle=NUMBERS),
    BinarySkew("NumPy's byte order passed over", "decode", "predict/payload/npy.go", "a.big = order == \">\"", "a.big = order == \"!\"", bundle=IRIS),
    BinarySkew("files of a form cut short", "decode", "predict/payload/form.go", "			return data, nil\n", "			return data[:max(0, len(data)-1)], nil\n", "reader forms", bundle=SHAPES),
    BinarySkew("base64 cut short", "decode", "predict/payload/row.go", "unsafe.String(unsafe.SliceData(raw), n), nil", "unsafe.String(unsafe.SliceData(raw), max(0, n-1)), nil", "reader base64", bundle=SHAPES),
    BinarySkew("float32 bytes shifted by an element", "model", "predict/tensor/bytes.go", "t.Data = view[float32](raw)", "t.Data = view[float32](append(raw[4:len(raw):len(raw)], raw[:4]...))", "reader binary tensors", bundle=IRIS),
    BinarySkew("safetensors shifted by an element", "decode", "predict/tensor/safetensors.go", "convert(body[from:to])", "convert(append(body[from+4:to:to], body[from:from+4]...))", "reader safetensors", bundle=IRIS),
    BinarySkew("floats in JSON with three digits", "label", "predict/tensor/json.go", "AppendFloat(dst, x, format, -1, bits)", "AppendFloat(dst, x, format, 3, bits)", "writer JSON", bundle=IRIS),
    BinarySkew("answers labelled in another order", "label", ANSWER, "tensor.AppendText(dst, c.Label)", "tensor.AppendText(dst, a.Classes[len(a.Classes)-1-i].Label)", "writer labelled answers", bundle=IRIS),
]  # fmt: skip
