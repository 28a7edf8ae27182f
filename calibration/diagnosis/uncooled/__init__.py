"""The choice of a dark for lights without cooling, checked by their hot pixels.

Start with `dark_choice`. The headers propose a dark; the hot pixels decide, because the temperature in a header is that
of the camera's body or missing. Nothing here applies to cooled cameras.
"""
