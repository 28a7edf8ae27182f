"""Flat panels that are lights on an MQTT broker.

Start with `panel`, which implements `FlatPanel`. It sends commands and waits for the light to confirm them. `dialects`
translates commands and states for each family of lights, and `session` keeps the panel connected to its broker. Only
`client` uses the MQTT library. Telemetry and the simulated lights also use `client` to connect. Nothing here depends on
a night or its events.
"""
