"""Late, repeated, foreign and damaged frames do not count, but are saved."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import StrayFrame
from coldframe.devices.errors import DeviceTimeoutError, FrameDamagedError
from coldframe.devices.indi import camera as camera_module
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.pixels.blob_channel import Image, ServerAddress
from coldframe.devices.indi.pixels.frame_identity import CLOCK_TOLERANCE, WHOLE_SECONDS, FrameIdentity
from tests.devices.indi.fake_server import CAMERA, SHAPE, FakeServer, blob, exposure, fits_bytes
from tests.patience import PATIENCE_S

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def noisy(seed: int, date_obs: str = "") -> bytes:
    pixels = np.random.default_rng(seed).integers(400, 600, SHAPE, np.uint16)
    header, data = FrameEncoder().encode(pixels, [Card("DATE-OBS", date_obs)] if date_obs else [])
    return header + bytes(data)


@pytest.fixture
def strays() -> list[StrayFrame]:
    return []


@pytest.fixture
async def watched(server: FakeServer, link: IndiLink, strays: list[StrayFrame]) -> AsyncIterator[IndiCamera]:
    address = ServerAddress("127.0.0.1", server.port)
    camera = IndiCamera(link, CAMERA, address, readout_deadline_s=PATIENCE_S, set_aside=strays.append)
    await camera.connect()
    yield camera
    await camera.close()


def answer_with(server: FakeServer, *contents: str) -> None:
    """Answer each exposure with the next of these."""
    waiting = list(contents)

    async def answer(_values: dict[str, str]) -> None:
        server.send_pixels(waiting.pop(0))
        await asyncio.sleep(0.02)
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = answer


async def shoot(camera: IndiCamera) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return (await camera.expose(FrameKind.BIAS, 0.0)).pixels


async def test_the_bytes_of_a_damaged_frame_are_kept(
    server: FakeServer, watched: IndiCamera, strays: list[StrayFrame]
) -> None:
    cut = fits_bytes()[:2900]
    answer_with(server, blob(cut), blob(cut, size=5760), blob(cut, ".fits.fz"))
    for _ in range(3):
        with pytest.raises(FrameDamagedError):
            await shoot(watched)
    assert [stray.content for stray in strays] == [cut] * 3
    assert ["truncated" in strays[0].reason, "ends after" in strays[1].reason, "format" in strays[2].reason] == [
        True
    ] * 3


async def test_a_repeated_frame_counts_once(server: FakeServer, watched: IndiCamera, strays: list[StrayFrame]) -> None:
    answer_with(server, blob(noisy(1)), blob(noisy(1)), blob(noisy(2)))
    first = await shoot(watched)
    with pytest.raises(FrameDamagedError, match="the same frame again"):
        await shoot(watched)
    assert not np.array_equal(await shoot(watched), first)
    np.testing.assert_array_equal(strays[0].content, first)


async def test_identical_saturated_frames_count(server: FakeServer, watched: IndiCamera) -> None:
    answer_with(server, blob(fits_bytes(65535)), blob(fits_bytes(65535)))
    for _ in range(2):
        assert (await shoot(watched)).min() == 65535


@pytest.mark.usefixtures("time_for_late_frames")
async def test_a_late_frame_is_kept_and_never_counted(
    server: FakeServer, watched: IndiCamera, strays: list[StrayFrame]
) -> None:
    async def never(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"))

    server.answers["CCD_EXPOSURE"] = never
    watched.readout_deadline_s = 0.3
    with pytest.raises(DeviceTimeoutError):
        await shoot(watched)
    server.answers.clear()
    watched.readout_deadline_s = PATIENCE_S
    late = asyncio.get_running_loop().call_later(0.03, server.send_pixels, blob(fits_bytes(111)))
    assert (await shoot(watched))[0, 0] == 500
    assert late.when() < asyncio.get_running_loop().time()
    (stray,) = strays
    assert isinstance(stray.content, np.ndarray)
    assert stray.content[0, 0] == 111


async def test_a_late_frame_is_detected_by_the_learned_offset_of_another_clock(
    server: FakeServer, watched: IndiCamera, strays: list[StrayFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dated(ordered_s: float, begun_s: float) -> str:
        """Have the order `ordered_s` after noon; return the date of `begun_s` after noon on a clock an hour slow."""
        monkeypatch.setattr(camera_module, "utc_now", lambda: NOON + timedelta(seconds=ordered_s))
        moment = NOON - timedelta(hours=1) + timedelta(seconds=begun_s)
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")

    answer_with(server, blob(noisy(1, dated(0.0, 0.1))))
    await shoot(watched)
    # Later than the previous frame, but started before its order.
    answer_with(server, blob(noisy(2, dated(3.5, 0.5))))
    with pytest.raises(FrameDamagedError, match="of a different exposure"):
        await shoot(watched)
    answer_with(server, blob(noisy(3, dated(3.6, 5.1))))
    await shoot(watched)
    assert len(strays) == 1


def image(moment: datetime, seed: int) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 65535, (8, 8), np.uint16)
    return Image(pixels, {"DATE-OBS": moment.replace(tzinfo=None).isoformat()}, 0.0)


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(1.0, 600.0), st.floats(0.0, 0.9)), min_size=2, max_size=12),
    st.floats(0.1, 500.0),
    st.sampled_from([0, 1]),
)
def test_true_frames_pass_for_any_clock_and_late_ones_do_not(
    ahead_s: float, orders: list[tuple[float, float]], late_s: float, cut: int
) -> None:
    identity, ordered_at = FrameIdentity("camera"), NOON
    for number, (gap_s, delay_s) in enumerate(orders):
        ordered_at += timedelta(seconds=gap_s + delay_s)
        begun = ordered_at + timedelta(seconds=ahead_s + delay_s)
        identity.check(image(begun.replace(microsecond=0) if cut else begun, number), ordered_at, ordered_at)
    ordered_at += timedelta(seconds=1000)
    late = ordered_at + timedelta(seconds=ahead_s - late_s) - CLOCK_TOLERANCE - 2 * WHOLE_SECONDS
    with pytest.raises(FrameDamagedError):
        identity.check(image(late, 99), ordered_at, ordered_at)


@pytest.mark.parametrize("moved_s", [-3600, -1.5, 3600])
def test_a_clock_that_is_set_during_the_night_costs_at_most_one_frame(moved_s: float) -> None:
    identity, refused = FrameIdentity("camera"), 0
    for number in range(40):
        ordered_at = NOON + timedelta(seconds=number)
        begun = ordered_at + timedelta(seconds=moved_s if number >= 10 else 0, microseconds=1)
        try:
            identity.check(image(begun, number), ordered_at, ordered_at)
        except FrameDamagedError:
            refused += 1
    assert refused == (1 if moved_s < 0 else 0)
    late = ordered_at + timedelta(seconds=moved_s - 5)
    with pytest.raises(FrameDamagedError, match="different exposure"):
        identity.check(image(late, 99), ordered_at, ordered_at)


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(-1.5, "1.5 s behind"), (-30.0, "30.0 s behind"), (7.0, "2.0 s ahead of"), (3.0, ""), (-0.5, "")],
)
def test_the_offset_of_the_drivers_clock_is_reported_once(ahead_s: float, words: str) -> None:
    """An exposure may start up to 5 s after its command here, so a date within this time is plausible."""
    identity, reported = FrameIdentity("camera"), list[str]()
    for number in range(5):
        ordered_at = NOON + timedelta(seconds=10 * number, microseconds=1)
        begun = ordered_at + timedelta(seconds=ahead_s)
        identity.check(image(begun, number), ordered_at, ordered_at + timedelta(seconds=5))
        reported.append(identity.clock_remark())
    assert words in reported[0]
    assert bool(reported[0]) is bool(words)
    assert not any(reported[1:])
