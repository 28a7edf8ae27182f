"""Lights on an MQTT broker, as flat panels.

Start with `panel`, which implements `FlatPanel`: it sends commands and waits for the light to confirm them. `dialects`
translates commands and states for each family of lights, and `session` keeps the panel connected to its broker. Only
`client` uses the MQTT library; telemetry and the simulated lights also connect with `client`. Nothing here depends on a
night or its events.
"""
