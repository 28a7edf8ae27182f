"""The digest of the bytes of a file."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.lights.content import ContentHash, content_of


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1000, (1 << 20) + 7])
@pytest.mark.parametrize("pieces", [[1], [5, 40], [32, 64, 3], [2880, 1 << 20]], ids=str)
def test_the_digest_does_not_depend_on_the_pieces(size: int, pieces: list[int], tmp_path: Path) -> None:
    content = np.random.default_rng(3).integers(0, 256, size).astype(np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    hashed, start = ContentHash(), 0
    while start < size and len(pieces) * size < 1 << 20:
        piece = pieces[start % len(pieces)]
        hashed.add(content[start : start + piece])
        start += piece
    hashed.add(content[start:])
    assert hashed.text == content_of(tmp_path / "file")


def test_every_byte_and_the_length_matter() -> None:
    whole = np.zeros(100, np.uint8)
    digests = set()
    for place in range(100):
        changed, hashed = whole.copy(), ContentHash()
        changed[place] = 1
        hashed.add(changed)
        digests.add(hashed.text)
    for size in (96, 99, 100):
        hashed = ContentHash()
        hashed.add(whole[:size])
        digests.add(hashed.text)
    assert len(digests) == 103
