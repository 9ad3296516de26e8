"""What is written of a model: within little memory, what ends a generation, what begins a text."""

import dataclasses
import tracemalloc

import numpy as np
import peers
import pytest
import tiny
from safetensors import safe_open

from vcjax.data.tokenizer import encode_document
from vcjax.weights import gguf, huggingface, huggingface_out, tokenizer_json
from vcjax.workdir.files import read_json, write_json

DEEP = dataclasses.replace(tiny.ARCHITECTURE, num_layers=64, embed_dim=64, head_dim=16, mlp_dim=128)
END_OF_DOCUMENT, START_OF_TURN, END_OF_TURN = range(3)  # of the tiny model


@pytest.fixture(scope="module")
def tokenizer(tiny_gguf):
    return gguf.read_tokenizer(tiny_gguf)


def test_host_memory_holds_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_out, "FILE_BYTES", 500_000)
    asked = []

    def read(leaf, layer, index):
        asked.append((leaf, layer))
        inputs, outputs = (
            DEEP.projections.get(leaf[-2], (64, 0)) if layer is not None else (320, 64)
        )
        return np.zeros((inputs, outputs)[: len(index)], np.float32)

    tracemalloc.start()
    huggingface_out.write_weights(tmp_path, read, DEEP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert written > 4 * DEEP.num_params() > 8_000_000
    assert peak < 1_500_000
    assert len(asked) == len(set(asked)) == 64 * 9 + 2, "each weight of each layer once"


def written_again(base, folder, tokenizer):
    """The model that `transformers` reads from what is written of its own folder."""
    from transformers import AutoModelForCausalLM

    architecture = huggingface.read_architecture(base)
    family = huggingface.FAMILIES[huggingface.model_type(base)]
    weights = huggingface.open_weights(base)
    folder.mkdir()
    huggingface_out.write_weights(folder, weights, architecture, family)
    config = huggingface_out.model_config(base, "float32", architecture, tokenizer, family)
    write_json(folder / "config.json", config)
    return AutoModelForCausalLM.from_pretrained(folder), architecture


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "multimodal"])
def test_a_family_comes_back_to_transformers_as_it_was(torch, family, tokenizer, tmp_path):
    architecture = tiny.FAMILIES.get(family, tiny.FAMILIES["gemma3"])
    weights = tiny.weights(architecture)
    peer = peers.llama(weights, architecture, "gemma3" if family == "multimodal" else family)
    saved = peers.multimodal(weights, architecture) if family == "multimodal" else peer
    saved.save_pretrained(tmp_path / "base")
    again, _ = written_again(tmp_path / "base", tmp_path / "out", tokenizer)
    assert type(again) is type(peer)
    tokens = torch.from_numpy(tiny.batch(rows=1)["tokens"]).long()
    with torch.no_grad():
        torch.testing.assert_close(again(tokens).logits, peer(tokens).logits, atol=1e-4, rtol=0)


def test_a_head_that_config_json_hides_is_written_with_it(torch, tokenizer, tmp_path):
    """`transformers` before 5 would tie it to the embeddings."""
    base = tmp_path / "base"
    peers.llama(tiny.weights(tiny.UNTIED), tiny.UNTIED).save_pretrained(base)
    config = read_json(base / "config.json")
    write_json(base / "config.json", config | {"tie_word_embeddings": True})
    again, architecture = written_again(base, tmp_path / "out", tokenizer)
    assert not architecture.tied_embeddings and not again.config.tie_word_embeddings
    assert not torch.equal(again.lm_head.weight, again.model.embed_tokens.weight)


def test_files_are_as_readable_as_their_folder(tmp_path):
    tmp_path.chmod(0o755)
    huggingface_out.save({"x": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}, "which transformers asks for"


def generation(folder, base, config, tokenizer):
    huggingface_out.write_generation_config(folder, base, config, tokenizer)
    return read_json(folder / "generation_config.json")


@pytest.mark.parametrize(
    ("own", "ends"),
    [
        (END_OF_TURN, [END_OF_TURN, END_OF_DOCUMENT]),
        ([7, END_OF_DOCUMENT], [7, END_OF_DOCUMENT, END_OF_TURN]),
        (None, [END_OF_DOCUMENT, END_OF_TURN]),
    ],
)
def test_the_bases_generation_config_also_stops_at_both_ends(tokenizer, tmp_path, own, ends):
    (tmp_path / "base").mkdir()
    write_json(tmp_path / "base" / "generation_config.json", {"eos_token_id": own, "top_p": 0.8})
    written = generation(tmp_path, tmp_path / "base", {"eos_token_id": 9}, tokenizer)
    assert written == {"eos_token_id": ends, "top_p": 0.8}


def test_without_one_it_starts_from_config_json(tokenizer, tmp_path):
    config = {"eos_token_id": END_OF_DOCUMENT, "bos_token_id": 1, "hidden_size": 32}
    written = generation(tmp_path, tmp_path / "model.gguf", config, tokenizer)
    assert written == {"eos_token_id": [END_OF_DOCUMENT, END_OF_TURN], "bos_token_id": 1}


@pytest.mark.parametrize("template", ["", "{{ raise_exception('no chat') }}"])
def test_a_model_that_does_not_chat_stops_where_a_document_ends(tokenizer, tmp_path, template):
    base_model = dataclasses.replace(tokenizer, chat_template=template)
    written = generation(tmp_path, tmp_path / "model.gguf", {}, base_model)
    assert written == {"eos_token_id": [END_OF_DOCUMENT]}


def test_a_text_begins_with_bos_where_ours_does(torch, tokenizer, tmp_path):
    import transformers

    begins = dataclasses.replace(tokenizer, bos_id=START_OF_TURN)
    for ours, name in ((tokenizer, "without"), (begins, "with")):
        folder = tmp_path / name
        folder.mkdir()
        huggingface_out.write_tokenizer(folder, None, ours)
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        text = "It costs $5 in 1984."
        assert theirs(text).input_ids == encode_document(ours, text)[:-1]
        assert tokenizer_json.read_tokenizer(folder).bos_id == ours.bos_id
