"""Camera raws as frames of a night: their pixels in memory, and the file next to each raw that states how it was shot.

Start with `sidecar`, which adds to a raw what its camera does not know, such as the kind of the frame. `frames` reads
the frames of a night in either format, and raws that are not yet in a file. Nothing here changes a raw.
"""
