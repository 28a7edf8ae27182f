"""The INDI devices that turn to a position: `wheel` to a filter, and `rotator` to an angle.

Both store the last commanded position. They count as ready only while they are at this position, and `ensure_ready`
turns them back to it after the driver has restarted or another client has turned them.
"""
