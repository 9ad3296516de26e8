"""Which statements of the specs are met in which documents."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

import pandas as pd

from vcjax.probes.words import Phrase
from vcjax.report.corpora import Corpus, phrases

MET = 2 / 3  # share of a statement's pairs of neighbouring words that a document which meets it has


def table(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """One row a rationale stage and statement, of all specs that its run's documents are from.

    Returns:
      Columns stage, source, section, statement, own (whether the stage's documents are written from
      this source), documents (how many meet the statement, word for word or nearly), of (how many
      were compared).
    """
    stated = {s: None for corpus in corpora.values() for s in corpus.statements()}  # each once
    grams = {statement: _grams(statement[2]) for statement in stated}
    rows = []
    for name, corpus in corpora.items():
        if not corpus.words:
            continue
        own = {source for source, _, _ in corpus.statements()}
        met = _met(corpus.words, grams)
        rows += [
            {
                "stage": name,
                "source": statement[0],
                "section": statement[1],
                "statement": statement[2],
                "own": statement[0] in own,
                "documents": met[statement],
                "of": len(corpus.words),
            }
            for statement in stated
        ]
    return pd.DataFrame(rows)


def _met(documents: list[Phrase], grams: Mapping[tuple, set]) -> Counter:
    """Statement -> how many documents meet it."""
    having = defaultdict(list)
    for statement, of_statement in grams.items():
        for gram in of_statement:
            having[gram].append(statement)
    met: Counter = Counter()
    for document in documents:
        found = Counter(s for gram in having.keys() & _all_grams(document) for s in having[gram])
        met.update(s for s, count in found.items() if count >= MET * len(grams[s]))
    return met


def _grams(statement: str) -> set:
    """Pairs of neighbouring words; of a single word that word."""
    of = phrases(statement)
    return {pair for phrase in of for pair in pairwise(phrase)} or {
        w for phrase in of for w in phrase
    }


def _all_grams(document: Phrase) -> set:
    return {*pairwise(document)} | {*document}
