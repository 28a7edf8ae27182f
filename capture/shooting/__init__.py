"""Sets of frames: how the next exposure is chosen, when a set is complete, and its master.

Start with `set_shooting`, which shoots one set. `set_frames` judges and folds its frames, `frame_count` derives how
many are missing, `set_master` makes the master, and `set_inputs` has the inputs from earlier steps and the results.
`light_leak_retry` and `ambient_darks` shoot one set more than once. `gain_check` and `camera_ladder` shoot a few frames
of their own, to check and to measure the camera.

This room knows neither the order of the night's steps nor twilight. The way of a frame to the disk is in `pipeline`.
"""
