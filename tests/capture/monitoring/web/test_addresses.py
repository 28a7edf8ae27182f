"""The addresses and names under which the page is served and announced."""

import socket

import pytest

from coldframe.capture.monitoring.web.addresses import (
    Address,
    CannotListenError,
    ListenError,
    listening_socket,
    machine_label,
    served_names,
)


@pytest.mark.parametrize("machine", ["pi", "pi.lan.example", "PI.lan.example."])
def test_the_first_label_is_a_name_of_the_machine(machine: str) -> None:
    names = served_names((), machine)
    assert {"localhost", "pi", "pi.local", machine.lower().removesuffix(".")} == names


def test_further_names_are_lowered_and_lose_a_final_dot() -> None:
    assert "telescope.example" in served_names(["Telescope.Example."], "pi")
    with pytest.raises(ListenError, match="without a port"):
        served_names(["telescope:80"], "pi")


def test_an_address_of_all_interfaces_is_announced_as_addresses_that_can_be_entered() -> None:
    urls = Address("0.0.0.0", 8787).urls
    assert urls[0] == f"http://{machine_label()}.local:8787/"
    assert not any("0.0.0.0" in url or "127." in url for url in urls)
    for url in urls[1:]:
        socket.inet_aton(url.removeprefix("http://").removesuffix(":8787/"))


def test_one_address_is_announced_as_it_is() -> None:
    assert Address("::1", 8787).urls == ["http://[::1]:8787/"]
    assert Address.parse("localhost:80").urls == ["http://127.0.0.1:80/"]


def test_loopback_addresses_are_recognised() -> None:
    assert Address("127.0.0.1", 1).is_loopback
    assert Address("::1", 1).is_loopback
    assert not Address("0.0.0.0", 1).is_loopback
    assert not Address("192.168.1.20", 1).is_loopback


def test_a_missing_network_interface_is_named() -> None:
    with pytest.raises(CannotListenError) as caught:
        listening_socket(Address.parse("[fe80::1%eth987]:8787"))
    assert str(caught.value) == "this machine has no network interface eth987"


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotListenError, match="Cannot assign requested address"):
        listening_socket(Address("192.0.2.1", 8787))
