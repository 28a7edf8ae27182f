"""Take each frame from the camera to its master, for sets and for twilight flats.

Start with `frame_pipeline`, which judges and keeps frames while the next frame is exposed. `exposing_frame` takes one
exposure, `delivered_frames` holds a frame until it is on disk, `judged_frame` judges the frame, and `frame_stack` adds
it to the stack. `taking_over` counts the frames of an earlier run.

`shooting` and `twilight` decide which exposure is next and when a set is complete.
"""
