"""The frame pipeline: the path of a frame from the camera to its master, for sets and for twilight flats alike.

Start with `frame_pipeline`: frames are judged and kept while the next one is exposed. `exposing_frame` makes one
exposure, `delivered_frames` holds a frame until it is on the disk, `judged_frame` judges it, and `frame_stack` folds
it. `taking_over` feeds in the frames of an earlier run.

Nothing here knows which exposure comes next, or when a set is complete: `shooting` and `twilight` decide that.
"""
