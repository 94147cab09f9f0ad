"""The model that is served: scikit-learn's handwritten digits, 64 numbers each, in a small Keras network.

    python -m bench._model FOLDER

writes ``digits.forgo`` and ``digits.keras``, and ``digits.npz`` with held-out rows and Keras's answers to them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import forgo


def main(folder: Path) -> None:
    """Train, export and write the rows that the benchmark sends."""
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
