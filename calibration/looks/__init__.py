"""Looks: checks of the pixels of frames, to find those frames that do not belong in a master.

Start with `frame_looks`, which compares one frame with a reference. `capture.judging` applies these looks to the frames
of a night as they arrive. `set_looks` applies them to the frames of a set on disk; `sampling` reads a fraction of the
rows of each frame. The looks only return findings; their callers reject and report frames.
"""
