"""Memory that the lights of a thread share."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from coldframe.calibration.lights.buffers import LightBuffers, Use


def test_lights_of_a_thread_share_arrays_of_one_shape() -> None:
    buffers = LightBuffers()
    raw = buffers.words(Use.RAW, (3, 4))
    assert buffers.words(Use.RAW, (3, 4)) is raw
    assert not np.shares_memory(buffers.words(Use.CALIBRATED, (3, 4)), raw)
    assert buffers.words(Use.RAW, (4, 3)).shape == (4, 3)


def test_threads_share_no_arrays() -> None:
    buffers = LightBuffers()
    raw = buffers.words(Use.RAW, (3, 4))
    with ThreadPoolExecutor(1) as threads:
        assert not np.shares_memory(threads.submit(buffers.words, Use.RAW, (3, 4)).result(), raw)
