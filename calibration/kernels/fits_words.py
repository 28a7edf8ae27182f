"""Conversion between pixels and the big-endian 16-bit words of FITS data."""

import numpy as np

from coldframe.calibration.kernels.compiling import U16, U32, kernel

TILE = 4096
"""Number of pixels to encode at once, small enough that the sums of their words fit in 32 bits."""


@kernel
def encode_unsigned(pixels: U16, encoded: U16) -> tuple[int, int]:
    """Encode pixels as FITS does (big-endian, BZERO 32768), and add up the words for the checksum.

    Parameters
    ----------
    pixels
        One-dimensional array.
    encoded
        One-dimensional output array: big-endian words in an array of native (little-endian) type.

    Returns
    -------
    even, odd
        Sums of the words at even and at odd positions.
    """
    even = np.uint64(0)
    odd = np.uint64(0)
    paired = pixels.size // 2 * 2
    for start in range(0, paired, TILE):
        stop = min(start + TILE, paired)
        pairs = pixels[start:stop].view(np.uint32)
        written = encoded[start:stop].view(np.uint32)
        tile_even = np.uint32(0)
        tile_odd = np.uint32(0)
        for i in range(pairs.size):
            pair = np.uint32(pairs[i] ^ np.uint32(0x80008000))
            tile_even += pair & np.uint32(0xFFFF)
            tile_odd += pair >> np.uint32(16)
            high = (pair >> np.uint32(8)) & np.uint32(0x00FF00FF)
            low = (pair & np.uint32(0x00FF00FF)) << np.uint32(8)
            written[i] = high | low
        even += np.uint64(tile_even)
        odd += np.uint64(tile_odd)
    if pixels.size % 2:
        last = np.uint16(pixels[pixels.size - 1] ^ 0x8000)
        even += np.uint64(last)
        encoded[pixels.size - 1] = np.uint16((last << 8) | (last >> 8))
    return even, odd  # type: ignore[return-value] # int, once compiled


@kernel
def encode_long_words(words: U32) -> int:
    """Turn 32-bit words into big-endian words, in place; return the sum of the words for the checksum."""
    total = np.uint64(0)
    for i in range(words.size):
        word = words[i]
        total += np.uint64(word)
        outer = (word << np.uint32(24)) | (word >> np.uint32(24))
        inner = ((word & np.uint32(0xFF00)) << np.uint32(8)) | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        words[i] = outer | inner
    return total  # type: ignore[return-value] # int, once compiled


@kernel
def decode_unsigned(encoded: U16, offset: int, pixels: U16) -> int:
    """Decode big-endian 16-bit words into pixels.

    Parameters
    ----------
    encoded
        One-dimensional array of big-endian words that were read as little-endian words.
    offset
        32768 for unsigned data (BZERO 32768), 0 for signed data.
    pixels
        One-dimensional output array.

    Returns
    -------
    int
        At least 32,768 if any word had its sign bit set; otherwise less.
    """
    seen = np.uint16(0)
    flip = np.uint16(offset)
    for i in range(encoded.size):
        word = np.uint16((encoded[i] << 8) | (encoded[i] >> 8))
        seen |= word
        pixels[i] = word ^ flip
    return seen  # type: ignore[return-value] # int, once compiled


@kernel
def decode_words(words: U16, flip: int) -> int:
    """Decode big-endian words in place; otherwise like `decode_unsigned`.

    Parameters
    ----------
    words
        One-dimensional array.
    flip
        32768 to invert the sign bit, 0 to keep it.

    Returns
    -------
    int
        At least 32,768 if any word had its sign bit set; otherwise less.
    """
    seen = np.uint16(0)
    turned = np.uint16(flip)
    for i in range(words.size):
        word = np.uint16((words[i] << 8) | (words[i] >> 8))
        seen |= word
        words[i] = word ^ turned
    return seen  # type: ignore[return-value] # int, once compiled
