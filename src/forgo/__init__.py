"""forgo: train with Python, predict with Go.

``forgo.train`` learns from folders of pictures; ``forgo.export`` takes a trained model. Both
write a *bundle*, which the Go half (``forgo predict``, ``forgo serve``, the Go package
``predict``) loads only after it has proven that it answers as the training framework did.
``forgo.load`` runs a bundle through that half, and ``forgo.Client`` calls a server.

Importing this package imports no framework: names are loaded when they are first used. It turns
ONNX Runtime's telemetry off for this process and its children.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime's telemetry sends a device id and run counts to its maker, and keeps a database of them
# in the user's cache. The variable is read when its library is loaded, in this process or a child.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from forgo._client import AsyncClient, Client
    from forgo._errors import BundleError, ExportError, ForgoError, ParityError, PictureError, RequestError
    from forgo._local import Model, load
    from forgo.exporting import export
    from forgo.training import train

__all__ = [
    "AsyncClient",
    "BundleError",
    "Client",
    "ExportError",
    "ForgoError",
    "Model",
    "ParityError",
    "PictureError",
    "RequestError",
    "__version__",
    "export",
    "load",
    "train",
]

_HOMES = {
    "export": "forgo.exporting",
    "train": "forgo.training",
    "load": "forgo._local",
    "Model": "forgo._local",
    "Client": "forgo._client",
    "AsyncClient": "forgo._client",
    "BundleError": "forgo._errors",
    "ExportError": "forgo._errors",
    "ForgoError": "forgo._errors",
    "ParityError": "forgo._errors",
    "PictureError": "forgo._errors",
    "RequestError": "forgo._errors",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("forgo")
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'forgo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
