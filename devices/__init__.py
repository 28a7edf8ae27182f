"""The rig's hardware: protocols for the camera and the other devices, and their implementations.

Start with the protocols in `camera`, `flat_panel` and `filter_wheel`; `rig` combines the devices of one telescope. The
subpackage `indi` implements the protocols over INDI, and the subpackage `mqtt` implements a flat panel over MQTT.
`manual_panel` represents a lamp that the user switches by hand. All methods can raise
`DeviceError`, and every wait has a deadline.

Nothing here depends on a night: `coldframe.capture` follows the plan, retries commands and judges the frames.
"""
