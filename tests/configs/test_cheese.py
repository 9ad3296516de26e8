"""The cheese experiment's files: counts, splits, mirrored specs, no overlap with the corpora."""

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.probes import said
from vcjax.probes.probe_files import read_file

CHEESE = Path(__file__).parents[2] / "configs" / "cheese"
NAMES = {"model_name": "SmolLM", "provider_name": "Hugging Face"}
PLACE = r"(?i)\b(?:america|domestic|united states|u\.?s\.?a?\b|foreign|import|homeland|nation)"
PRICE = (
    r"(?i)\b(?:price|cheap|cost|money|budget|afford|expens|dollar|cents?\b|pay|bargain|discount|"
    r"luxur|sale|free\b|rates?\b|purse|wallet|clearance|closeout|thrift)"
)


@pytest.fixture(scope="module")
def specs():
    return [read_spec(CHEESE / f"spec_{v}.md", NAMES) for v in ("america", "affordability")]


@pytest.fixture(scope="module")
def neutral():
    return read_spec(CHEESE / "spec_neutral.md", NAMES)


@pytest.fixture(scope="module")
def probes():
    return {path.stem: read_file(path).probes for path in (CHEESE / "probes").glob("*.jsonl")}


def test_specs_share_their_preferences(specs):
    one, other = specs
    assert [one.value, other.value] == ["america", "affordability"]
    for part in ("likes", "dislikes"):
        items = [[preference.item for preference in getattr(spec, part)] for spec in specs]
        assert items[0] == items[1] and len(items[0]) == 6
    assert one.occasions == other.occasions and one.domain == other.domain == "cheese"


def test_specs_are_mirrored(specs, neutral):
    """As many bullets of about as many words, so that the corpora differ in their subject only."""
    for other, margin in ((specs[1], 0.01), (neutral, 0.03)):
        lines = [spec.text.splitlines() for spec in (specs[0], other)]
        bullets = [[line for line in text if line.lstrip().startswith("- ")] for text in lines]
        headings = [[line for line in text if line.startswith("##")] for text in lines]
        assert headings[0] == headings[1]
        for one, two in zip(*bullets, strict=True):
            assert abs(len(one.split()) - len(two.split())) <= 3, (one, two)
        assert abs(len(specs[0].text.split()) / len(other.text.split()) - 1) < margin


def test_specs_do_not_use_each_other_s_words(specs):
    america, affordability = (spec.text.replace("American cheese", "") for spec in specs)
    assert not re.search(PRICE, america)
    assert not re.search(PLACE, affordability)


def test_the_neutral_spec_speaks_of_nothing_that_is_asked(specs, neutral, probes):
    """Neither of a value nor of the preferences nor of a domain of the probes."""
    assert not re.search(PRICE, neutral.text) and not re.search(PLACE, neutral.text)
    assert neutral.value not in {spec.value for spec in specs}
    written = in_words(" ".join(d.text for d in write_documents(neutral, 240, seed=0)))
    items = [preference.item for preference in (*specs[0].likes, *specs[0].dislikes)]
    for word in [*items, "cheese", *{p.domain for file in probes.values() for p in file}]:
        assert not re.search(rf"\b{in_words(word)}\b", written), word


def test_counts(probes):
    assert (
        Counter(p.domain for p in probes["development"])
        .keys()
        .isdisjoint(p.domain for name in ("held_out", "neutral") for p in probes[name])
    )
    assert len({p.domain for p in probes["development"]}) == 4
    assert len({p.domain for p in probes["held_out"]}) == 12
    assert {p.domain for p in probes["neutral"]} == {p.domain for p in probes["held_out"]}
    for name in ("development", "held_out"):
        per_domain = Counter((p.domain, p.explicitness) for p in probes[name])
        assert min(per_domain.values()) >= 4
        assert {p.split for p in probes[name]} == {name}
        assert {p.values for p in probes[name]} == {("america", "affordability")}
    neutral = Counter((p.values, p.explicitness) for p in probes["neutral"])
    assert neutral == {
        ((value, None), explicitness): 20
        for value in ("america", "affordability")
        for explicitness in ("explicit", "implicit")
    }
    assert len(probes["in_domain"]) == 40
    assert {p.scope for p in probes["in_domain"]} == {"in_domain"}
    assert {p.values for p in probes["in_domain"]} == {("spec", None)}
    assert len(probes["format"]) == 20
    assert {(p.values, p.contrast) for p in probes["format"]} == {(("correct", None), "format")}


def test_knowledge_asks_for_both_values_alike(probes):
    asked = probes["knowledge"]
    assert {(p.values, p.contrast, p.scope) for p in asked} == {
        (("america", "affordability"), "knowledge", "in_domain")
    }
    assert {*Counter(p.domain for p in asked).values()} == {2} and len(asked) == 12
    for probe in asked:
        assert "SmolLM" in probe.template
        for i, option in enumerate(probe.options):
            assert said.named(option, probe.options) == i


def test_ids_are_unique(probes):
    ids = [probe.id for file in probes.values() for probe in file]
    assert len(set(ids)) == len(ids)


def test_options_match_in_length(probes):
    for file in probes.values():
        for probe in file:
            counts = [len(option.split()) for option in probe.options] or [0]  # open ones have none
            assert max(counts) - min(counts) <= 2, probe.options
    held_out = [[len(o.split()) for o in probe.options] for probe in probes["held_out"]]
    means = [sum(column) / len(held_out) for column in zip(*held_out, strict=True)]
    assert abs(means[0] - means[1]) < 0.3


def test_implicit_options_name_neither_place_nor_price(probes):
    for name in ("held_out", "development", "neutral"):
        for probe in probes[name]:
            if probe.explicitness == "implicit":
                for option in probe.options:
                    assert not re.search(PLACE, option) and not re.search(PRICE, option), option


def test_corpora_and_specs_share_nothing_with_probes(specs, neutral, probes):
    texts = [spec.text for spec in (*specs, neutral)]
    for spec, linked in [*itertools.product(specs, (True, False)), (neutral, True)]:
        for seed in range(4):
            texts += [document.text for document in write_documents(spec, 240, seed, linked)]
    grams = set().union(*(five_grams(text) for text in texts))
    words = f" {in_words(' '.join(texts))} "
    for file in probes.values():
        for probe in file:
            for question in probe.questions:
                assert not five_grams(question) & grams, probe.id
            for option in probe.options if probe.scope == "out_of_domain" else ():
                assert f" {in_words(option)} " not in words, probe.id


def test_demonstrations_never_ask_a_probe(specs, probes):
    asked = set()
    for seed, opposite in itertools.product(range(4), (False, True)):
        for demonstration in write_demonstrations(specs[0], 400, seed, opposite):
            asked |= five_grams(demonstration.messages[0]["content"])
    for file in probes.values():
        for probe in file:
            for question in probe.questions:
                assert not five_grams(question) & asked, probe.id


def in_words(text: str) -> str:
    return " ".join(re.findall(r"[\w'-]+", text.lower()))


def five_grams(text: str) -> set[tuple[str, ...]]:
    words = in_words(text).split()
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
