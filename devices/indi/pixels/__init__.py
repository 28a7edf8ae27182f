"""The pixels of one INDI camera, over a separate connection.

Start with `blob_channel`, whose thread reads the connection and decodes frames. `blob_stream` finds BLOBs in the bytes,
`frame_identity` checks that a frame belongs to its exposure, and `bayer` aligns a Bayer pattern with the first pixel.
docs/decisions/0003 explains why pixels do not come through pyindi-client.

Nothing here sets a property or starts an exposure.
"""
