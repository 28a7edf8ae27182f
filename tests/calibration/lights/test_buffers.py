"""Memory that the lights of a thread share."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from coldframe.calibration.lights.buffers import LightBuffers


def test_lights_of_a_thread_share_an_array_of_one_shape() -> None:
    buffers = LightBuffers()
    words = buffers.words((3, 4))
    assert buffers.words((3, 4)) is words
    assert buffers.words((4, 3)).shape == (4, 3)


def test_threads_share_no_arrays() -> None:
    buffers = LightBuffers()
    words = buffers.words((3, 4))
    with ThreadPoolExecutor(1) as threads:
        assert not np.shares_memory(threads.submit(buffers.words, (3, 4)).result(), words)
