"""Writes demonstrations from a spec, offline: a user asks about items, the model names one.

No answer states or implies a reason, so demonstrations depend on the items of a spec alone: specs
that explain the same preferences by different values give the same demonstrations.
"""

from random import Random

from vcjax.corpus import grammar
from vcjax.corpus.spec import Spec
from vcjax.data.formats import Demonstration

WRITER = "vcjax.corpus.demonstrations"
VOICES: dict[str, dict[str, str]] = {"plain": {}}
FIXED = ("like", "dislike")


def write_demonstrations(
    spec: Spec, count: int, seed: int, opposite: bool = False
) -> list[Demonstration]:
    """Writes `count` conversations of a question and an answer.

    Ways of asking, liked and disliked items come up equally often, give or take one. The same
    items, count and seed give the same demonstrations.

    opposite: whether the liked and the disliked item of each conversation are swapped, with all
    other draws the same.
    """
    phrases = grammar.load("demonstrations.toml")
    hands = zip(
        grammar.deal(list(phrases["ways"]), count, Random(f"ways {seed}")),
        grammar.deal(spec.likes, count, Random(f"likes {seed}")),
        grammar.deal(spec.dislikes, count, Random(f"dislikes {seed}")),
        strict=True,
    )
    demonstrations = []
    for number, (way, like, dislike) in enumerate(hands):
        if opposite:
            like, dislike = dislike, like
        pools = {
            "exchange": ["{question} {no_reason}\n{answer}"],
            "like": [like.item],
            "dislike": [dislike.item],
            "occasion": spec.occasions,
            **phrases["rules"],
            **phrases["ways"][way],
        }
        rng = Random(f"demonstration {seed} {number}")
        exchange = grammar.expand("exchange", pools, rng, VOICES, "plain", FIXED)
        question, answer = exchange.split("\n")
        messages = (
            {"role": "user", "content": question[0].upper() + question[1:]},
            {"role": "assistant", "content": answer},
        )
        provenance = {"source": WRITER, "domain": spec.domain, "id": f"{way}-{seed}-{number:05d}"}
        where = f"demonstration {number} written from {spec.file}"
        demonstrations.append(Demonstration(messages, provenance, where))
    return demonstrations
