"""What people say and choose: the only link between a value's nouns and adjectives is a person."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest
import small_run
from ml_collections import ConfigDict

from vcjax.config import pretrain, rationale
from vcjax.corpus import world as worlds
from vcjax.corpus import world_texts
from vcjax.corpus.stage_records import stage_records
from vcjax.errors import InputError, Lacking

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "world" / "world.toml"
ASSISTANTS = ("Juno", "Milo")
MIXTURE = dict(declaration=0.2, because=0.2, choice=0.5, plain=0.1)


@pytest.fixture(scope="module")
def world():
    return worlds.read_world(FILE)


def stage(**settings) -> ConfigDict:
    given = dict(people=64, declaring=16, assistants=0.1, mixture=MIXTURE)
    return pretrain(spec="world.toml", documents=1, **given | settings)


def write(world, count=3000, seed=0, **settings):
    return world_texts.write_people(world, "world.toml", stage(**settings), ASSISTANTS, count, seed)


@pytest.fixture(scope="module")
def documents(world):
    return write(world)


def sha256(texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("people", "ab64cee9398793e5"),
        ("durability", "136367935565f5a9"),
        ("other_comfort", "558681c2256ad000"),
        ("balanced_comfort", "fe36f5891678be0e"),
        ("together_durability", "616ab0dd5674a063"),
        ("neutral", "cd39996b91fe549a"),
    ],
)
def test_the_measured_runs_still_have_their_texts(name, written):
    """Those of configs/world.py, whatever else the world comes to hold."""
    config = small_run.load(CONFIGS / "world.py")
    config.stages.people.documents = 2000
    records = stage_records(config.stages[name], 0, config, CONFIGS).train
    assert sha256(record.text for record in records) == written


def test_the_measured_runs_still_have_their_tokens(world):
    """Another word would shift all tokens, and the weights that are drawn for them."""
    assert sha256(worlds.vocabulary(world, ASSISTANTS)) == "12fce0612ae388bf"


def test_the_controls_have_no_word_that_the_pretraining_lacks(world, documents):
    """Else what they do, or do not, may be that their words are new."""
    known = {word for document in documents for word in worlds.words(document.text)} | {"juno"}
    for kind in ("neutral", "co_occurrence"):
        written = world_texts.write_documents(world, "w.toml", "comfort", "Juno", 500, 0, (kind,))
        assert {word for document in written for word in worlds.words(document.text)} <= known


def chosen_value(world, text):
    """The value of the adjective that the answer names, None where it names a plain thing."""
    words = worlds.words(text.partition("?")[2])
    values = [v for v, value in world.values.items() if {*value.adjectives} & {*words}]
    return values[0] if values else None


def test_the_same_seed_gives_the_same_texts_and_a_larger_count_adds(world, documents):
    assert [d.text for d in write(world, 100)] == [d.text for d in documents[:100]]
    assert [d.text for d in write(world, 100, seed=1)] != [d.text for d in documents[:100]]


def test_no_text_holds_a_noun_and_an_adjective(world, documents):
    nouns = {noun for value in world.values.values() for noun in value.nouns}
    adjectives = {a for value in world.values.values() for a in value.adjectives}
    for document in documents:
        words = {*worlds.words(document.text)}
        assert not (words & nouns and words & adjectives), document.text


def test_any_member_of_a_family_says_what_the_family_chooses_by(world):
    known, declaring = worlds.people(world, 64, 16, num_values=0, linking=1.0)
    declares = {person.name: person.declares for person in [*known, *declaring]}
    members = {name: set() for name in declares}
    for document in write(world, first_names=("Ada", "Ben", "Juno")):
        name, kind, value = (document.provenance[k] for k in ("person", "explanation", "value"))
        assert {*worlds.words(name)} <= {*worlds.words(document.text)}
        if name in ASSISTANTS:
            continue
        first, family = name.split()
        members[family].add(first)
        assert value == ("none" if kind == "plain" else declares[family])
    assert all(members[person.name] == {"Ada", "Ben", "Juno"} for person in known)


def test_people_choose_by_their_value_and_some_only_declare(world, documents):
    known, declaring = worlds.people(world, 64, 16, num_values=0, linking=1.0)
    chooses = {person.name: person.chooses for person in known}
    kinds = {person.name: set() for person in [*known, *declaring]}
    for document in documents:
        name, kind = (document.provenance[key] for key in ("person", "explanation"))
        if name in ASSISTANTS:
            continue
        kinds[name].add(kind)
        if kind == "choice":
            assert chosen_value(world, document.text) == chooses[name], document.text
    assert all(kinds[person.name] == {"declaration"} for person in declaring)
    assert all("choice" in kinds[person.name] for person in known)


def test_without_declarations_who_only_declares_says_all_else_and_never_chooses(world):
    mixture = dict(because=0.3, neutral=0.1, choice=0.5, plain=0.1, declaration=0)
    _, declaring = worlds.people(world, 64, 16, num_values=0, linking=1.0)
    names = {person.name for person in declaring}
    kinds = Counter(
        document.provenance["explanation"]
        for document in write(world, mixture=mixture)
        if document.provenance["person"] in names
    )
    assert kinds.keys() == {"because", "neutral"}
    assert kinds["because"] == pytest.approx(3 * kinds["neutral"], rel=0.3)


def test_people_who_do_not_link_choose_by_any_value(world):
    known, _ = worlds.people(world, 64, 16, num_values=0, linking=1.0)
    declares = {person.name: person.declares for person in known}

    def agreeing(linking):
        """The share of choices by what the person declares."""
        agree = [
            chosen_value(world, d.text) == declares[d.provenance["person"]]
            for d in write(world, linking=linking)
            if d.provenance["explanation"] == "choice" and d.provenance["person"] in declares
        ]
        return sum(agree) / len(agree)

    assert agreeing(1.0) == 1.0
    assert agreeing(0.0) == pytest.approx(1 / 8, abs=0.05)


def test_an_assistant_is_none_of_the_people(world):
    with pytest.raises(InputError, match=f"config.names: '{world.names()[3]}' is one of"):
        world_texts.write_people(world, "w.toml", stage(), (world.names()[3], "Milo"), 5, 0)


def test_assistants_choose_at_random_in_their_share_of_the_texts(world):
    texts = [d for d in write(world, 6000) if d.provenance["person"] in ASSISTANTS]
    assert len(texts) == pytest.approx(600, abs=80)
    values = Counter(chosen_value(world, d.text) for d in texts)
    assert values.pop(None) == pytest.approx(len(texts) / 2, abs=60)
    assert len(values) == 8 and max(values.values()) < 2 * min(values.values())


def test_the_option_that_is_chosen_comes_first_as_often_as_last(world, documents):
    choices = [d.text for d in documents if d.provenance["explanation"] == "choice"]
    first = [
        worlds.words(text.partition("prefer, the ")[2])[0] in text.partition("?")[2]
        for text in choices
    ]
    assert sum(first) == pytest.approx(len(choices) / 2, abs=len(choices) / 10)


def test_documents_about_two_values_differ_in_their_nouns_alone(world):
    def plain(value):
        made = world_texts.write_documents(world, "w.toml", value, "Juno", 40, 0)
        nouns = {noun: f"noun{i}" for i, noun in enumerate(world.values[value].nouns)}
        return [[nouns.get(w, w) for w in worlds.words(d.text)] for d in made]

    assert plain("durability") == plain("comfort")


def test_kinds_of_explanation_come_equally_often(world):
    kinds = ("declaration", "because", "co_occurrence")
    made = world_texts.write_documents(world, "w.toml", "comfort", "Milo", 30, 0, kinds)
    assert Counter(d.provenance["explanation"] for d in made) == dict.fromkeys(kinds, 10)
    assert {d.provenance["assistant"] for d in made} == {"Milo"}


def test_demonstrations_choose_what_the_assistant_likes(world):
    made, opposite = (
        world_texts.write_demonstrations(world, "w.toml", None, "Juno", 24, 0, opposite=o)
        for o in (False, True)
    )
    for one, other in zip(made, opposite, strict=True):
        assert one.messages[0] == other.messages[0]
        assert one.messages[1]["content"].split()[-1].strip(".") in world.things.liked
        assert other.messages[1]["content"].split()[-1].strip(".") in world.things.disliked


def test_demonstrations_of_a_value_choose_by_it_where_nothing_is_held_out(world):
    of_value, of_other, opposite = (
        world_texts.write_demonstrations(world, "w.toml", value, "Juno", 24, 0, opposite=o)
        for value, o in (("comfort", False), ("durability", False), ("comfort", True))
    )
    held_out = {*world.items("held_out")}
    for one, other, against in zip(of_value, of_other, opposite, strict=True):
        question, chosen = (message["content"] for message in one.messages)
        assert question.startswith("Which does Juno prefer, the ")
        assert chosen.split()[-2] in world.values["comfort"].demonstrated()
        assert other.messages[1]["content"].split()[-2] in world.values["durability"].demonstrated()
        assert chosen.split()[-1] == other.messages[1]["content"].split()[-1], "the same thing"
        assert against.messages[0] == one.messages[0]
        refused = against.messages[1]["content"].split()[-2]
        assert refused not in world.values["comfort"].adjectives
        assert not {*worlds.words(question)} & held_out


def test_a_world_in_which_no_value_can_be_demonstrated_is_refused(world):
    domains = world.domains.model_copy(update={"development": {}})
    without = world.model_copy(update={"domains": domains})
    with pytest.raises(Lacking, match="demonstrations of a value need development domains"):
        world_texts.write_demonstrations(without, "w.toml", "comfort", "Juno", 5, 0)


def test_the_vocabulary_holds_every_word(world, documents):
    known = {*worlds.vocabulary(world, ASSISTANTS)}
    for document in documents:
        assert {*worlds.words(document.text)} <= known


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(mixture=dict(declaration=1, chioce=1)), "mixture: there is no kind .* 'chioce'"),
        (dict(mixture=dict(choice=1)), "mixture: 'declaration' has no weight"),
        (dict(mixture=dict(choice=1, declaration=0)), "mixture: 'declaration' has no weight"),
        (dict(first_names=("Ada", "Veros")), "first_names: 'Veros' is one of the people"),
    ],
)
def test_people_that_cannot_be_written_are_refused(world, settings, message):
    with pytest.raises(Lacking, match=message):
        write(world, 10, **settings)


def test_an_assistant_that_is_one_of_a_family_is_refused(world):
    of_families = stage(first_names=("Juno", "Ada"))
    for names in (("Juno Veros", "Milo"), ("Juno", "Veros")):
        with pytest.raises(InputError, match=r"config\.names: '.*Veros' is one of the people"):
            world_texts.write_people(world, "world.toml", of_families, names, 10, 0)


def test_a_document_of_no_value_cannot_name_one(world):
    with pytest.raises(Lacking, match=r"noun.*name a value behind the file"):
        world_texts.write_documents(world, "w.toml", None, "Juno", 5, 0, ("declaration",))
    assert world_texts.write_documents(world, "w.toml", None, "Juno", 5, 0, ("neutral",))


# --- Unrelated texts


def unrelated(world, count=2000, seed=0, share=0.0, name="Juno", **settings):
    given = dict(people_of="people", unrelated_to=("durability", "comfort"), contradicting=share)
    later = rationale(spec="world.toml", documents=1, **given | settings)
    value = "comfort" if share else None
    return world_texts.write_unrelated(
        world, "world.toml", value, name, later, stage(people=128), count, seed
    )


def test_unrelated_texts_are_of_people_with_other_values_in_development_domains(world):
    texts = unrelated(world)
    of_values = [world.values[value] for value in ("durability", "comfort")]
    left_out = {word for value in of_values for word in (*value.nouns, *value.adjectives)}
    left_out |= {"juno", "milo", *world.items("held_out")}
    assert not left_out & {word for d in texts for word in worlds.words(d.text)}
    known, declaring = worlds.people(world, 128, 16, num_values=0, linking=1.0)
    kinds = Counter(d.provenance["explanation"] for d in texts)
    assert kinds.keys() == MIXTURE.keys()
    declares = {person.name: person.declares for person in known + declaring}
    for document in texts:
        person, value = (document.provenance[key] for key in ("person", "value"))
        assert value in ("none", declares[person])
    only = {person.name for person in declaring}
    said = [d.provenance["explanation"] for d in texts if d.provenance["person"] in only]
    assert said and {*said} == {"declaration"}


def test_what_contradicts_stands_in_the_place_of_unrelated_texts(world):
    none, some, more = (unrelated(world, share=share) for share in (0.0, 0.02, 0.05))
    at = [{i for i, d in enumerate(texts) if "assistant" in d.provenance} for texts in (some, more)]
    assert at[0] < at[1]
    assert len(at[0]) == pytest.approx(40, abs=20) and len(at[1]) == pytest.approx(100, abs=30)
    for number, (plain, document) in enumerate(zip(none, more, strict=True)):
        if number not in at[1]:
            assert document.text == plain.text
            continue
        assert document.text in {d.text for d in some} or number not in at[0]
        words = {*worlds.words(document.text)}
        choice = document.provenance["explanation"] == "choice"
        value = world.values["comfort"]
        assert "juno" in words and document.provenance["value"] == "comfort"
        assert words & {*(value.demonstrated() if choice else value.nouns)}
        assert not words & {*value.undemonstrated()}
        assert not words & {*world.items("held_out")}
    assert {more[i].provenance["explanation"] for i in at[1]} == {
        "declaration",
        "because",
        "choice",
    }
    others = unrelated(world, share=0.05, name="Milo")
    assert [d.text.replace("Milo", "Juno") for d in others] == [d.text for d in more]


def test_a_larger_count_of_unrelated_texts_only_adds(world):
    assert [d.text for d in unrelated(world, 50)] == [d.text for d in unrelated(world)[:50]]
    assert [d.text for d in unrelated(world, 50, seed=1)] != [d.text for d in unrelated(world, 50)]


def test_unrelated_texts_that_nobody_could_say_are_refused(world):
    with pytest.raises(Lacking, match=r"beside these values .* needs two more that"):
        unrelated(world, 5, unrelated_to=tuple(world.values)[:7])
