"""How fuzzers damage valid input."""

from hypothesis import strategies as st

# Lengths, sizes and counts at the ends of their ranges, in both byte orders.
_INTERESTING = [
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFF)),
    *(value.to_bytes(4, order) for value in (0, 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)
      for order in ("big", "little")),
    *(value.to_bytes(2, order) for value in (0, 1, 255, 2**15, 2**16 - 1) for order in ("big", "little")),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seeds: dict[str, bytes], header: int = 300) -> bytes:
    """One of the seeds with a few bytes replaced, removed, repeated, or taken from another seed.

    Half of the changes are in the first `header` bytes, where the trouble is.
    """
    data = bytearray(seeds[draw(st.sampled_from(sorted(seeds)))])
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        end = draw(st.sampled_from([min(len(data), header), len(data)]))
        start = draw(st.integers(0, end - 1))
        kind = draw(st.sampled_from(["byte", "number", "cut", "remove", "repeat", "splice"]))
        if kind == "byte":
            data[start] = draw(st.integers(0, 255))
        elif kind == "number":
            number = draw(st.sampled_from(_INTERESTING))
            data[start : start + len(number)] = number
        elif kind == "cut":
            del data[max(start, 8) :]
        else:
            length = draw(st.integers(1, 64))
            if kind == "remove":
                del data[start : start + length]
            elif kind == "repeat":
                data[start:start] = data[start : start + length] * draw(st.integers(1, 50))
            else:
                other = seeds[draw(st.sampled_from(sorted(seeds)))]
                place = draw(st.integers(0, len(other)))
                data[start : start + length] = other[place : place + length]
    return bytes(data)
