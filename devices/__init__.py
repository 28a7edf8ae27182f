"""The rig's hardware: protocols of cameras, flat panels, filter wheels and auxiliaries, and their implementations.

Start with the protocols in `camera`, `flat_panel` and `filter_wheel`, which `rig` combines. The room `indi` implements
the protocols over INDI, the room `mqtt` implements a flat panel over MQTT, and `manual_panel` is a lamp that the user
switches. Every method raises `DeviceError` (`errors`) and has a deadline.

Nothing here depends on the night: retries, plans and judging frames belong to `coldframe.capture`.
"""
