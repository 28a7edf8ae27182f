"""The INDI devices that turn to a position: `wheel` to a filter, and `rotator` to an angle.

Both remember the last commanded position. They count as ready only while they are at this position, and `ensure_ready`
turns them back to it after a restart of the driver or a command from another client.
"""
