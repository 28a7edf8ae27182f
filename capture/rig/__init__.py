"""Bring the rig into the state that a step of the night needs.

Start with `light_path`: filter, cover and lamp. `manual_light` asks the user to switch a lamp. `temperature` cools the
sensor down, holds it and warms it up. Every run ends with `safe_state`, whatever failed; it works without a night. This
room knows nothing of sets and frames, and measures pixels only to see whether a manual lamp is on.
"""
