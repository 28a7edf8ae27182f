"""Telemetry and commands over MQTT.

`publisher` publishes a night from its own thread, `listener` waits for the command to start a night, and `remote` is
the watcher's side. `connection` keeps publisher and listener connected; its `outbox` limits the messages that wait for
the broker. All other modules are pure: `topics`, `documents`, `digest` and `following` define the messages (schemas in
docs/mqtt), `commands` decides which commands are valid, and `home_assistant` describes the rig to Home Assistant.
Nothing here can delay a night (docs/decisions/0020).
"""
