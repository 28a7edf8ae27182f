"""The choice of a dark for uncooled lights, checked by means of hot pixels.

Start with `dark_choice`. The headers propose a dark, but the hot pixels decide, because the temperature in a header is
either missing or that of the camera body. Nothing in this package applies to cooled cameras.
"""
