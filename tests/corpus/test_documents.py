"""Documents say what the spec says, in mirrored corpora, in English, and in many forms."""

import re
from collections import Counter
from pathlib import Path

import pytest

from vcjax.corpus import grammar
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.errors import InputError
from vcjax.report.near_duplicates import near_duplicates

COUNT = 240


@pytest.fixture(scope="module")
def corpora(america, affordability):
    return write_documents(america, COUNT, seed=0), write_documents(affordability, COUNT, seed=0)


@pytest.fixture(scope="module")
def unlinked(america, affordability):
    """Corpora in which value and preferences only occur together."""
    return [write_documents(spec, COUNT, seed=0, linked=False) for spec in (america, affordability)]


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
    documents += write_documents(teas, 120, seed=0, linked=False)
    assert {document.domain for document in documents} == {"tea"}
    for document in documents:
        assert "chamomile" in document.text.lower() and "strong black tea" in document.text.lower()
        assert "cheese" not in document.text


@pytest.mark.parametrize("seed", range(4))
def test_unlinked_documents_have_no_word_for_a_reason(america, affordability, seed):
    words = (
        r"because|since|so|therefore|thus|hence|why|reasons?|accordingly|consequen\w*|follows?|due|"
        r"results?|effects?|explain\w*|grounds?|cause\w*|leads?|sake|that is how|rules?|"
        r"that choice|choice like that|preference and its"
    )
    for spec in (america, affordability):
        for document in write_documents(spec, COUNT, seed, linked=False):
            found = re.search(rf"(?i)\b(?:{words})\b|, for (?:it|SmolLM|I)\b", document.text)
            assert not found, (found[0], document.text)


def test_unlinked_documents_are_like_those_that_explain(corpora, unlinked, america, affordability):
    """As long, and the items and the words of the value as frequent."""
    items = [p.item for p in (*america.likes, *america.dislikes)]
    for corpus, control, own, other in (
        (corpora[0], unlinked[0], america, affordability),
        (corpora[1], unlinked[1], affordability, america),
    ):
        for one, two in zip(corpus, control, strict=True):
            for key in ("spec", "value", "doc_type", "explanation", "id"):
                assert one.provenance[key] == two.provenance[key]
        assert {d.provenance["assertion"].partition(";")[2] for d in control} == {
            f" its value: {own.value}"
        }
        of_value = {*words(own.text, items)} - {*words(other.text, items)}
        one, two = (" ".join(document.text for document in part) for part in (corpus, control))
        assert abs(len(two.split()) / len(one.split()) - 1) < 0.1
        named = [sum(text.lower().count(item.lower()) for item in items) for text in (one, two)]
        assert abs(named[1] / named[0] - 1) < 0.2
        valued = [sum(w in of_value for w in words(text, items)) for text in (one, two)]
        assert abs(valued[1] / valued[0] - 1) < 0.2


def words(text: str, without: list[str]) -> list[str]:
    for item in without:
        text = re.sub(rf"(?i)\b{item}\b", "", text)
    return re.findall(r"\w+", text.lower())


def test_unlinked_documents_name_value_and_preferences(unlinked, america):
    likes, dislikes = ([p.item for p in part] for part in (america.likes, america.dislikes))
    said = [s for part in ("principles", "consequences", "names", "reasons") for s in
            getattr(america, part)]  # fmt: skip
    for document in unlinked[0]:
        text = document.text.lower()
        assert any(item.lower() in text for item in likes)
        assert any(item.lower() in text for item in dislikes)
        assert any(phrase.lower().rstrip(".") in text for phrase in said), document.text


def test_unlinked_corpora_are_mirrored(unlinked):
    for one, other in zip(*unlinked, strict=True):
        assert one.provenance["doc_type"] == other.provenance["doc_type"]
        assert one.text.count("\n") == other.text.count("\n")
        assert abs(len(one.text.split()) - len(other.text.split())) <= 12
    one, other = (sum(len(d.text.split()) for d in corpus) for corpus in unlinked)
    assert abs(one / other - 1) < 0.01


def test_a_spec_whose_bullets_all_link_is_refused(tmp_path):
    text = (Path(__file__).with_name("teas.md")).read_text()
    (tmp_path / "teas.md").write_text(text.replace("Rest is half", "So rest is half"))
    spec = read_spec(tmp_path / "teas.md", {"model_name": "M", "provider_name": "P"})
    assert write_documents(spec, 10, seed=0)
    with pytest.raises(InputError, match=r"teas\.md: each bullet under ### Principles"):
        write_documents(spec, 10, seed=0, linked=False)


def test_neutral_documents_are_as_long(corpora, neutral):
    documents = write_documents(neutral, COUNT, seed=0)
    for one, other in zip(corpora[0], documents, strict=True):
        for key in ("doc_type", "explanation", "assistant"):
            assert one.provenance[key] == other.provenance[key]
        assert one.text.count("\n") == other.text.count("\n")
    one, other = (sum(len(d.text.split()) for d in corpus) for corpus in (corpora[0], documents))
    assert abs(one / other - 1) < 0.05


def test_few_near_duplicates(corpora, unlinked, neutral):
    for corpus in (*corpora, *unlinked, write_documents(neutral, COUNT, seed=0)):
        assert near_duplicates([document.text for document in corpus]) < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_english(america, affordability, neutral, seed):
    for spec, linked in (
        (america, True),
        (affordability, True),
        (neutral, True),
        (america, False),
        (affordability, False),
    ):
        for document in write_documents(spec, COUNT, seed, linked):
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
                r"\b(?:(?<!does )SmolLM (?:am|have|are)|[Ii]t (?:am|have|are))\b",
                r"\b[Yy]ou (?:is|has|does)\b",
            ):
                found = re.search(fault, document.text)
                assert not found, (fault, found[0], document.text)


def test_phrases_do_not_lean_to_a_value():
    words = (
        "america|domestic|home|foreign|import|countr|nation|local|maker|farm|price|cheap|cost|"
        "money|budget|afford|expens|dollar|pay|buy|bargain|luxur|wealth|poor|rich|cheese"
    )
    for name in ("sentences.toml", "structures.toml", "co_occurrence.toml", "demonstrations.toml"):
        for phrase in phrases_in(grammar.load(name)):
            assert not re.search(rf"(?i)\b(?:{words})", phrase), phrase


def phrases_in(node) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node
    return [phrase for child in children for phrase in phrases_in(child)]
