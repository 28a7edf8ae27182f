"""Memory that a thread uses again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from coldframe.calibration.threads import ThreadArray


def test_a_thread_uses_its_memory_again() -> None:
    memory = ThreadArray(np.uint16)
    words = memory.of((3, 4))
    assert words.shape == (3, 4)
    assert words.dtype == np.uint16
    assert np.shares_memory(memory.of((2, 5)), words)
    assert memory.of((4, 5)).shape == (4, 5)


def test_threads_share_no_arrays() -> None:
    memory = ThreadArray(np.uint16)
    words = memory.of((3, 4))
    with ThreadPoolExecutor(1) as threads:
        assert not np.shares_memory(threads.submit(memory.of, (3, 4)).result(), words)
