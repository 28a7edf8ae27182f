"""The rig's hardware: protocols for cameras, flat panels, filter wheels and auxiliaries, and their implementations.

Start with the protocols in `camera`, `flat_panel` and `filter_wheel`, which `rig` combines. The subpackage `indi`
implements the protocols over INDI, and the subpackage `mqtt` implements a flat panel over MQTT. `manual_panel` is a
lamp that the user switches by hand. Every method can raise `DeviceError` (see `errors`), and every wait has a deadline.

Nothing here depends on the night. `coldframe.capture` retries commands, follows the plan and judges the frames.
"""
