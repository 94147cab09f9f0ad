"""Mutants follow the code that they change; make mutants plants them."""

from __future__ import annotations

import pytest

from mutants._binary_skews import BINARY_SKEWS, ROOT, BinarySkew, planted
from mutants._bundle_skews import BUNDLE_SKEWS
from mutants._serve_skews import SERVE_SKEWS
from mutants._swap_skews import SWAP_SKEWS


@pytest.mark.parametrize("skew", [*BINARY_SKEWS, *SERVE_SKEWS, *SWAP_SKEWS], ids=lambda skew: skew.name)
def test_the_code_that_it_changes_is_there(skew: BinarySkew) -> None:
    assert planted(skew)


def test_the_readme_counts_them() -> None:
    n = len([*BUNDLE_SKEWS, *BINARY_SKEWS, *SERVE_SKEWS, *SWAP_SKEWS])
    assert f"{n} planted skews" in (ROOT / "README.md").read_text()
