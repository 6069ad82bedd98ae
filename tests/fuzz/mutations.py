"""How fuzzers damage valid input."""

from collections.abc import Mapping
from random import Random

from hypothesis import strategies as st

# Lengths, sizes and counts at the ends of their ranges, in both byte orders.
_INTERESTING = [
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFF)),
    *(value.to_bytes(4, order) for value in (0, 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)
      for order in ("big", "little")),
    *(value.to_bytes(2, order) for value in (0, 1, 255, 2**15, 2**16 - 1) for order in ("big", "little")),
]  # fmt: skip


def mutate(random: Random, seeds: Mapping[str, bytes], header: int = 300) -> bytes:
    """Return one of the seeds with a few bytes replaced, removed, repeated, or taken from another seed.

    Half of the changes are in the first `header` bytes, where most can go wrong.
    """
    names = sorted(seeds)
    data = bytearray(seeds[random.choice(names)])
    for _ in range(random.randint(1, 6)):
        if not data:
            break
        end = random.choice([min(len(data), header), len(data)])
        start = random.randrange(end)
        kind = random.choice(["byte", "number", "cut", "remove", "repeat", "splice"])
        if kind == "byte":
            data[start] = random.randrange(256)
        elif kind == "number":
            number = random.choice(_INTERESTING)
            data[start : start + len(number)] = number
        elif kind == "cut":
            del data[max(start, 8) :]
        else:
            length = random.randint(1, 64)
            if kind == "remove":
                del data[start : start + length]
            elif kind == "repeat":
                data[start:start] = data[start : start + length] * random.randint(1, 50)
            else:
                other = seeds[random.choice(names)]
                place = random.randint(0, len(other))
                data[start : start + length] = other[place : place + length]
    return bytes(data)


def mutated(seeds: Mapping[str, bytes], header: int = 300) -> st.SearchStrategy[bytes]:
    """Draw what `mutate` returns."""
    return st.integers(0, 2**63).map(lambda seed: mutate(Random(seed), seeds, header))
