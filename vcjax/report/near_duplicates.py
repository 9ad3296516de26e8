"""The share of documents that have a near-duplicate in the same corpus."""

import re
from collections import Counter
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

GRAM = 5  # words
NEAR = 0.7  # texts are near-duplicates above this Jaccard similarity of their word 5-grams
BANDS, ROWS = 25, 5  # of the MinHash signature; 99 % of pairs at exactly NEAR agree in a band


def near_duplicates(texts: Sequence[str]) -> float:
    """Share of texts that have another with a Jaccard similarity above `NEAR`.

    MinHash and locality-sensitive hashing give candidate pairs without comparing all with all
    (Broder 1997, "On the Resemblance and Containment of Documents"; Indyk and Motwani 1998,
    "Approximate Nearest Neighbors"); the similarity of a candidate is then computed exactly. The
    permutations are seeded: the same texts give the same share.
    """
    counts = Counter(frozenset(_grams(text)) for text in texts)
    sets = list(counts)  # texts with equal sets of 5-grams need no hashing
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
