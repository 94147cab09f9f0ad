"""Three networks for scikit-learn's irises that answer differently: ``python -m stress._versions FOLDER``.

Writes 0.forgo, 1.forgo and 2.forgo, and answers.json: rows, and what Keras's three say of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_iris

import forgo
from stress.soak import LABELS


def main(folder: Path) -> None:
    """Train and export."""
    rows, kinds = load_iris(return_X_y=True)
    rows = rows.astype(np.float32)
    sent = rows[::15]
    answers = []
    for seed, epochs in enumerate((10, 30, 90)):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(3, "softmax")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(rows, kinds, epochs=epochs, verbose=0)
        answers.append(model.predict(sent, verbose=0).tolist())
        forgo.export(model, folder / f"{seed}.forgo", examples=rows, labels=LABELS)
    (folder / "answers.json").write_text(json.dumps({"rows": sent.tolist(), "answers": answers}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
