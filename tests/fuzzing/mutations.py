"""Almost valid inputs, which are valid inputs with a few random changes."""

import random
from collections.abc import Iterator, Sequence

NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"-inf", b"4294967296", b"99999999999999999999999", b"2147483647", b"0x10")
LONGEST = 20_000


def mutated(valid: bytes, tokens: Sequence[bytes], chance: random.Random) -> bytes:
    """Return `valid` with one to eight changes."""
    text = bytearray(valid)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        place, length = chance.randint(0, len(text)), chance.choice((1, 1, 2, 4, 16, 80, 2880))
        match chance.randrange(8):
            case 0 if text:
                text[place % len(text)] ^= 1 << chance.randrange(8)
            case 1:
                text[place : place + length] = b""
            case 2:
                text[place:place] = chance.randbytes(length)
            case 3:
                text[place : place + length] = chance.choice(tokens)
            case 4:
                start = chance.randint(0, len(text))
                text[place:place] = text[start : start + length]
            case 5:
                text[place:place] = chance.choice(NUMBERS)
            case 6:
                del text[place:]
            case _:
                start = chance.randint(0, len(text))
                text[place : place + length] = text[start : start + length]
        del text[LONGEST:]
    return bytes(text)


def inputs(seed: int, count: int, valid: Sequence[bytes], tokens: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield numbered inputs. The same seed and number give the same input."""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        yield number, mutated(chance.choice(valid), tokens, chance)


CARD_VALUES = (
    b"0", b"-1", b"1", b"2", b"8", b"16", b"64", b"-32", b"-64", b"3.5", b"1E39", b"1E300", b"1E-300", b"NAN",
    b"99999999", b"2147483648", b"-2147483648", b"99999999999999999999", b"T", b"F", b"", b"'abc'", b"'1QB(9999999)'",
    b"'HCOMPRESS_1'", b"'PLIO_1'", b"'GZIP_2'", b"'NOCOMPRESS'", b"'[1:9999,9:1]'", b"'\x1b[31m\x9b1m\n'",
)  # fmt: skip


def with_odd_cards(valid: bytes, chance: random.Random) -> bytes:
    """Return a FITS file in which one to four cards have a different value, or repeat another card."""
    text = bytearray(valid)
    places = [place for place in range(0, len(text) - 80, 80) if text[place + 8 : place + 10] == b"= "]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place, other = chance.choice(places), chance.choice(places)
        if chance.random() < 0.1:
            text[place : place + 80] = text[other : other + 80]
        else:
            text[place + 10 : place + 80] = chance.choice(CARD_VALUES).rjust(20).ljust(70)
    return bytes(text)


def fits_inputs(seed: int, count: int, valid: Sequence[bytes], tokens: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield numbered FITS files, half of them with odd cards, the others with any changes; see `inputs`."""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        file = chance.choice(valid)
        yield number, with_odd_cards(file, chance) if number % 2 else mutated(file, tokens, chance)


def pieces(text: bytes, chance: random.Random) -> Iterator[bytes]:
    """Split a text into random pieces, as a network does."""
    start = 0
    while start < len(text):
        stop = start + chance.choice((1, 7, 100, 1000, LONGEST))
        yield text[start:stop]
        start = stop
