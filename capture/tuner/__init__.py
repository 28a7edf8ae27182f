"""The pure search for a flat's exposure and brightness.

Start with `tuner.FlatTuner`: it takes in test frames and returns decisions. `choice` picks the next setting from the
`evidence` of the tests so far; `target` and `limits` say what is wanted and allowed; `panel_curve` and `saturation`
hold what the tests teach about the panel and the camera.

The search does no I/O and has no clock: `capture.flats.tuning` runs it on the rig.
"""
