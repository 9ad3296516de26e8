"""Near-duplicates among documents: how many have another that says almost the same."""

import re
from collections import Counter
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

GRAM = 5  # words
NEAR = 0.7  # the Jaccard similarity of two sets of word 5-grams above which texts are near
BANDS, ROWS = 25, 5  # of the signature; bands that agree find 99 % of the pairs at exactly NEAR


def near_duplicates(texts: Sequence[str]) -> float:
    """Share of texts that have another with a Jaccard similarity above `NEAR`.

    Pairs are looked for by MinHash and locality-sensitive hashing (Broder 1997, "On the Resemblance
    and Containment of Documents"; Indyk and Motwani 1998, "Approximate Nearest Neighbors"), which
    spares comparing all with all; those found are compared exactly, so what counts as near is near.
    The permutations are seeded: the same texts give the same share.
    """
    counts = Counter(frozenset(_grams(text)) for text in texts)
    sets = list(counts)  # texts with the same grams are near each other without any hashing
    near = {i for i, grams in enumerate(sets) if counts[grams] > 1}
    signature = MinHash(num_perm=BANDS * ROWS, seed=0)
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    for i, grams in enumerate(sets):
        signature.clear()
        signature.update_batch([gram.encode() for gram in grams])
        for j in index.query(signature):
            if not {i, j} <= near and _jaccard(grams, sets[j]) > NEAR:
                near |= {i, j}
        index.insert(i, signature)
    return sum(counts[sets[i]] for i in near) / len(texts)


def _grams(text: str) -> set[str]:
    words = re.findall(r"[\w'-]+", text.lower())
    return {" ".join(words[i : i + GRAM]) for i in range(max(1, len(words) - GRAM + 1))}


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
