"""Memory that a thread uses again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from coldframe.calibration.memory import ThreadMemory


def test_a_thread_uses_its_memory_again() -> None:
    memory = ThreadMemory()
    words = memory.array((3, 4), np.uint16)
    assert words.shape == (3, 4)
    assert words.dtype == np.uint16
    assert np.shares_memory(memory.array((2, 3), np.float32), words)
    assert memory.array((4, 5), np.float32).shape == (4, 5)


def test_threads_share_no_arrays() -> None:
    memory = ThreadMemory()
    words = memory.array((3, 4), np.uint16)
    with ThreadPoolExecutor(1) as threads:
        assert not np.shares_memory(threads.submit(memory.array, (3, 4), np.uint16).result(), words)
