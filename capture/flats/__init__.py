"""Flat tuning on the rig.

Start with `tuning.FlatTuning`: it shoots what `capture.tuner` asks for. `tuning_frames` exposes and measures the test
frames, `light_checks` recognises flicker, a stuck filter wheel and shadows, and `learned` keeps the results from night
to night. Shooting the sets of flats themselves is the task of `capture.shooting`.
"""
