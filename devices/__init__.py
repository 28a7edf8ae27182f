"""The rig's hardware: what coldframe needs of a camera, flat panel, filter wheel or auxiliary, and the drivers for it.

Start with the protocols in `camera`, `flat_panel` and `filter_wheel`; `rig` holds them together. The room `indi`
implements them over INDI, the room `mqtt` a flat panel over MQTT, `manual_panel` a lamp that the user switches. Every
method raises `DeviceError` (`errors`) and is bounded by a deadline.

Nothing here knows what a night is: retries, plans and judging frames belong to `coldframe.capture`.
"""
