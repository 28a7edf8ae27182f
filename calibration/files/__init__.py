"""FITS files and durable writing.

Start with `frame_file.py` for frames of this program, `image_file.py` for images of any program. `cards.py` converts
header cards, `keywords.py` composes the headers of frames, `naming.py` file names, and `durable.py` writes files that
survive a power cut. This room must not know how pixels are combined.
"""
