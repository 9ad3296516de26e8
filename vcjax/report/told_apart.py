"""How well the documents of two arms can be told apart by other words than those of their specs.

Corpora are to differ in what their specs say alone. Where other words tell them apart, a model may
have learned from those.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, sparse, special, stats

from vcjax import config as configs
from vcjax.probes.words import Phrase
from vcjax.report import design
from vcjax.report.corpora import Corpus, phrases, spread

OF_EACH = 500  # documents of each side
FOLDS = 5
STEPS, CLOSE = 50, 1e-4  # of Newton's method: at most so many, until scores change less
TELLING = 8  # words that are named at most
SLIGHT = 1e-3  # a smaller weight tells nothing


def table(corpora: Mapping[str, Corpus], config: dict, values: Iterable[str] = ()) -> pd.DataFrame:
    """One row a pair of arms that both have documents, other ones than the other: `design.pairs`,
    and the two of every other contrast whose documents no pair before it has.

    Args:
      values: the names of the values that the probes ask for.

    Returns:
      Columns plus, minus (arms), documents (compared of each), masked (how many words), auc, low,
      high (its 95 % interval), telling (the words of most weight).
    """
    # Several pairs differ in the same documents, as with demonstrations and without.
    values = {config["toward"], *values}
    compare = functools.cache(lambda one, other: _compared(one, other, corpora, config, values))
    pairs, seen = design.pairs(config), set()
    rows = []
    for plus, minus in [*pairs, *(pair for pair in design.of_two(config) if pair not in pairs)]:
        ours, theirs = (_stages(arm, corpora, config) for arm in (plus, minus))
        one = tuple(name for name in ours if name not in theirs)
        other = tuple(name for name in theirs if name not in ours)
        if (plus, minus) not in pairs and frozenset([one, other]) in seen:
            continue
        seen.add(frozenset([one, other]))
        if measured := compare(one, other):
            rows.append({"plus": plus, "minus": minus} | measured)
    return pd.DataFrame(rows)


def _compared(
    plus: Sequence[str],
    minus: Sequence[str],
    corpora: Mapping[str, Corpus],
    config: dict,
    values: set[str],
) -> dict[str, Any]:
    """What `table` says of the documents of these stages; empty where there are too few."""
    one, other = ([corpora[name] for name in stages] for stages in (plus, minus))
    texts, others = ([text for c in side for text in c.words] for side in (one, other))
    count = min(len(texts), len(others), OF_EACH)
    if count < 2 * FOLDS:
        return {}
    masked = _masked(one, other, config, values)
    sizes = {"documents": count, "masked": len(masked)}
    drawn = [one for side in (texts, others) for one in spread([*enumerate(side)], count)]
    # The ceiling undoes what `spread` does to a number, so that the folds are equally large.
    longest = max(len(texts), len(others))
    fold = np.array([math.ceil(number * count / longest) % FOLDS for number, _ in drawn])
    return sizes | _measured([text for _, text in drawn], fold, masked)


def _stages(arm: str, corpora: Mapping[str, Corpus], config: dict) -> list[str]:
    """Those with documents that may be compared."""
    names, _ = configs.chain_of(config, arm)
    return [name for name in names if name in corpora and corpora[name].words]


def _masked(plus: list[Corpus], minus: list[Corpus], config: dict, values: set[str]) -> set[str]:
    """The words that the specs state, and the names of values and assistants."""
    both = [*plus, *minus]
    stated = {statement for corpus in both for _, _, statement in corpus.statements()}
    named = {name for key in ("names", "other_names") for name in config[key].values()}
    records = (record for corpus in both for record in corpus.records)
    named |= {record["provenance"].get("value", "") for record in records}
    return {word for text in stated | named | values for phrase in phrases(text) for word in phrase}


def _measured(documents: list[Phrase], fold: np.ndarray, masked: set[str]) -> dict[str, Any]:
    """Of two corpora, half of the documents each: auc, low, high, telling.

    Logistic regression on which words a document has, with an L2 penalty of 1/2 |w|^2, scores the
    documents of each fold by the others. Documents of one number are in one fold: of mirrored
    corpora they are the same but for the value, and one would give the other's side away.
    """
    has, vocabulary = _bags(documents, masked)
    shared = (has @ has.T).toarray() + 1.0  # words of each two documents, and the intercept
    side = np.repeat([1.0, 0.0], len(documents) // 2)
    scores = np.empty(len(side))
    for number in range(FOLDS):
        here, others = fold == number, fold != number
        weights = _fit(shared[np.ix_(others, others)], side[others])
        scores[here] = shared[np.ix_(here, others)] @ weights
    value, low, high = auc(scores[side == 1], scores[side == 0])
    of_words = np.abs(has.T @ _fit(shared, side))
    heaviest = np.argsort(-of_words, kind="stable")[:TELLING]
    telling = ", ".join(vocabulary[i] for i in heaviest if of_words[i] > SLIGHT)
    return {"auc": value, "low": low, "high": high, "telling": telling}


def _bags(documents: Iterable[Phrase], masked: set[str]) -> tuple[sparse.csr_array, list[str]]:
    """(which words each document has, 0 or 1; the words).

    Words of a single document are left out: they tell nothing of another.
    """
    bags = [{*document} - masked for document in documents]
    counts = Counter(word for bag in bags for word in bag)
    vocabulary = sorted(word for word, count in counts.items() if count > 1)
    column = {word: i for i, word in enumerate(vocabulary)}
    rows = [(i, column[w]) for i, bag in enumerate(bags) for w in sorted(bag) if w in column]
    places = tuple(np.array(rows, int).reshape(-1, 2).T)
    return sparse.csr_array((np.ones(len(rows)), places), (len(bags), len(vocabulary))), vocabulary


def _fit(shared: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The weight of each document: that of a word is their sum over the documents that have it.

    Logistic regression in the form that has an unknown a document and not a word, by Newton's
    method: algorithm 3.1 of Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning".

    shared: [documents, documents], inner products of what is known of them; side: 1 or 0.
    """
    scores = np.zeros(len(side))
    for _ in range(STEPS):
        chance = special.expit(scores)
        curvature = chance * (1 - chance)
        root = np.sqrt(curvature)
        target = curvature * scores + side - chance
        system = np.eye(len(side)) + root[:, None] * shared * root
        weights = target - root * linalg.solve(system, root * (shared @ target), assume_a="pos")
        before, scores = scores, shared @ weights
        if np.abs(scores - before).max() < CLOSE:
            break
    return weights


def auc(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve of two sets of scores, and its 95 % interval.

    The interval is DeLong's (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837), from
    midranks (Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389).
    """
    m, n = len(positive), len(negative)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - stats.rankdata(positive)) / n  # of each positive, the negatives below it
    below = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    value = float(above.mean())
    half = stats.norm.ppf(0.975) * np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    return value, max(0.0, value - half), min(1.0, value + half)
