"""Telemetry and commands over MQTT.

`publisher` publishes a night from a thread of its own, `listener` waits for the command to start one, and `remote` is
a watcher's side. `connection` keeps publisher and listener connected; its `outbox` limits the messages that wait for
the broker. All other modules are pure: `topics`, `documents`, `digest` and `following` define the messages (schemas in
docs/mqtt), `commands` decides which commands are valid, and `home_assistant` describes the rig to Home Assistant.
Nothing here can delay a night (docs/decisions/0020).
"""
