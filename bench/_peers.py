"""The peers: other ways to serve the same models, each as its documentation advises, each in an environment of its own."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import _cases, _models, _servers
from bench._cases import CONNECTIONS, JSON, UPLOADS, Case, Request
from bench._servers import CORES, HERE, ROOT, Server, python_environment, python_versions, run

PEERS = ROOT / "bench" / "peers"


def _model(name: str, saved: str = "forgo") -> dict[str, str]:
    """The environment that tells a server its model: the bundle, whose graph it takes, or what the framework saved."""
    return {"MODEL": str(HERE / f"{name}.{saved}"), "OMP_NUM_THREADS": "1"}


def _python(name: str, *packages: str) -> tuple[Path, str]:
    """The bin folder of a peer's environment, and its versions."""
    here = python_environment(f"peer-{name}", PEERS / name / "requirements.txt")
    return here, python_versions(here, *packages)


def _uvicorn(name: str, workers: int, environment: dict[str, str], *packages: str) -> Server:
    """FastAPI in uvicorn, with uvloop and httptools."""
    here, versions = _python(name, "fastapi", "uvicorn", "orjson", *packages)
    command = [str(here / "uvicorn"), "app:app", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--workers", str(workers), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return Server(f"{name}-{workers}", command, versions, PEERS / name, environment)


@cache
def fastapi(workers: int, model: str = "digits") -> Server:
    """FastAPI over ONNX Runtime."""
    return _uvicorn("fastapi", workers, _model(model), "onnxruntime")


@cache
def fastapi_framework(workers: int, model: str) -> Server:
    """FastAPI over scikit-learn or XGBoost itself."""
    saved, package = {"iris": ("joblib", "scikit-learn"), "trees": ("ubj", "xgboost-cpu")}[model]
    return _uvicorn("frameworks", workers, _model(model, saved), package)


@cache
def fastapi_pictures(workers: int, model: str) -> Server:
    """FastAPI, Pillow and ONNX Runtime."""
    environment = _model(model) | _models.PICTURES[model]
    return _uvicorn("fastapi-pictures", workers, environment, "pillow", "onnxruntime")


@cache
def flask() -> Server:
    """Flask and Keras in gunicorn, a worker a core."""
    here, versions = _python("flask", "Flask", "gunicorn", "keras", "tensorflow-cpu")
    command = [str(here / "gunicorn"), "--workers", str(CORES), "--bind", "127.0.0.1:{port}", "app:app"]
    return Server("flask-keras", command, versions, PEERS / "flask", _model("digits"))


def _program(name: str, model: str, *packages: str, **environment: str) -> Server:
    here, versions = _python(name, *packages)
    command = [str(here / "python"), "app.py", "{port}", str(CORES)]
    return Server(name, command, versions, PEERS / name, _model(model) | environment)


@cache
def litserve(model: str) -> Server:
    """LitServe, a worker a core."""
    return _program("litserve", model, "litserve", "onnxruntime")


@cache
def mlserver() -> Server:
    """MLServer, the model in its own process."""
    return _program("mlserver", "digits", "mlserver", "onnxruntime")


@cache
def mlserver_runtime(model: str) -> Server:
    """MLServer's own runtime of scikit-learn or XGBoost, in its process."""
    name, saved = "mlserver-runtimes", {"iris": "joblib", "trees": "ubj"}[model]
    here, versions = _python(name, "mlserver", *{"iris": ["scikit-learn"], "trees": ["xgboost-cpu"]}[model])
    environment = _model(model, saved)
    environment["MLSERVER_MODEL_URI"] = environment.pop("MODEL")
    return Server(name, [str(here / "python"), "../app.py", "{port}"], versions, PEERS / name / model, environment)  # fmt: skip


@cache
def ray() -> Server:
    """Ray Serve, a replica a core."""
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(HERE / "ray")}
    return _program("ray", "digits", "ray", "onnxruntime", **settings)


@cache
def bentoml(model: str) -> Server:
    """BentoML, a worker a core."""
    here, versions = _python("bentoml", "bentoml", "onnxruntime")
    command = [str(here / "bentoml"), "serve", "app:Model", "--host", "127.0.0.1", "--port", "{port}"]
    return Server("bentoml", command, versions, PEERS / "bentoml", _model(model) | {"BENTOML_DO_NOT_TRACK": "True"})  # fmt: skip


@cache
def by_hand(model: str = "digits") -> Server:
    """A Go server without forgo: net/http and ONNX Runtime's cgo binding."""
    binary = HERE / "gohand"
    run("go", "build", "-o", binary, ".", folder=PEERS / "gohand", environment={"CGO_ENABLED": "1"})
    library = json.loads(run(Path(sys.executable).with_name("forgo"), "doctor", "--json"))["onnxruntime"][
        "path"
    ]
    version = run("go", "env", "GOVERSION").removeprefix("go")
    environment = _model(model) | _models.PICTURES.get(model, {}) | {"ONNXRUNTIME": library}
    return Server("gohand", [str(binary), "127.0.0.1:{port}"], f"Go {version}", ROOT, environment)


def _rows(path: str, answer: Callable[[Any], Any], model: str = "digits") -> list[Request]:
    """A row a request, as JSON: ``{"rows": [[numbers]]}``."""

    def request(row: np.ndarray, want: np.ndarray) -> Request:
        def check(body: bytes, _: http.client.HTTPMessage) -> float:
            return _cases.same(np.ravel(answer(json.loads(body))), want)

        body = json.dumps({"rows": [row.tolist()]}).encode()
        return Request("POST", path, check, JSON, body)

    return [request(*pair) for pair in zip(*_cases.answers(model), strict=True)]


def _answers(body: Any) -> Any:
    return body["answers"]


def _bare(body: Any) -> Any:
    return body


_predict = partial(_rows, "/predict", _answers)
BY_HAND = "Go by hand, cgo binding"
# How far scores may be from the training framework's where Go's image/jpeg decodes, which gives other pixels than Pillow.
LOOSE = 0.05


def _rows_of(model: str, framework: str) -> list[Case]:
    """The peers on a model of rows, in the order of the page."""
    case = partial(_case, model, CONNECTIONS)
    here = partial(_predict, model)
    runtime = partial(_cases.forgo_json, model, "predict_proba")
    return [
        case("fastapi-1", "FastAPI + ONNX Runtime, 1 worker", partial(fastapi, 1, model), here),
        case("fastapi-2", "FastAPI + ONNX Runtime, 2 workers", partial(fastapi, 2, model), here),
        case("framework", f"FastAPI + {framework}, 2 workers", partial(fastapi_framework, 2, model), here),
        case("litserve", "LitServe", partial(litserve, model), here),
        case("bentoml", "BentoML", partial(bentoml, model), partial(_rows, "/predict", _bare, model)),
        case("mlserver", f"MLServer's {framework} runtime", partial(mlserver_runtime, model), runtime),
        case("gohand", BY_HAND, partial(by_hand, model), here),
        case("json", "forgo, JSON", partial(_servers.forgo, model), partial(_cases.forgo_json, model)),
    ]


def _pictures(model: str) -> list[Case]:
    """The peers on a model of pictures."""
    case = partial(_case, model, UPLOADS)
    exact = partial(_cases.uploads, model, "/classify")
    loose = partial(_cases.uploads, model, "/classify", LOOSE)
    native = partial(_cases.uploads, model, f"/models/{model}?top=5")
    return [
        case("fastapi-1", "FastAPI + ONNX Runtime, 1 worker", partial(fastapi_pictures, 1, model), exact),
        case("fastapi-2", "FastAPI + ONNX Runtime, 2 workers", partial(fastapi_pictures, 2, model), exact),
        case("gohand", BY_HAND, partial(by_hand, model), loose),
        case("jpeg", "forgo, JPEG", partial(_servers.forgo, model), native),
    ]


def _case(
    model: str,
    connections: int,
    name: str,
    title: str,
    server: Callable[[], Server],
    requests: Callable[[], list[Request]],
) -> Case:
    kind = "prediction" if title.startswith("forgo") else "peer"
    return Case(f"{model}-{name}", title, kind, server, requests, model, connections)


CASES = [
    Case("flask-predict", "Flask + keras.predict", "peer", flask, _predict),
    Case("flask-call", "Flask + model(x)", "peer", flask, partial(_rows, "/call", _answers)),
    Case("fastapi-1", "FastAPI + ONNX Runtime, 1 worker", "peer", partial(fastapi, 1), _predict),
    Case("fastapi-2", "FastAPI + ONNX Runtime, 2 workers", "peer", partial(fastapi, 2), _predict),
    Case("litserve", "LitServe", "peer", partial(litserve, "digits"), _predict),
    Case("bentoml", "BentoML", "peer", partial(bentoml, "digits"), partial(_rows, "/predict", _bare)),
    Case("mlserver", "MLServer", "peer", mlserver, _cases.forgo_json),
    Case("ray", "Ray Serve", "peer", ray, _predict),
    Case("gohand", BY_HAND, "peer", by_hand, _predict),
    Case("peers-json", "forgo, JSON", "prediction", _servers.forgo, _cases.forgo_json),
    Case("peers-binary", "forgo, binary tensor", "prediction", _servers.forgo, _cases.forgo_binary),
    *_rows_of("iris", "scikit-learn"),
    *_rows_of("trees", "XGBoost"),
    *_pictures("resnet50"),
    *_pictures(_models.LITE0),
]
# The case beside which a model's others are set.
FORGO = {"digits": "peers-json", "iris": "iris-json", "trees": "trees-json"} | {
    model: f"{model}-jpeg" for model in _models.PICTURES
}
