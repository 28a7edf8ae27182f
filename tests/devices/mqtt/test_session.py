"""The persistent connection to a real broker, with reconnecting, passwords, TLS and certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.errors import DeviceError, SettingRefusedError
from coldframe.devices.mqtt.session import MqttSession
from tests.mosquitto import Mosquitto, broker_with_access, needs_mosquitto
from tests.patience import PATIENCE_S, until

pytestmark = needs_mosquitto


def settings(broker: Mosquitto, **more: Any) -> BrokerSettings:
    return BrokerSettings(port=broker.port, **more)


def opened(broker_settings: BrokerSettings, answer_s: float = PATIENCE_S) -> MqttSession:
    return MqttSession(broker_settings, ("wled/panel/#",), lambda _: None, answer_s=answer_s)


async def fault_of(session: MqttSession) -> str:
    """Wait for a failed attempt, and return the error text of `wait_connected`."""
    await until(lambda: session.fault)
    with pytest.raises(DeviceError) as raised:
        await session.wait_connected(0.0)
    return str(raised.value)


async def test_missing_broker_is_named_with_its_address(tmp_path: Path) -> None:
    absent = Mosquitto(tmp_path)
    async with opened(settings(absent)) as session:
        fault = await fault_of(session)
    assert f"127.0.0.1:{absent.port}: no connection" in fault
    assert "refused" in fault


async def test_broker_that_never_answers_is_given_up_and_reconnected_to_later(broker: Mosquitto) -> None:
    async def accept_silently(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    broker.kill()
    silent = await asyncio.start_server(accept_silently, "127.0.0.1", broker.port)
    async with opened(settings(broker), answer_s=0.5) as session:
        assert "timed out" in await fault_of(session)
        silent.close()
        broker.start()
        await session.wait_connected(PATIENCE_S)


async def test_refused_command_is_named_with_its_topic_and_ends_no_connection(tmp_path: Path) -> None:
    with broker_with_access(tmp_path, "topic read wled/panel/#", "topic write wled/panel/api") as broker:
        async with opened(settings(broker)) as session:
            await session.wait_connected(PATIENCE_S)
            with pytest.raises(
                SettingRefusedError, match=r"refuses commands on wled/panel \(this user is not authorized"
            ):
                await session.publish("wled/panel", "255")
            await session.publish("wled/panel/api", "{}")
            assert session.generation == 1


async def test_restarted_broker_is_reconnected_to(broker: Mosquitto) -> None:
    async with opened(settings(broker)) as session:
        await session.wait_connected(PATIENCE_S)
        assert session.generation == 1
        broker.kill()
        await until(lambda: not session.is_connected)
        broker.start()
        await session.wait_connected(PATIENCE_S)
        assert session.generation == 2


async def test_corrected_password_is_used_for_the_next_attempt(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    making = await asyncio.create_subprocess_exec("mosquitto_passwd", "-c", "-b", str(passwords), "dome", "secret")
    assert await making.wait() == 0
    secret = tmp_path / "secret"
    secret.write_text("wrong\n", encoding="utf-8")
    rules = ("allow_anonymous false", f"password_file {passwords}")
    async with (
        Mosquitto(tmp_path, *rules) as broker,
        opened(settings(broker, user="dome", password_file=secret)) as session,
    ):
        assert "not authorized" in await fault_of(session)
        secret.write_text("secret\n", encoding="utf-8")
        await session.wait_connected(PATIENCE_S)


async def test_unreadable_password_file_is_a_device_error(broker: Mosquitto) -> None:
    """This lets `coldframe safe` continue with the other devices."""
    async with opened(settings(broker, user="dome", password_file=Path("/nowhere/password"))) as session:
        assert "cannot be read: No such file" in await fault_of(session)


async def made_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    making = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await making.wait() == 0
    return certificate, key


@asynccontextmanager
async def broker_with_tls(folder: Path, *rules: str) -> AsyncIterator[tuple[Mosquitto, Path]]:
    """Start a broker with TLS; yield it with its certificate."""
    certificate, key = await made_certificate(folder, "broker")
    lines = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", *rules)
    async with Mosquitto(folder, *lines) as broker:
        yield broker, certificate


# aiomqtt leaves a socket whose handshake failed to the garbage collector, which closes it at once.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_verifies_the_certificate_of_the_broker(tmp_path: Path) -> None:
    async with broker_with_tls(tmp_path) as (broker, certificate):
        async with opened(settings(broker, tls=True)) as session:
            assert "certificate" in (await fault_of(session)).lower()
        async with opened(settings(broker, tls=True, ca_file=certificate)) as session:
            await session.wait_connected(PATIENCE_S)


async def test_client_certificate_authenticates_to_the_broker(tmp_path: Path) -> None:
    own_certificate, own_key = await made_certificate(tmp_path, "dome")
    rules = (f"cafile {own_certificate}", "require_certificate true")
    async with broker_with_tls(tmp_path, *rules) as (broker, certificate):
        anonymous = settings(broker, tls=True, ca_file=certificate)
        # With TLS 1.3 the broker checks the client's certificate after the handshake, and then hangs up.
        async with opened(anonymous, answer_s=1.0) as session:
            assert "no connection" in await fault_of(session)
        dome = anonymous.model_copy(update={"client_certificate": own_certificate, "client_key": own_key})
        async with opened(dome) as session:
            await session.wait_connected(PATIENCE_S)
