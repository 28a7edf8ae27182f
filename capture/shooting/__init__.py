"""Shoot sets of frames: choose the next exposure, decide when a set is complete, and make its master.

Start with `set_shooting`, which shoots one set. `set_frames` judges and stacks its frames, `frame_count` counts the
frames still to be shot, `set_master` makes the master, and `set_inputs` defines the inputs from earlier steps and the
results. `light_leak_retry` shoots a set again, and `ambient_darks` shoots a set in parts. `gain_check` and
`camera_ladder` shoot additional frames to check and to measure the camera.

This package depends neither on the order of the night's steps nor on twilight. `pipeline` saves frames to disk.
"""
