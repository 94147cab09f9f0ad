"""The models that are served, each with what it is sent and the training framework's own answers.

    python -m bench._models NAME FOLDER

writes ``NAME.forgo``, what the framework saves, and ``NAME.npz`` with the answers, and with the rows unless these are the
photographs of ``photographs``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._servers import HERE, ROOT, MissingError, run, say

LITE0 = "efficientnet-lite0"


def need(name: str) -> Path:
    """The bundle of a model, which is made where it is not there or older than the code."""
    code = [Path(__file__), Path(__file__).with_name("lite0.py")]
    made = HERE / f"{name}.npz"
    if not made.exists() or made.stat().st_mtime < max(f.stat().st_mtime for f in code):
        say(f"making the model {name}")
        HERE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(HERE / f"{name}.forgo", ignore_errors=True)
        if name in PICTURES:
            run(sys.executable, "-m", "stress._photos", HERE / "photographs")
        run(sys.executable if name != LITE0 else _pytorch(), "-m", *_command(name))
    return HERE / f"{name}.forgo"


def _command(name: str) -> list[str | Path]:
    return ["bench.lite0", HERE] if name == LITE0 else ["bench._models", name, HERE]


def _pytorch() -> Path:
    """PyTorch's environment, which tests have too: 4 GB."""
    from tests.environments import environment

    try:
        return environment(ROOT / "tests" / "pytorch", forgo=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise MissingError(f"PyTorch's environment could not be made: {e}") from e


def photographs(folder: Path = HERE) -> list[Path]:
    """JPEGs of 640 × 427 pixels."""
    return sorted((folder / "photographs").glob("*/*.jpg"))


def digits(folder: Path) -> None:
    """scikit-learn's handwritten digits, 64 numbers each, in a small Keras network."""
    import keras
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    import forgo

    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)  # 0 to 16 in the source
    train, rows, train_y, rows_y = train_test_split(x, y, test_size=64, random_state=0, stratify=y)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, train_y, epochs=30, verbose=0)
    print(f"accuracy on {len(rows)} held-out rows: {model.evaluate(rows, rows_y, verbose=0)[1]:.3f}")
    forgo.export(model, folder / "digits.forgo", examples=train, labels=[str(digit) for digit in range(10)])
    model.save(folder / "digits.keras")
    np.savez(folder / "digits.npz", rows=rows, answers=model.predict(rows, verbose=0))


def iris(folder: Path) -> None:
    """Iris, 4 numbers each, by scikit-learn's logistic regression of scaled numbers."""
    import joblib  # type: ignore[import-untyped]
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import forgo

    data = load_iris()
    x = data.data.astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, data.target)
    forgo.export(model, folder / "iris.forgo", examples=x, labels=data.target_names.tolist())
    joblib.dump(model, folder / "iris.joblib")
    np.savez(folder / "iris.npz", rows=x[::3], answers=model.predict_proba(x[::3]))


def table() -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """20 numbers a row, and two classes."""
    from sklearn.datasets import make_classification

    x, y = make_classification(4000, 20, n_informative=12, random_state=0)
    return x.astype(np.float32), y


def trees(folder: Path) -> None:
    """100 trees of depth 6 by XGBoost."""
    import xgboost

    import forgo

    x, y = table()
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1, random_state=0).fit(x, y)
    forgo.export(model, folder / "trees.forgo", examples=x[:500])
    model.save_model(folder / "trees.ubj")
    np.savez(folder / "trees.npz", rows=x[:64], answers=model.predict_proba(x[:64]))


def lightgbm(folder: Path) -> None:
    """As many trees, as deep, by LightGBM."""
    import lightgbm as lgb

    import forgo

    x, y = table()
    model = lgb.LGBMClassifier(n_estimators=100, max_depth=6, num_leaves=64, n_jobs=1, random_state=0, verbose=-1)  # fmt: skip
    model.fit(x, y)
    forgo.export(model, folder / "lightgbm.forgo", examples=x[:500])
    model.booster_.save_model(folder / "lightgbm.txt")
    np.savez(folder / "lightgbm.npz", rows=x[:64], answers=model.predict_proba(x[:64]))


def resnet50(folder: Path) -> None:
    """Keras's ResNet50 with weights at random, on photographs."""
    import keras
    from PIL import Image

    import forgo

    keras.utils.set_random_seed(0)
    network = keras.applications.ResNet50(weights=None, classes=2)
    mean = [103.939, 116.779, 123.68]
    forgo.export(
        network, folder / "resnet50.forgo", examples=folder / "photographs", labels=["china", "flower"],
        accept_accuracy=True, mean=mean, channels="BGR", resize="bilinear-pillow",
    )  # fmt: skip
    pixels = [
        np.asarray(Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
        for path in photographs(folder)
    ]
    given = np.stack(pixels)[..., ::-1] - np.array(mean, np.float32)
    np.savez(folder / "resnet50.npz", answers=network.predict(given, verbose=0))


ROWS: dict[str, Callable[[Path], None]] = {
    "digits": digits,
    "iris": iris,
    "trees": trees,
    "lightgbm": lightgbm,
}
# How the peers prepare pictures, for their environment.
PICTURES = {"resnet50": {"FILTER": "BILINEAR"}, LITE0: {"FILTER": "BICUBIC", "SHORTER": "256"}}


def main(name: str, folder: Path) -> None:
    """Make a model."""
    {**ROWS, "resnet50": resnet50}[name](folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
