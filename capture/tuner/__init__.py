"""Search for the exposure and brightness of a flat.

Start with `tuner.FlatTuner`, which takes the results of test frames and returns decisions. `choice` picks the next
setting from the `evidence` of the tests so far; `target` and `limits` define the wanted signal and the allowed
settings; `panel_curve` and `saturation` derive the panel's response and the camera's saturation level from the tests.

The search is pure: it must not perform I/O or read a clock. `capture.flats.tuning` runs the search on the rig.
"""
