"""The training loop: batches, progress, early stopping, the best model so far, Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forgo._errors import ForgoError, argument
from forgo.training import _augmentation
from forgo.training._data import Reader
from forgo.training._progress import Ticker


@dataclass
class Fit:
    """The result of a run of the loop."""

    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    """The best epoch, from 1; 0 if none was finished."""
    interrupted: bool = False
    seconds: float = 0.0


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches of a reader's pictures."""

    def __init__(self, reader: Reader, batch_size: int, *, shuffle: int | None = None) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._reader = reader
        self._size = batch_size
        self._random = None if shuffle is None else np.random.default_rng(shuffle)
        self._order = np.arange(len(reader.pictures))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // self._size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        return self._reader(chosen), self._reader.labels[chosen]

    def on_epoch_end(self) -> None:
        if self._random is not None:
            self._random.shuffle(self._order)


def fit(
    classifier: Any, train: Reader, valid: Reader, best: Path, console: Console, *,
    epochs: int, batch_size: int, seed: int, augment: str, learning_rate: float, decay: bool, patience: int,
) -> Fit:  # fmt: skip
    """Train, and save the model of the epoch with the lowest validation loss at ``best``.

    Ctrl-C ends the epoch under way, measures it, and keeps the best; a second one aborts.
    """
    model = _augmentation.wrap(classifier, augment, seed)
    steps = max(1, -(-len(train.pictures) // batch_size)) * epochs
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.02)
            if decay
            else learning_rate
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    result = Fit()
    start = time.monotonic()
    with _Progress(console, epochs) as progress, _StopOnInterrupt(model, result):
        model.fit(
            _Batches(train, batch_size, shuffle=seed),
            validation_data=_Batches(valid, batch_size),
            epochs=epochs,
            verbose=0,
            callbacks=[
                _KeepBest(classifier, best, result),
                keras.callbacks.EarlyStopping("val_loss", patience=patience),
                keras.callbacks.TerminateOnNaN(),
                progress.callback,
            ],
        )
    result.seconds = time.monotonic() - start
    if result.best_epoch == 0:
        if result.interrupted:
            raise KeyboardInterrupt  # before the first epoch ended there is no model to keep
        raise ForgoError(f"the loss is not a number: lower {argument('learning_rate')}")
    return result


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, classifier: Any, best: Path, result: Fit) -> None:
        super().__init__()
        self._classifier = classifier
        self._best = best
        self._result = result
        self._loss = float("inf")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        for name, value in logs.items():
            self._result.history.setdefault(name, []).append(float(value))
        if logs.get("val_loss", float("inf")) < self._loss:
            self._loss = logs["val_loss"]
            self._result.best_epoch = epoch + 1
            self._classifier.save(self._best)


class _StopOnInterrupt:
    """Turns the first Ctrl-C into an orderly end of training, and the second into KeyboardInterrupt."""

    def __init__(self, model: Any, result: Fit) -> None:
        self._model = model
        self._result = result
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._result.interrupted:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a third must not disturb the clean-up
            raise KeyboardInterrupt
        self._result.interrupted = True
        self._model.stop_training = True

    def __exit__(self, *_: object) -> None:
        if self._before is not None and signal.getsignal(signal.SIGINT) == self._stop:
            signal.signal(signal.SIGINT, self._before)


class _Progress:
    """A bar with epoch, loss, accuracy and time left; on a pipe, a line each epoch and every ten seconds."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._ticker = Ticker(console)
        self._epochs = epochs
        self._bar = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=self._batch, on_test_batch_end=self._held_out, on_epoch_end=self._epoch
        )
        self._done = 0
        self._steps: int | None = None
        self._last = ""

    def __enter__(self) -> _Progress:
        self._bar.start()
        self._task = self._bar.add_task("first batch …", total=self._epochs)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _batch(self, batch: int, logs: dict[str, float]) -> None:
        steps = self.callback.params.get("steps") or batch + 1
        if not self._console.is_terminal:
            self._ticker.say(
                f"epoch {self._done + 1}/{self._epochs}  step {batch + 1} of {steps}  "
                f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}"
            )
        self._bar.update(
            self._task,
            completed=round(self._done + min(1, (batch + 1) / steps), 2),
            description=f"epoch {self._done + 1}/{self._epochs}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}{self._last}",
        )

    def _held_out(self, batch: int, logs: dict[str, float]) -> None:
        if not self._console.is_terminal:
            self._ticker.say(f"epoch {self._done + 1}/{self._epochs}  held out: step {batch + 1}")

    def _epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self._done = epoch + 1
        self._last = f"  held out: loss {logs['val_loss']:.3f}  accuracy {logs['val_accuracy']:.3f}"
        if not self._console.is_terminal:
            self._console.print(
                f"epoch {epoch + 1}/{self._epochs}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}{self._last}",
                soft_wrap=True,
            )
