"""The choice of a dark for uncooled lights, checked by means of hot pixels.

Start with `dark_choice`. The headers propose a dark, but the hot pixels decide, because headers contain no
temperature, or only that of the camera body. Nothing in this package applies to cooled cameras.
"""
