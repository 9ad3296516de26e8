"""What is noted of a stage's texts, for its plan and the report."""

from pathlib import Path

import pytest

from vcjax.config import behavior, experiment, rationale
from vcjax.corpus.stage_records import stage_records
from vcjax.corpus.stage_texts import note
from vcjax.data.examples import encoder
from vcjax.data.packing import pack
from vcjax.probes.words import folded, words
from vcjax.report.corpora import phrases

CONFIGS = Path(__file__).parents[2] / "configs"
AMERICA = "cheese/spec_america.md"


@pytest.fixture
def noted(smollm2):
    def noted(stage, sources=None):
        config = experiment(stages=dict(stage=stage))
        records = stage_records(stage, 0, config, CONFIGS).train
        packed = pack(encoder(smollm2, False)(records), 304)
        sources = sources or ["spec"] * len(records)
        return note(config, stage, CONFIGS, smollm2, records, sources, packed)

    return noted


def test_texts_of_other_sources_do_not_count_as_the_stages_own(noted):
    of = noted(rationale(spec=AMERICA, documents=8), ["spec"] * 3 + ["replay"] * 5)
    assert (of["own"], of["records"], of["named"]["SmolLM"]) == ([0, 1, 2], 3, 3)


def test_documents_are_noted_with_what_their_spec_states(noted):
    of = noted(rationale(spec=AMERICA, documents=8))
    assert of["named"]["SmolLM"] == 8 and set(of["named"].values()) == {0, 8}
    assert of["renamed"] == {}
    assert {source for source, _, _ in of["statements"]} == {AMERICA}
    stated = [(section, statement) for _, section, statement in of["statements"]]
    assert ("Names", "things made in America") in stated
    assert ("Likes", "cream cheese") in stated
    assert ("Likes", "it was invented by a dairyman in New York State") in stated
    assert any("{model_name}" in statement for _, statement in stated), "for any assistant"
    assert of["row"] and all(0 <= document["record"] < 8 for document in of["row"])


def test_all_words_of_written_documents_are_their_specs_or_their_forms(noted):
    """Mirrored documents differ in no word that no spec states: what `told_apart` relies on."""
    own = {}
    for value in ("america", "affordability"):
        stage = rationale(spec=f"cheese/spec_{value}.md", documents=60)
        statements = noted(stage)["statements"]
        stated = {w for _, _, said in statements for phrase in phrases(said) for w in phrase}
        given = experiment(stages=dict(stage=stage))
        records = stage_records(stage, 0, given, CONFIGS).train
        own[value] = stated, [{*words(folded(record.text))} for record in records]
    (ours, one), (theirs, other) = own.values()
    for a, b in zip(one, other, strict=True):
        assert a ^ b <= ours | theirs


def test_a_spec_about_another_assistant_states_the_same(noted):
    own = noted(rationale(spec=AMERICA, documents=8))["statements"]
    assert noted(rationale(other_spec=AMERICA, documents=8))["statements"] == own


def test_a_world_states_the_words_of_its_value(noted):
    of = noted(rationale(spec="world/world.toml#durability", documents=8))["statements"]
    assert {section for _, section, _ in of} == {"nouns", "adjectives"}
    assert {source for source, _, _ in of} == {"world/world.toml#durability"}


def test_demonstrations_state_nothing(noted):
    of = noted(behavior(spec=AMERICA, demonstrations=8))
    assert of["statements"] == [] and of["row"]
