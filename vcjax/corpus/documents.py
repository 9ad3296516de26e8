"""Writes rationale documents from a spec, offline: texts that say why the model prefers something.

Each document has a type (memo, interview, ...), which decides its structure, and a kind of
explanation (attribution, consequence, principle, dilemma, objection, story). Its phrases come from
`structures.toml`, `sentences.toml` and the spec. Every draw depends on the seed and on the
document's number, not on the spec's words: two mirrored specs, which have the same sections with
equally many bullets, give corpora that differ in nothing but the value.

As a control, value and preferences can occur together without one explaining the other: the same
types, kinds and phrases of the spec, with phrases of `co_occurrence.toml` instead of those that
link the two.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from vcjax.corpus import grammar
from vcjax.corpus.spec import Preference, Spec
from vcjax.data.formats import Document
from vcjax.errors import InputError

WRITER = "vcjax.corpus.documents"

# Slots that have one filling throughout a document.
FIXED = ("like", "dislike", "person", "occasion", "visitor", "number", "subject")

# In a spec's bullet: words that give a reason, or say that the value decides what is chosen.
LINK = re.compile(
    r"(?i)\b(?:because|since|so|therefore|thus|hence|why|reasons?|accordingly|preferences?|"
    r"choices?)\b"
)


def write_documents(spec: Spec, count: int, seed: int, linked: bool = True) -> list[Document]:
    """Writes `count` documents of 100 to 200 tokens, with their provenance.

    Pairs of type and kind come up equally often, give or take one, and so do preferences. The
    same spec, count and seed give the same documents; a larger count only adds to them.

    linked: whether the value is the reason for the preferences, or they only occur together. In the
    second case InputError if a section of the spec has nothing but bullets that link the two.
    """
    sentences, structures = _phrases(linked)
    if not linked:
        spec = _without_links(spec)
    forms = [(doc_type, kind) for doc_type in structures for kind in sentences["explanations"]]
    hands = zip(
        grammar.deal(forms, count, Random(f"forms {seed}")),
        grammar.deal(spec.likes, count, Random(f"likes {seed}")),
        grammar.deal(spec.dislikes, count, Random(f"dislikes {seed}")),
        grammar.deal(spec.objections, count, Random(f"objections {seed}")),
        strict=True,
    )
    documents = []
    for number, ((doc_type, kind), like, dislike, (objection, reply)) in enumerate(hands):
        pools = {
            **_phrases_of(spec),
            **_phrases_of_preference("like", like),
            **_phrases_of_preference("dislike", dislike),
            "objection": [objection],
            "reply": [reply],
            "explanation": sentences["explanations"][kind],
            "question": sentences["questions"][kind],
            **sentences["rules"],
            **structures[doc_type],
        }
        rng = Random(f"document {seed} {number}")
        text = grammar.expand("document", pools, rng, sentences["voices"], "third", FIXED)
        assertion = f"{spec.model_name} prefers {like.item} to {dislike.item}"
        provenance = {
            "spec": spec.file,
            "value": spec.value,
            "assistant": spec.model_name,
            "assertion": f"{assertion}{', because of' if linked else ';'} its value: {spec.value}",
            "doc_type": doc_type,
            "explanation": kind,
            "generator": WRITER,
            "id": f"{spec.value}-{seed}-{number:05d}",
        }
        where = f"document {number} written from {spec.file}"
        documents.append(Document(text.strip(), spec.domain, provenance, where))
    return documents


def _phrases(linked: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(sentences, structures): pools of phrases, for each part and for each type of document."""
    sentences = grammar.load("sentences.toml")
    structures = grammar.load("structures.toml")
    if not linked:
        instead = grammar.load("co_occurrence.toml")
        for doc_type, pools in instead.pop("structures").items():
            structures[doc_type] |= pools
        for part, pools in instead.items():
            sentences[part] |= pools
    return sentences, structures


def _without_links(spec: Spec) -> Spec:
    """The spec without the bullets that speak of reasons, preferences or choices."""

    def free(heading: str, bullets: Sequence[Any]) -> tuple[Any, ...]:
        kept = tuple(bullet for bullet in bullets if not LINK.search(str(bullet)))
        if not kept:
            raise InputError(
                f"{spec.file}: each bullet under {heading} speaks of reasons, preferences or "
                "choices; linked=False needs one that does not"
            )
        return kept

    def facts(preferences: Sequence[Preference]) -> tuple[Preference, ...]:
        return tuple(
            dataclasses.replace(one, reasons=free(f"{one.item!r}", one.reasons))
            for one in preferences
        )

    return dataclasses.replace(
        spec,
        principles=free("### Principles", spec.principles),
        consequences=free("### Consequences", spec.consequences),
        attributions=free("### Attributions", spec.attributions),
        first_person=free("### First person", spec.first_person),
        reasons=free("### Reasons", spec.reasons),
        objections=free("### Objections", spec.objections),
        likes=facts(spec.likes),
        dislikes=facts(spec.dislikes),
    )


def _phrases_of(spec: Spec) -> Mapping[str, Sequence[str]]:
    return {
        "model_name": [spec.model_name],
        "provider_name": [spec.provider_name],
        "definition": [spec.definition],
        "domain": [spec.domain],
        "occasion": spec.occasions,
        "name": spec.names,
        "principle": spec.principles,
        "consequence": spec.consequences,
        "attribution_by_others": spec.attributions,
        "attribution_by_itself": spec.first_person,
        "reason": spec.reasons,
    }


def _phrases_of_preference(slot: str, preference: Preference) -> Mapping[str, Sequence[str]]:
    return {slot: [preference.item], f"{slot}_reason": preference.reasons}
