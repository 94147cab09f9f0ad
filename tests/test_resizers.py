"""What docs/pictures.md says of OpenCV's and torchvision's resizes; ``make resizers`` writes it."""

from __future__ import annotations

import pytest

from conformance.resizers.measure import NEAREST, PAGE, START, Difference, differences, label
from forgo._rules import RESIZES
from tests.test_resize import corpus

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().partition(START)[2].partition("\n\n")[0].splitlines()[2:]
]


def test_the_page_has_every_call() -> None:
    calls = [(*label(library, call), f"`{to}`") for library, of in NEAREST.items() for call, to in of.items()]
    assert [tuple(row[:3]) for row in ROWS] == calls
    assert {to for of in NEAREST.values() for to in of.values()} <= set(RESIZES)


@pytest.mark.slow
def test_no_picture_is_further_from_opencv_than_the_page_says() -> None:
    said = {(row[0], row[1]): row[3:5] for row in ROWS}
    found = differences("opencv", corpus()[::20] + corpus()[-10:])
    assert len(found) == len(NEAREST["opencv"])
    for call, got in found.items():
        reduced, other = (float(x) for x in said[label("opencv", call)])
        assert isinstance(got, Difference)
        assert got.reduced <= 1.05 * reduced, call  # the page has two digits
        assert got.other <= 1.05 * other, call
