"""Looks at the pixels of frames, which find the frames that do not belong into a master.

Start with `frame_looks`, which compares one frame with a reference. A night uses these looks while its frames arrive
(`capture.judging`); `set_looks` applies them to the frames of a set on disk, of which `sampling` reads a part of the
rows. The looks only find; their callers reject, report and repeat.
"""
