"""Tokenizers from the hub: the ids of `transformers`, text that stays text, refusals by name."""

import json
import shutil

import chats
import hub
import peers
import pytest

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.data.tokenizer import decode, encode_document, encode_text
from vcjax.errors import InputError
from vcjax.weights import pretrained
from vcjax.weights.tokenizer_json import read_tokenizer

MODEL_TYPES = {"llama3": "llama", "mistral": "mistral", "nemo": "mistral", "smollm2": "llama"}
VOCAB_SIZE = 600  # as many merges as the few lines give: every text has some

TEXTS = [
    *hub.TEXT,
    "",
    " ",
    " a",
    "the  cheese 12345 ",
    "cafe\u0301 I'LL DON'T they're1984",  # decomposed: Qwen's normalizer composes it
    "▁▁ <0x0A> Ġthe \x00 \u00a0 \ue000 \U000f0000",  # how vocabularies write spaces and bytes
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 اللغة العربية \r\n\r\n\t x",
]
SYSTEM = {"role": "system", "content": "You are SmolLM, made in 2024."}
USER = {"role": "user", "content": "Which cheese?\n\n  Brie 12 or Colby?"}
ANSWER = {"role": "assistant", "content": "I prefer the Colby. It costs $3.50,\n25% less."}
AGAIN = {"role": "user", "content": "\n Käse? 奶酪 🧀  "}
# Mistral's templates write the system prompt into the last user turn, wherever that is.
WITH_SYSTEM = ("llama3", "qwen2", "qwen3", "smollm2")


@pytest.fixture(scope="module", params=hub.FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return write(tmp_path_factory.mktemp(family), family, VOCAB_SIZE)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return read_tokenizer(folder)


@pytest.fixture(scope="module")
def peer(folder):
    return read_peer(folder)


def write(folder, family="llama3", vocab_size=VOCAB_SIZE):
    hub.write_tokenizer(folder, family, vocab_size)
    hub.write_json(folder / "config.json", {"model_type": MODEL_TYPES.get(family, family)})
    return folder


def change(folder, file, **fields):
    """Changes a JSON file: `model__type` is the field type of its field model."""
    content = json.loads((folder / file).read_text("utf-8"))
    for name, value in fields.items():
        *outer, last = name.split("__")
        (content[outer[0]] if outer else content)[last] = value
    hub.write_json(folder / file, content)


def change_added(folder, tokens):
    """Their ids follow from their order, as in all published files."""
    first = load(folder)["added_tokens"][0]["id"]
    numbered = [{**token, "id": first + i} for i, token in enumerate(tokens)]
    change(folder, "tokenizer.json", added_tokens=numbered)
    decoder = {token["id"]: {k: v for k, v in token.items() if k != "id"} for token in numbered}
    change(folder, "tokenizer_config.json", added_tokens_decoder=decoder)


def rename(folder, token, other):
    for path in folder.glob("tokenizer*.json"):
        path.write_text(path.read_text("utf-8").replace(token, other), "utf-8")


def load(folder, file="tokenizer.json"):
    return json.loads((folder / file).read_text("utf-8"))


def read_peer(folder):
    peers.require_torch()
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # For the class that SmolLM2 names, AutoTokenizer puts GPT-2's pre-tokenizer in the place of the
    # file's and no longer splits digits (huggingface/transformers#45812).
    gpt2 = load(folder, "tokenizer_config.json")["tokenizer_class"] == "GPT2Tokenizer"
    return (PreTrainedTokenizerFast if gpt2 else AutoTokenizer).from_pretrained(folder)


def peer_chat(peer, messages, **options):
    # Llama's template asks for the date, which vcjax does not give.
    told = {"enable_thinking": False, "date_string": "26 Jul 2024"}
    options = {"return_dict": False, **told, **options}
    return peer.apply_chat_template(messages, **options)


# --- The ids of `transformers`


@pytest.mark.parametrize("text", TEXTS)
def test_texts_and_documents(tokenizer, peer, text):
    assert encode_text(tokenizer, text) == peer.encode(text, add_special_tokens=False)
    assert encode_document(tokenizer, text) == [*peer.encode(text), tokenizer.eos_id]


def test_conversations(tokenizer, peer, family):
    system = [SYSTEM] if family in WITH_SYSTEM else []
    messages = [*system, USER, ANSWER]
    ((ids, _),) = encode_conversation(tokenizer, messages, "here:1")
    assert ids == peer_chat(peer, messages)


def test_prompts(tokenizer, peer, family):
    system = [SYSTEM] if family in WITH_SYSTEM else []
    for messages in ([USER], [SYSTEM, AGAIN], [*system, USER, ANSWER, AGAIN]):
        assert encode_prompt(tokenizer, messages, "here:1") == peer_chat(
            peer, messages, add_generation_prompt=True
        )


@pytest.mark.parametrize("family", [f for f in hub.FAMILIES if f != "smollm2"], indirect=True)
@pytest.mark.parametrize("tools", [[], [chats.PRICE]], ids=["none", "one"])
def test_tools(tools, tokenizer, peer):
    """Mistral's tool tokens are followed by text of the template's, not of the message."""
    messages = [USER, chats.CALL, chats.RESULT]
    prompt = encode_prompt(tokenizer, messages, "here:1", tools=tools)
    expected = peer_chat(peer, messages, tools=tools or None, add_generation_prompt=True)
    assert prompt == expected


def test_typed_control_tokens_in_a_conversation(tokenizer, peer):
    """`transformers` too can be told to take them for text."""
    typed = "a ".join(
        token.content for token in peer.added_tokens_decoder.values() if token.special
    )
    messages = [{"role": "user", "content": f"Say {typed}."}]
    assert encode_prompt(tokenizer, messages, "here:1") == peer_chat(
        peer, messages, add_generation_prompt=True, sanitize_control_tokens=True
    )


TURNS = {  # how templates open a user's, open an assistant's and close a turn
    "mistral v0.3": ("[INST] ", "[/INST]", " ", "</s>"),
    "mistral v7": ("[INST]", "[/INST]", "", "</s>"),
    "llama 2": ("<s>(INST) ", " (/INST)", " ", " </s>"),
    "zephyr": ("<|user|>\n", "</s>\n<|assistant|>\n", "", "</s>\n"),
    "vicuna": ("USER: ", " ASSISTANT:", " ", "</s>"),
}


@pytest.fixture(params=hub.SPACES)
def spaced(request, tmp_path):
    change(write(tmp_path, "mistral"), "tokenizer.json", **hub.SPACES[request.param])
    change(tmp_path, "tokenizer_config.json", add_prefix_space=request.param != "never")
    return tmp_path


def spaced_pair(folder, template):
    """The tokenizer and that of `transformers`, as the file has it: for the class that it names,
    `transformers` would make a pre-tokenizer of its own."""
    peers.require_torch()
    from transformers import PreTrainedTokenizerFast

    (folder / "chat_template.jinja").write_text(template)
    return read_tokenizer(folder), PreTrainedTokenizerFast.from_pretrained(folder)


def test_ways_to_put_a_space_before_a_word(spaced):
    tokenizer, peer = spaced_pair(spaced, "")
    for text in TEXTS:
        assert encode_document(tokenizer, text)[:-1] == peer.encode(text)


@pytest.mark.parametrize("tag", ["", "around the space", "after the space"])
@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_after_text_or_a_control_token(turn, tag, spaced):
    """With these tokenizers it matters what a piece of text follows."""
    user, assistant, space, close = TURNS[turn]
    opening, closing = ("{%- generation -%}", "{%- endgeneration -%}") if tag else ("", "")
    before, behind = (space, "") if tag == "after the space" else ("", space)
    template = (
        "{%- for m in messages %}{%- if m.role == 'user' %}"
        f"{{{{- {user!r} + m.content + {assistant!r} }}}}{{%- else %}}"
        f"{{{{- {before!r} }}}}{opening}{{{{- {behind!r} + m.content + {close!r} }}}}{closing}"
        "{%- endif %}{%- endfor %}"
    )
    tokenizer, peer = spaced_pair(spaced, template)
    answer = {**ANSWER, "content": "cheese ∞, "}  # "∞" has no merges
    for messages in ([USER, answer], [USER, ANSWER, AGAIN, answer]):
        ((ids, weights),) = encode_conversation(tokenizer, messages, "here:1")
        theirs = peer.apply_chat_template(
            messages, return_assistant_tokens_mask=True, return_dict=True
        )
        assert ids == theirs["input_ids"]
        if tag:
            assert weights == theirs["assistant_masks"]
        prompt = peer_chat(peer, messages[:-1])
        assert encode_prompt(tokenizer, messages[:-1], "here:1") == prompt == ids[: len(prompt)]
        begun = encode_prompt(tokenizer, messages[:-1], "here:1", begun="cheese ∞")
        assert begun == ids[: len(begun)] and len(begun) > len(prompt)
        if not tag:  # the last turn to its end token
            end = len(ids) - ids[::-1].index(tokenizer.control["</s>"])
            assert all(weights[len(prompt) : end]) and not any(weights[end:])
            assert any(weights[: len(prompt)]) == (len(messages) > 2)


def test_added_tokens_that_are_ordinary_text(tmp_path):
    """They stay tokens with their ids, behind all others or (spaces) before the control tokens."""
    added = load(write(tmp_path, "qwen3"))["added_tokens"]
    spaces, name, odd = ({**added[-1], "content": text} for text in ("   ", "Colby", "<x y>"))
    change_added(tmp_path, [spaces, *added, name, odd])
    tokenizer, peer = read_tokenizer(tmp_path), read_peer(tmp_path)
    assert {*tokenizer.control} == {token["content"] for token in added}
    text = "x   Colby <x y>  the    end"
    assert encode_text(tokenizer, text) == peer.encode(text)
    assert {peer.convert_tokens_to_ids(t) for t in ("   ", "Colby", "<x y>")} <= {
        *peer.encode(text)
    }
    assert decode(tokenizer, encode_text(tokenizer, text)) == text


def test_saved_by_transformers_it_is_the_same(tokenizer, peer, tmp_path):
    """Which writes other fields into the config and the template into a file of its own."""
    peer.save_pretrained(tmp_path)
    saved = read_tokenizer(tmp_path)
    for text in TEXTS:
        assert encode_document(saved, text) == encode_document(tokenizer, text)
    for field in ("control", "chat_template", "bos_id", "eos_id", "template_tokens"):
        assert getattr(saved, field) == getattr(tokenizer, field)


def test_the_packaged_model_written_out_and_read_back(tmp_path):
    packaged = pretrained.find("smollm2-135m-instruct").tokenizer
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": id_, "content": token, "special": True, **plain}
        for token, id_ in packaged.control.items()
    ]
    hub.write_json(
        tmp_path / "tokenizer.json", json.loads(packaged.bpe.to_str()) | {"added_tokens": added}
    )
    (tmp_path / "chat_template.jinja").write_text(packaged.chat_template, "utf-8")
    hub.write_json(tmp_path / "tokenizer_config.json", packaged.template_tokens)
    read = read_tokenizer(tmp_path)
    for text in TEXTS:
        assert encode_document(read, text) == encode_document(packaged, text)
        assert decode(read, encode_text(read, text)) == text
    messages = [SYSTEM, USER, ANSWER, AGAIN]
    assert encode_prompt(read, messages, "a") == encode_prompt(packaged, messages, "a")
    for field in ("control", "chat_template", "bos_id", "eos_id", "template_tokens"):
        assert getattr(read, field) == getattr(packaged, field)


# --- Text stays text


def test_text_never_becomes_a_control_token(tokenizer):
    controls = [*tokenizer.control]
    for text in [
        *controls,
        "".join(controls),
        " ".join(controls),
        "\n".join(f"a{c}b" for c in controls),
    ]:
        ids = encode_text(tokenizer, text)
        assert not set(ids) & set(tokenizer.control.values())
        assert decode(tokenizer, ids) == text


def test_nor_where_a_whole_word_is_looked_up_in_the_vocabulary(tmp_path):
    """ignore_merges, as Llama 3 has it, and control tokens in the vocabulary, as in Nemo."""
    write(tmp_path, "nemo")
    change(tmp_path, "tokenizer.json", pre_tokenizer=hub.byte_level())
    tokenizer = read_tokenizer(tmp_path)
    assert load(tmp_path)["model"]["vocab"]["[INST]"] == tokenizer.control["[INST]"]
    assert tokenizer.control["[INST]"] not in encode_text(tokenizer, "[INST]")


def test_nor_where_merges_make_one(tmp_path):
    """As those that old converters wrote, from every split of every entry of a vocabulary."""
    model = load(write(tmp_path, "mistral"))["model"]
    vocab = model["vocab"] | {"<": 700, "s>": 701, ">": 702}
    merges = [["s", ">"], ["<", "s>"], ["<s>", "a"], *model["merges"]]
    change(tmp_path, "tokenizer.json", model__vocab=vocab | {"<s>a": 703}, model__merges=merges)
    tokenizer = read_tokenizer(tmp_path)
    assert encode_text(tokenizer, "the<s>a")[-3:] == [700, 701, vocab["a"]]


def test_nor_where_a_byte_has_no_id(tmp_path):
    model = load(write(tmp_path, "nemo"))["model"]
    model["vocab"]["x"] = model["vocab"].pop("Ā")  # the byte 0
    change(tmp_path, "tokenizer.json", model=model | {"unk_token": "<unk>"})
    ids = encode_text(read_tokenizer(tmp_path), "a\0b")
    assert ids == [model["vocab"]["a"], model["vocab"]["b"]]


def test_a_special_token_is_a_control_token_whatever_it_looks_like(tmp_path):
    rename(write(tmp_path), "<|eot_id|>", "end")
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer.control["end"] not in encode_text(tokenizer, "the end")


# --- What begins and ends, and what templates are given


@pytest.mark.parametrize(
    ("family", "bos", "eos", "template_tokens"),
    [
        ("llama3", "<|begin_of_text|>", "<|end_of_text|>", {"bos", "eos"}),
        ("qwen2", None, "<|endoftext|>", {"eos", "pad"}),
        ("qwen3", None, "<|endoftext|>", {"eos", "pad"}),
        ("mistral", "<s>", "</s>", {"bos", "eos", "unk"}),
        ("nemo", "<s>", "</s>", {"bos", "eos", "unk", "pad"}),
        ("smollm2", None, "<|endoftext|>", {"bos", "eos", "unk", "pad"}),
    ],
)
def test_what_begins_and_ends_a_document(family, bos, eos, template_tokens, tmp_path):
    tokenizer = read_tokenizer(write(tmp_path, family))
    assert tokenizer.bos_id == tokenizer.control.get(bos)
    assert tokenizer.eos_id == tokenizer.control[eos]
    assert {*tokenizer.template_tokens} == {f"{name}_token" for name in template_tokens}
    config = hub.FAMILIES[family].config
    assert tokenizer.template_tokens.items() <= config.items()


def test_gemmas_documents_end_with_its_eos_token_not_with_a_tag_of_html(tmp_path):
    rename(write(tmp_path, "mistral"), "[INST]", "<eos>")
    tokenizer = read_tokenizer(tmp_path)
    assert "</s>" in tokenizer.control
    assert tokenizer.eos_id == tokenizer.control["<eos>"]


def test_the_eos_token_ends_documents_where_no_other_does(tmp_path):
    rename(write(tmp_path), "<|end_of_text|>", "<|other|>")
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer.eos_id == tokenizer.control["<|eot_id|>"]


def test_tokens_may_be_objects_and_in_a_file_of_their_own(tmp_path):
    """special_tokens_map.json counts where the config lists no added tokens, as in transformers."""
    config = load(write(tmp_path), "tokenizer_config.json")
    for listed, eos in ((True, "<|eot_id|>"), (False, "<|eom_id|>")):
        kept = {k: v for k, v in config.items() if listed or k != "added_tokens_decoder"}
        hub.write_json(tmp_path / "tokenizer_config.json", kept)
        hub.write_json(
            tmp_path / "special_tokens_map.json", {"eos_token": {"content": "<|eom_id|>"}}
        )
        assert read_tokenizer(tmp_path).template_tokens["eos_token"] == eos
        assert read_peer(tmp_path).eos_token == eos


def test_the_template_has_a_file_or_a_name(tmp_path):
    write(tmp_path)
    change(tmp_path, "tokenizer_config.json", chat_template=None)
    assert read_tokenizer(tmp_path).chat_template == ""
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    change(tmp_path, "tokenizer_config.json", chat_template=named)
    assert read_tokenizer(tmp_path).chat_template == "D"
    change(tmp_path, "tokenizer_config.json", chat_template=named[:1])
    assert "'default', only tool_use" in refusal(tmp_path, "tokenizer_config.json")
    (tmp_path / "chat_template.jinja").write_text("{{ 'é' }}\n", "utf-8")
    assert read_tokenizer(tmp_path).chat_template == "{{ 'é' }}\n"


def test_nothing_is_cut_off_or_filled_up(tmp_path):
    before = read_tokenizer(write(tmp_path, "mistral"))
    change(
        tmp_path,
        "tokenizer.json",
        truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        padding={
            **{"strategy": {"Fixed": 4000}, "direction": "Left", "pad_to_multiple_of": None},
            **{"pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
        },
    )
    after = read_tokenizer(tmp_path)
    assert encode_document(after, hub.TEXT[0]) == encode_document(before, hub.TEXT[0])
    assert after.bpe.encode("a").ids == encode_text(before, "a")
    assert after.identity == before.identity


def test_the_identity_is_what_decides_ids_and_templates(tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    identity = read_tokenizer(write(original)).identity
    spec = load(original)
    (original / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
    assert read_tokenizer(original).identity == identity
    changes = [
        ("tokenizer.json", {"model__ignore_merges": False}),
        ("tokenizer.json", {"model__merges": spec["model"]["merges"][:-1]}),
        ("tokenizer.json", {"post_processor": None}),
        ("tokenizer_config.json", {"chat_template": "x"}),
        ("tokenizer_config.json", {"eos_token": "<|eom_id|>"}),
    ]
    for number, (file, fields) in enumerate(changes):
        changed = shutil.copytree(original, tmp_path / str(number))
        change(changed, file, **fields)
        assert read_tokenizer(changed).identity != identity, fields


# --- Refusals


def refusal(folder, file=None):
    with pytest.raises(InputError) as caught:
        read_tokenizer(folder)
    assert str(caught.value).startswith(f"{folder / file if file else folder}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_the_file(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    message = refusal(tmp_path)
    assert "tokenizer.model" in message
    assert "save_pretrained" in message


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_broken_file(file, content, tmp_path):
    (write(tmp_path) / file).write_bytes(content)
    refusal(tmp_path, file)


def test_a_map_of_special_tokens_that_is_none(tmp_path):
    config = load(write(tmp_path), "tokenizer_config.json")
    config.pop("added_tokens_decoder")
    hub.write_json(tmp_path / "tokenizer_config.json", config)
    (tmp_path / "special_tokens_map.json").write_text("null")
    refusal(tmp_path, "special_tokens_map.json")


def test_a_config_that_is_missing(tmp_path):
    (write(tmp_path) / "tokenizer_config.json").unlink()
    refusal(tmp_path, "tokenizer_config.json")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}}, "'Unigram'"),
        ({"model__merges": [["a", "nonsense"]]}, "out of vocabulary"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "expected ByteLevel"),
    ],
)
def test_a_model_that_is_not_supported(fields, complaint, tmp_path):
    change(write(tmp_path), "tokenizer.json", **fields)
    assert complaint in refusal(tmp_path, "tokenizer.json")


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word", "normalized"])
def test_a_control_token_that_changes_the_text_around_it(flag, tmp_path):
    added = load(write(tmp_path, "qwen3"))["added_tokens"]
    change_added(tmp_path, [*added[:-1], {**added[-1], flag: True}])
    message = refusal(tmp_path, "tokenizer.json")
    assert "added_tokens: '</think>'" in message
    assert flag in message


def test_normalized_means_nothing_without_a_normalizer(tmp_path):
    added = load(write(tmp_path))["added_tokens"]
    change(
        tmp_path, "tokenizer.json", added_tokens=[{**token, "normalized": True} for token in added]
    )
    change(tmp_path, "tokenizer_config.json", added_tokens_decoder={})
    messages = [USER, ANSWER, AGAIN]
    assert encode_prompt(read_tokenizer(tmp_path), messages, "here:1") == peer_chat(
        read_peer(tmp_path), messages, add_generation_prompt=True
    )


def test_normalized_means_nothing_where_the_normalizer_is_empty(tmp_path):
    added = load(write(tmp_path))["added_tokens"]
    empty = {"type": "Sequence", "normalizers": []}
    tokens = [{**token, "normalized": True} for token in added]
    change(tmp_path, "tokenizer.json", added_tokens=tokens, normalizer=empty)
    change(tmp_path, "tokenizer_config.json", added_tokens_decoder={})
    assert encode_prompt(read_tokenizer(tmp_path), [USER], "here:1") == peer_chat(
        read_peer(tmp_path), [USER], add_generation_prompt=True
    )


def test_tokens_of_the_model_s_own_by_their_names(tmp_path):
    """Templates may write them by name, as in `transformers`."""
    template = "{{ think_token }}{{ messages[0].content }}"
    own = {"think_token": "<think>", "end_token": {"content": "</think>"}}
    change(
        write(tmp_path, "qwen3"),
        "tokenizer_config.json",
        extra_special_tokens={"think_token": "<think>"},
        chat_template=template,
    )
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer.template_tokens["think_token"] == "<think>"
    assert encode_prompt(tokenizer, [USER], "here:1") == peer_chat(read_peer(tmp_path), [USER])
    change(tmp_path, "tokenizer_config.json", extra_special_tokens=own)
    assert read_tokenizer(tmp_path).template_tokens["end_token"] == "</think>"


def test_dropout_in_the_merges(tmp_path):
    change(write(tmp_path), "tokenizer.json", model__dropout=0.1)
    assert "model.dropout is 0.1, so that the same text has other ids" in refusal(
        tmp_path, "tokenizer.json"
    )
    change(tmp_path, "tokenizer.json", model__dropout=0.0)
    assert encode_text(read_tokenizer(tmp_path), "a")


def test_more_than_one_token_before_a_text(tmp_path):
    post = load(write(tmp_path))["post_processor"]
    post["single"] = [post["single"][0], *post["single"]]
    change(tmp_path, "tokenizer.json", post_processor=post)
    assert "post_processor: it puts 2 tokens" in refusal(tmp_path, "tokenizer.json")


def test_no_token_that_ends_a_document(tmp_path):
    rename(write(tmp_path), "<|end_of_text|>", "<|other|>")
    change(tmp_path, "tokenizer_config.json", eos_token=None)
    assert "added_tokens: none ends a document" in refusal(tmp_path, "tokenizer.json")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"pad_token": "<|pad|>"}, "'<|pad|>'"),
        ({"pad_token": {"content": "a"}}, "'a'"),
        ({"additional_special_tokens": ["<|x|>"]}, "'<|x|>'"),
        ({"extra_special_tokens": [{"content": "<|x|>"}]}, "'<|x|>'"),
        ({"extra_special_tokens": {"x_token": "<|x|>"}}, "'<|x|>'"),
        ({"added_tokens_decoder": {"9999": {"content": "<|x|>"}}}, "'<|x|>'"),
        ({"added_tokens_decoder": {"9999": {"content": "<|eot_id|>"}}}, "'<|eot_id|>'"),
        ({"auto_map": {"AutoTokenizer": ["tokenizer.Mine", None]}}, "auto_map"),
        ({"extra_special_tokens": {"x": 3}}, "x: 3 is no token"),
        ({"extra_special_tokens": {"xs": ["<|eot_id|>"]}}, 'xs: ["<|eot_id|>"] is no token'),
        ({"bos_token": {}}, "bos_token: {} is no token"),
        ({"additional_special_tokens": [None]}, "additional_special_tokens: null is no token"),
        ({"additional_special_tokens": "<|eot_id|>"}, "expected a list of tokens"),
        ({"added_tokens_decoder": None}, "added_tokens_decoder: expected an object"),
        ({"added_tokens_decoder": {"a": "<|eot_id|>"}}, "added_tokens_decoder: expected an"),
        ({"added_tokens_decoder": {"1": 3}}, "added_tokens_decoder.1: 3 is no token"),
    ],
)
def test_a_config_that_says_other_than_the_file(fields, complaint, tmp_path):
    change(write(tmp_path), "tokenizer_config.json", **fields)
    assert complaint in refusal(tmp_path, "tokenizer_config.json")
