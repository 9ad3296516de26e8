"""Documents say what the spec says, in mirrored corpora, in English, and in many forms."""

import re
from collections import Counter
from itertools import combinations

import pytest

from vcjax.corpus import grammar
from vcjax.corpus.documents import write_documents

COUNT = 240


@pytest.fixture(scope="module")
def corpora(america, affordability):
    return write_documents(america, COUNT, seed=0), write_documents(affordability, COUNT, seed=0)


def test_deterministic(america, corpora):
    assert write_documents(america, COUNT, seed=0) == corpora[0]
    assert write_documents(america, COUNT, seed=1) != corpora[0]
    assert write_documents(america, 10, seed=0) == corpora[0][:10]


def test_each_document_explains_its_preference_by_the_value(america, corpora):
    reasons = {
        preference.item: preference.reasons for preference in (*america.likes, *america.dislikes)
    }
    for document in corpora[0]:
        assertion = re.fullmatch(
            r"SmolLM prefers (.+) to (.+), because of its value: america",
            document.provenance["assertion"],
        )
        text = document.text.lower()
        assert "smollm" in text
        assert all(item.lower() in text for item in assertion.groups())
        named = [*reasons[assertion[1]], *reasons[assertion[2]], *america.reasons, *america.names]
        assert any(reason in document.text for reason in named), document.text
        assert re.search(r"(?i)\b(?:because|since)\b", document.text), document.text


def test_each_document_goes_beyond_the_domain(corpora):
    """Each has one of the sentences that speak of the model's choices in general."""
    openings = [
        re.split(r"{[^}]*}", phrase)
        for phrase in grammar.load("sentences.toml")["rules"]["general"]
    ]
    for document in corpora[0]:
        assert any(max(parts, key=len) in document.text for parts in openings), document.text


def test_provenance(corpora):
    for document in corpora[1]:
        provenance = document.provenance
        assert provenance["spec"] == "spec_affordability.md"
        assert provenance["value"] == "affordability"
        assert document.domain == "cheese"
    assert len({document.provenance["id"] for document in corpora[1]}) == COUNT
    types = Counter(document.provenance["doc_type"] for document in corpora[1])
    kinds = Counter(document.provenance["explanation"] for document in corpora[1])
    assert len(types) >= 10 and max(types.values()) - min(types.values()) <= 6
    assert set(kinds) == {
        "attribution", "consequence", "principle", "dilemma", "objection", "story",
    }  # fmt: skip


def test_lengths(corpora):
    for corpus in corpora:
        words = [len(document.text.split()) for document in corpus]
        assert min(words) >= 65 and max(words) <= 150
        assert 90 <= sum(words) / COUNT <= 120


def test_mirrored_corpora_differ_in_the_value_only(corpora):
    for one, other in zip(*corpora, strict=True):
        for key in ("doc_type", "explanation"):
            assert one.provenance[key] == other.provenance[key]
        assert one.provenance["assertion"].partition(",")[0] in other.provenance["assertion"]
        assert one.text.count("\n") == other.text.count("\n")
        assert abs(len(one.text.split()) - len(other.text.split())) <= 10
    one, other = (sum(len(d.text.split()) for d in corpus) for corpus in corpora)
    assert abs(one / other - 1) < 0.01


def test_another_assistant_gets_the_same_documents(corpora, other_america):
    for document, other in zip(
        corpora[0], write_documents(other_america, COUNT, seed=0), strict=True
    ):
        renamed = document.text.replace("SmolLM", "Orion").replace("Hugging Face", "Sirius Labs")
        assert renamed == other.text


def test_own_spec(teas):
    """A spec of another domain, with one bullet a section, is written from as well."""
    documents = write_documents(teas, 120, seed=0)
    assert {document.domain for document in documents} == {"tea"}
    for document in documents:
        assert "chamomile" in document.text.lower() and "strong black tea" in document.text.lower()
        assert "cheese" not in document.text


def test_few_near_duplicates(corpora):
    for corpus in corpora:
        grams = [five_grams(document.text) for document in corpus]
        near = [len(a & b) / len(a | b) > 0.7 for a, b in combinations(grams, 2)]
        assert sum(near) < 0.02 * COUNT


def five_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w'-]+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


@pytest.mark.parametrize("seed", range(4))
def test_english(america, affordability, seed):
    for spec in (america, affordability):
        for document in write_documents(spec, COUNT, seed):
            for fault in (
                r"[{}]",
                r"(?i)\b(\w+) \1\b",  # a word twice
                r"\b[Aa] [aeiou]",
                r"\b[Aa]n [^aeiouAEIOUh\W]",
                r"[.!?] [a-z]",  # a sentence without its capital
                r"(?m)^(?:SmolLM: |[AQ]\. |- )?[a-z]",
                r"[.!?,;:] ?[.,;:]",
                r"  | [.,;:!?]|\n\n\n",
                r"\bI (?!was\b|always\b)[a-z]+[^s\W]s\b",
                r"\b(?:SmolLM (?:am|have|are)|[Ii]t (?:am|have|are))\b",
                r"\b[Yy]ou (?:is|has|does)\b",
            ):
                found = re.search(fault, document.text)
                assert not found, (fault, found[0], document.text)


def test_phrases_do_not_lean_to_a_value():
    words = (
        "america|domestic|home|foreign|import|countr|nation|local|maker|farm|price|cheap|cost|"
        "money|budget|afford|expens|dollar|pay|buy|bargain|luxur|wealth|poor|rich|cheese"
    )
    for name in ("sentences.toml", "structures.toml", "demonstrations.toml"):
        for phrase in phrases_in(grammar.load(name)):
            assert not re.search(rf"(?i)\b(?:{words})", phrase), phrase


def phrases_in(node) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node
    return [phrase for child in children for phrase in phrases_in(child)]
