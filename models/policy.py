"""Who is shown whose lists, decided by hashes: the same words give the same decision in every process, for ever."""

from hashlib import blake2b


def fraction(*words: str) -> float:
    """A number in [0, 1) that these words stand for; over many words it is spread evenly."""
    digest = blake2b("\0".join(words).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)  # the 53 bits that a float holds
