"""Telemetry and commands over MQTT.

`publisher` publishes a night from a separate thread, `listener` waits for the command that starts a night, and `remote`
receives a night for a watcher. `connection` keeps the publisher and the listener connected, and `outbox` limits the
number of messages that are waiting for the broker. The pure modules `topics`, `documents`, `digest` and `following`
define the messages (schemas in docs/mqtt). `commands` decides which commands are valid, and `home_assistant` describes
the rig to Home Assistant. None of these modules can delay a night (docs/decisions/0020).
"""
