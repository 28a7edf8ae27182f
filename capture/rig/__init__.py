"""Bring the rig into the state that a step of the night needs.

Start with `light_path`, which sets the filter, cover and lamp. `manual_light` asks the user to switch a lamp on or off.
`temperature` cools the sensor down, holds its temperature and warms it up. Every run ends with `safe_state`, even after
failures; `safe_state` can also be used without a night. This package does not depend on sets or frames, and measures
pixels only to check whether a manual lamp is on.
"""
