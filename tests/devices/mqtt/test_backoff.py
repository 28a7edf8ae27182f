"""Pauses between attempts to reconnect."""

from itertools import islice

from coldframe.devices.mqtt.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(Backoff(first_s=1.0, longest_s=10.0).pauses_s(), 6)) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_pauses_start_again_after_a_success() -> None:
    backoff = Backoff(first_s=0.5, longest_s=10.0)
    pauses_s = backoff.pauses_s()
    next(pauses_s)
    assert next(pauses_s) == 1.0
    assert next(backoff.pauses_s()) == 0.5
