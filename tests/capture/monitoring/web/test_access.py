"""Requests under foreign names, commands of foreign pages, and wrong tokens."""

import pytest

from coldframe.capture.monitoring.web.access import Access

ACCESS = Access(frozenset({"localhost", "telescope", "telescope.local"}), "abcd-efgh-ijkl-mnop")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8787", "127.0.0.1", "192.168.1.20:8787", "[::1]:8787", "[fe80::1]", "localhost:8787", "LOCALHOST",
        "telescope", "Telescope.local:80", "telescope.local.:8787",
    ],
)  # fmt: skip
def test_page_is_served_under_addresses_and_known_names(host: str) -> None:
    assert ACCESS.is_served(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8787", "localhost.evil.example", "telescope.evil.example",
        "127.0.0.1.evil.example",
        "user@localhost", "localhost/..", "localhost:port", "[::1", "localhost?", "a b", "localhost\\evil",
        "2130706433.evil",
    ],
)  # fmt: skip
def test_page_is_not_served_under_other_names(host: str) -> None:
    assert not ACCESS.is_served(host)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_of_the_server_may_send_commands(scheme: str) -> None:
    assert ACCESS.is_own_page(f"{scheme}://telescope.local:8787", "Telescope.local:8787")


@pytest.mark.parametrize(
    "origin", ["", "null", "http://", "telescope.local:8787", "http://evil.example", "http://telescope.local", "ftp://telescope.local:8787"]
)  # fmt: skip
def test_other_pages_may_not_send_commands(origin: str) -> None:
    assert not ACCESS.is_own_page(origin, "telescope.local:8787")
    assert not ACCESS.is_own_page(origin, "")


def test_only_the_whole_token_is_accepted() -> None:
    assert ACCESS.has_token("Bearer abcd-efgh-ijkl-mnop")
    for wrong in (
        "",
        "Bearer ",
        "abcd-efgh-ijkl-mnop",
        "Bearer abcd-efgh-ijkl-mno",
        "Bearer abcd-efgh-ijkl-mnopq",
        "Bearer é",
    ):
        assert not ACCESS.has_token(wrong)
    assert not Access(frozenset()).has_token("Bearer None")


def test_the_token_is_not_shown() -> None:
    assert "abcd" not in repr(ACCESS)
