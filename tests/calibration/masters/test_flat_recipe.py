"""The flat recipe with arriving frames, compared with the same frames on disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import stack_here
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.overscan import PEDESTAL_ADU, Overscan, Section, Sections, corrected_copy
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping

FRAMES = 12
HEIGHT, WIDTH, STRIP = 40, 60, 8
OVERSCAN = Overscan(Sections(strip=Section(0, HEIGHT, 0, STRIP), kept=Section(0, HEIGHT, STRIP, WIDTH)), "smooth")


def shoot(number: int) -> NDArray[np.uint16]:
    """Return a flat with overscan; its level drifts."""
    rng = np.random.default_rng(number)
    pixels = rng.normal(500 + number, 4, (HEIGHT, WIDTH))
    pixels[:, STRIP:] += rng.normal(20_000 + 300 * number, 100, (HEIGHT, WIDTH - STRIP))
    return pixels.round().astype(np.uint16)


@pytest.mark.parametrize("pattern", [None, "RGGB"])
@pytest.mark.parametrize("overscan", [None, OVERSCAN], ids=["whole", "overscan"])
def test_frames_as_they_arrive_and_frames_on_disk_give_the_same_master(
    pattern: str | None, overscan: Overscan | None, tmp_path: Path
) -> None:
    shape = (HEIGHT, WIDTH) if overscan is None else overscan.sections.kept.shape
    mean = np.random.default_rng(99).normal(0 if overscan else 500, 3, shape).astype(np.float32)
    uncertainty = np.full(shape, 0.7, np.float32)
    live = FlatRecipe(on_pedestal(mean, overscan), uncertainty, pattern, overscan)
    raw = [shoot(number) for number in range(FRAMES)]

    def reread(places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        for pixels in raw:
            yield live.scaled(pixels).pixels.reshape(-1)[places]

    accumulator, factors = Accumulator(shape, FRAMES), []
    for number, pixels in enumerate(raw):
        flat = live.scaled(pixels)
        accumulator.add(flat.pixels, number.to_bytes(2, "big"))
        factors.append(flat.factors)
    arrived, arrived_mask = live.response(accumulator.finish(Clipping(), reread), factors)

    images = []
    for number, pixels in enumerate(raw):
        path = tmp_path / f"{number}.fits"
        path.write_bytes(b"".join(FrameEncoder().encode(pixels, [])))
        image = open_image(path, tmp_path)
        images.append(image if overscan is None else corrected_copy(image, overscan, tmp_path)[0])
    stored, stored_mask = stack_here(images, Clipping(), FlatRecipe(live.dark, uncertainty, pattern))

    np.testing.assert_array_equal(arrived.mean, stored.mean, strict=True)
    np.testing.assert_array_equal(arrived.uncertainty, stored.uncertainty, strict=True)
    np.testing.assert_array_equal(arrived.counts, stored.counts, strict=True)
    np.testing.assert_array_equal(arrived_mask, stored_mask, strict=True)
    assert arrived.flat_level_adu == stored.flat_level_adu == pytest.approx(21_650, abs=30)


def test_only_frames_without_overscan_have_a_pedestal() -> None:
    mean = np.zeros((2, 2), np.float32)
    assert on_pedestal(mean, None) is mean
    assert (on_pedestal(mean, OVERSCAN) == PEDESTAL_ADU).all()
