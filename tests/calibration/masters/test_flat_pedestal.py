from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.masters.flat_pedestal import (
    PROBES,
    DarkMaster,
    PedestalTest,
    PlannedFlat,
    Subtract,
    compare,
)
from coldframe.calibration.stacking.accumulator import Accumulator, pixel_digest
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.config.simulated_rig import SensorModel, load_rig
from coldframe.simulators.sensor import Exposure, Sensor

FLAT = PlannedFlat.of(26000, 20, 0.25)
SHAPE = (96, 128)


def master(
    offset: NDArray[np.float64] | float = 0.0, noise_adu: float = 0.5, level_error_adu: float = 0.1
) -> DarkMaster:
    random = np.random.default_rng(abs(hash((np.asarray(offset).sum(), noise_adu))) % 2**32)
    mean = 500 + offset + noise_adu * random.standard_normal(SHAPE)
    return DarkMaster(mean.astype(np.float32), np.full(SHAPE, noise_adu, np.float32), level_error_adu)


def verdict_of(offset: NDArray[np.float64] | float, **known: float) -> tuple[Subtract, str]:
    verdict = compare(master(), master(offset, **known), FLAT)
    return verdict.subtract, verdict.reason


def test_equal_masters_need_no_dark_flats() -> None:
    verdict = compare(master(), master(0.3), FLAT)
    assert verdict.subtract is Subtract.BIAS
    assert verdict.level_adu == pytest.approx(0.3, abs=0.05)
    assert "is sufficient" in verdict.reason


def along(axis: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.broadcast_to(np.expand_dims(values, 1 - axis), SHAPE).astype(np.float64)


RANDOM = np.random.default_rng(3)
DIFFERENCES: dict[str, NDArray[np.float64] | float] = {
    "level": 40.0,
    "gradient": along(0, np.linspace(-40, 40, SHAPE[0])),
    "rows": along(0, 10 * RANDOM.standard_normal(SHAPE[0])),
    "columns": along(1, 10 * RANDOM.standard_normal(SHAPE[1])),
    "pixels": 30 * RANDOM.standard_normal(SHAPE),
    "hot pixels": np.where(RANDOM.uniform(size=SHAPE) < 0.0015, 3000.0, 0.0),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_each_kind_of_difference_is_detected_and_named(kind: str) -> None:
    subtract, reason = verdict_of(DIFFERENCES[kind])
    assert subtract is Subtract.DARK_FLAT
    assert kind.split(maxsplit=1)[0] in reason


@pytest.mark.parametrize("kind", [kind for kind in DIFFERENCES if kind != "hot pixels"])
def test_an_insignificant_difference_is_ignored(kind: str) -> None:
    assert verdict_of(DIFFERENCES[kind] / 20)[0] is Subtract.BIAS


def test_an_uncertain_level_counts_as_bad() -> None:
    assert verdict_of(0.0, level_error_adu=12.0)[0] is Subtract.DARK_FLAT


def test_noise_of_the_comparison_does_not_count_as_a_difference() -> None:
    noisy = compare(master(noise_adu=8.0), master(0.1, noise_adu=8.0), FLAT)
    assert noisy.pixel_error < 0.3 * 8 * np.sqrt(2) / FLAT.signal_adu


@given(factor=st.floats(0.05, 20))
def test_the_verdict_does_not_depend_on_the_unit(factor: float) -> None:
    bias, dark_flat = master(), master(DIFFERENCES["rows"])

    def scaled(dark: DarkMaster) -> DarkMaster:
        unit = np.float32(factor)
        return DarkMaster(dark.mean * unit, dark.uncertainty * unit, dark.level_error_adu * factor)

    plain = compare(bias, dark_flat, FLAT)
    other = compare(scaled(bias), scaled(dark_flat), replace(FLAT, signal_adu=FLAT.signal_adu * factor))
    assert other.subtract is plain.subtract
    assert other.row_error == pytest.approx(plain.row_error, rel=1e-3)


def test_masters_of_different_size_are_refused() -> None:
    small = DarkMaster(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32), 0.0)
    with pytest.raises(ValueError, match="shape"):
        compare(small, master(), FLAT)


def test_the_numbers_go_into_the_header() -> None:
    cards = {card.keyword: card.value for card in compare(master(), master(40.0), FLAT).cards}
    assert cards["CFPEDEST"] == "dark-flat"
    assert cards["CFPEDLVL"] == pytest.approx(40, abs=0.1)
    assert cards["CFPEDERL"] == pytest.approx(40 / 26000, rel=0.05)


def shot(sensor: Sensor, first: int, count: int, exposure_s: float) -> Iterator[NDArray[np.uint16]]:
    model = sensor.model
    for number in range(first, first + count):
        yield sensor.render(
            Exposure(
                number=number,
                exposure_s=exposure_s,
                sensor_c=model.dark_reference_c,
                gain=model.gain.default if model.gain else 0,
                offset=model.offset.default if model.offset else 0,
            )
        )


def combined(frames: list[NDArray[np.uint16]]) -> DarkMaster:
    height, width = frames[0].shape
    accumulator = Accumulator((height, width), len(frames))
    for frame in frames:
        accumulator.add(frame, pixel_digest(frame))
    stack = accumulator.combine(Clipping(), lambda places: (frame.reshape(-1)[places] for frame in frames))
    levels = [float(np.median(frame)) for frame in frames]
    return DarkMaster(stack.mean, stack.uncertainty, float(np.std(levels)) / (len(levels) - 1) ** 0.5)


def decided(model: SensorModel, seed: int) -> Subtract:
    sensor = Sensor(model, seed)
    gain = model.gain.default if model.gain else 0
    bias = combined(list(shot(sensor, 1, 30, 0.0001)))
    dark_flats = combined(list(shot(sensor, 100, PROBES, 1.0)))
    flat = PlannedFlat.of(0.4 * model.saturation_adu, 20, sensor.e_per_adu(gain) / model.file_scale)
    return PedestalTest(bias, flat).verdict(dark_flats).subtract


def cameras(seed: int) -> Iterator[tuple[str, SensorModel, Subtract]]:
    """Yield cameras, with the kind of master that their flats need."""
    size = {"width": 160, "height": 120}
    pedestal_adu = float(np.exp(np.random.default_rng(seed).uniform(np.log(130), np.log(3000))))
    cmos = load_rig("cooled-mono").sensor.model_copy(update=size)
    yield "CMOS with a pedestal", cmos.model_copy(update={"short_exposure_adu": pedestal_adu}), Subtract.DARK_FLAT
    yield "CMOS with a trace of it", cmos.model_copy(update={"short_exposure_adu": pedestal_adu / 100}), Subtract.BIAS
    yield "clean CCD", load_rig("ccd-overscan").sensor.model_copy(update=size), Subtract.BIAS


def errors(seeds: range) -> list[str]:
    cases = ((seed, *case) for seed in seeds for case in cameras(seed))
    return [f"{name}, seed {seed}" for seed, name, model, truth in cases if decided(model, seed) is not truth]


def test_the_decision_is_right() -> None:
    assert errors(range(12)) == []


@pytest.mark.deep
def test_the_decision_is_right_over_500_seeds() -> None:
    wrong = errors(range(1000, 1500))
    assert len(wrong) <= 3, wrong  # 0.2 % of 1,500 decisions
