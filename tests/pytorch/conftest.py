"""These run in PyTorch's own environment: see tests/test_pytorch.py."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["*.py"]
