"""Tune flats on the rig.

Start with `tuning.FlatTuning`, which shoots the tests that `capture.tuner` requests. `tuning_frames` exposes and
measures the test frames, `light_checks` detects flicker, a stuck filter wheel and shadows, and `learned` keeps the
results from night to night. `capture.shooting` shoots the sets of flats.
"""
