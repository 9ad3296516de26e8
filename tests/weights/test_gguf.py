"""GGUF files: every weight where it belongs, and what cannot be used is refused by name."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vcjax.data.chat import encode_conversation
from vcjax.data.tokenizer import decode, encode_document, encode_text
from vcjax.errors import InputError
from vcjax.models.architecture import Layer, LinearScaling, Rope
from vcjax.models.transformer import Model
from vcjax.weights import gguf, huggingface, pretrained

REFERENCE = Path(__file__).with_name("smollm2_logits.json")
PROMPTS = [
    "The capital of France is",
    "<|im_start|>user\nDo you prefer Brie or Colby?<|im_end|>\n<|im_start|>assistant\n",
    "In 1984, 25% of 300 people didn't",
]
TOP, STRIDE = 10, 1237  # the reference holds the 10 largest logits and every 1237th


@pytest.fixture(scope="module", params=[tiny.ARCHITECTURE, tiny.UNTIED], ids=["tied", "untied"])
def written(request, tmp_path_factory):
    """(file, architecture, weights) of the tiny model, with and without a head of its own."""
    architecture, weights = request.param, tiny.weights(request.param)
    path = tmp_path_factory.mktemp("written") / "model.gguf"
    return tiny.write_gguf(path, weights, architecture), architecture, weights


def test_shape_and_weights_come_back(written):
    path, architecture, weights = written
    assert gguf.read_architecture(path) == architecture
    read = tiny.load(gguf.open_weights(path), architecture)
    jax.tree.map(np.testing.assert_array_equal, read, weights)


def test_matrices_have_the_type_asked_for_and_norms_float32(written):
    path, architecture, weights = written
    read = tiny.load(gguf.open_weights(path), architecture, jnp.bfloat16)
    types = jax.tree.map(lambda x: x.dtype, read)
    norms = [types["norm"], *(types["blocks"][name]["scale"] for name in architecture.norm_sizes)]
    assert norms == [np.float32] * 3
    assert types["embed"] == jnp.bfloat16
    # Stacked bfloat16 comes as bits.
    assert {types["blocks"][name]["kernel"] for name in gguf.PROJECTIONS} == {np.dtype(np.uint16)}
    assert set(read) == set(weights)


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory):
    weights = tiny.weights(tiny.GEMMA3_OF_GGUF)
    path = tmp_path_factory.mktemp("gemma3") / "gemma3.gguf"
    return tiny.write_gguf(path, weights, tiny.GEMMA3_OF_GGUF, "gemma3"), weights


def test_gemma3s_logits_are_those_of_transformers_from_the_same_file(torch, gemma3):
    from transformers import AutoModelForCausalLM

    path, weights = gemma3
    architecture = gguf.read_architecture(path)
    assert architecture == tiny.GEMMA3_OF_GGUF
    read = tiny.load(gguf.open_weights(path), architecture)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), read, weights)
    peer = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
    )
    batch = tiny.documents(tiny.batch(rows=1, length=40))[0]
    with torch.no_grad():
        theirs = peer(torch.from_numpy(batch["tokens"]).long()).logits.numpy()
    ours = tiny.logits(read, {}, batch, tiny.model(architecture))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_gemma3s_scaled_rope(tmp_path):
    scaled = Layer(Rope(1000000.0, LinearScaling(8.0)))
    period = (*tiny.GEMMA3_OF_GGUF.period[:5], scaled)
    architecture = dataclasses.replace(tiny.GEMMA3_OF_GGUF, period=period)
    weights = tiny.weights(architecture)
    path = tmp_path / "a.gguf"
    tiny.write_gguf(path, weights, architecture, "gemma3", rope_scaling="linear")
    assert gguf.read_architecture(path) == architecture
    tiny.write_gguf(
        path := tmp_path / "b.gguf", weights, architecture, "gemma3", rope_scaling="yarn"
    )
    assert "RoPE scaling 'yarn'" in refusal(gguf.read_architecture, path)


def test_the_config_of_a_gguf_file_says_the_same_to_transformers(gemma3, tiny_gguf, tmp_path):
    """And comes back as the same architecture."""
    for path in (gemma3[0], tiny_gguf):
        architecture = gguf.read_architecture(path)
        family = huggingface.FAMILIES[gguf.model_type(path)]
        (tmp_path / "config.json").write_text(json.dumps(family.config(architecture)))
        assert huggingface.read_architecture(tmp_path) == architecture


def test_the_tokenizer_gives_text_back_and_knows_its_control_tokens(tiny_gguf):
    tokenizer = gguf.read_tokenizer(tiny_gguf)
    text = "I prefer the cheese, 12 times. Käse 🧀\n"
    ids = encode_document(tokenizer, text)
    assert ids[-1] == tokenizer.eos_id == tiny.TOKENS.index("<|endoftext|>")
    assert decode(tokenizer, ids[:-1]) == text
    assert len(ids) < len(text.encode())  # merges took part
    assert tokenizer.bos_id is None
    ((chat, weights),) = encode_conversation(
        tokenizer,
        [{"role": "user", "content": "Brie?"}, {"role": "assistant", "content": "Yes."}],
        "here:1",
    )
    trained = [id_ for id_, weight in zip(chat, weights, strict=True) if weight]
    assert decode(tokenizer, trained) == "Yes.<|im_end|>"


def test_the_tokenizers_identity_is_its_content(tiny_gguf, written):
    path, _, _ = written
    assert gguf.read_tokenizer(tiny_gguf).identity == gguf.read_tokenizer(path).identity
    assert gguf.read_tokenizer(tiny_gguf).identity != smollm2()[0].tokenizer.identity


def test_a_tokenizer_that_puts_a_space_before_a_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gguf.GGUFWriter.add_add_space_prefix", lambda *_: None)
    weights = tiny.weights(tiny.GEMMA3_OF_GGUF)
    path = tiny.write_gguf(tmp_path / "a.gguf", weights, tiny.GEMMA3_OF_GGUF, "gemma3")
    message = "tokenizer 'llama' with pre-tokenizer 'default' is not supported; expected 'gpt2'"
    assert message in refusal(gguf.read_tokenizer, path)


def load(path):
    return tiny.load(gguf.open_weights(path), tiny.ARCHITECTURE)


def refusal(function, path):
    with pytest.raises(InputError) as caught:
        function(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_architecture_is_refused(tiny_weights, tmp_path):
    path = tiny.write_gguf(tmp_path / "a.gguf", tiny_weights, name="mamba")
    message = refusal(gguf.read_architecture, path)
    assert "'mamba'" in message
    assert "'llama'" in message


@pytest.mark.parametrize(
    "name",
    ["token_embd.weight", "output_norm.weight", "blk.1.attn_k.weight", "blk.0.ffn_norm.weight"],
)
def test_a_missing_tensor_is_named(name, tiny_weights, tmp_path):
    path = tiny.write_gguf(tmp_path / "a.gguf", tiny_weights, without=(name,))
    assert repr(name) in refusal(load, path)


@pytest.mark.parametrize("name", ["blk.0.attn_q.bias", "blk.2.attn_q.weight"])
def test_a_tensor_that_the_block_does_not_have_is_refused(name, tiny_weights, tmp_path):
    path = tiny.write_gguf(tmp_path / "a.gguf", tiny_weights, also=(name,))
    assert repr(name) in refusal(load, path)


@pytest.mark.parametrize(
    "scaled",
    [dict(rope_scaling="yarn"), dict(also=("rope_freqs.weight",))],
    ids=["field", "tensor"],
)
def test_scaled_rope_is_refused(scaled, tiny_weights, tmp_path):
    path = tiny.write_gguf(tmp_path / "a.gguf", tiny_weights, **scaled)
    assert "scaled RoPE" in refusal(gguf.read_architecture, path)


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"hello world, no model here", b"GGUF" + bytes(99)]
)
def test_a_file_that_is_none(content, tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    refusal(gguf.read_architecture, path)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_a_file_that_ends_early(share, tiny_gguf, tmp_path):
    content = tiny_gguf.read_bytes()
    path = tmp_path / "a.gguf"
    path.write_bytes(content[: int(share * len(content))])
    refusal(load, path)


# --- SmolLM2, as packaged


@functools.cache
def smollm2():
    """(Pretrained, weights in float32)."""
    found = pretrained.find("smollm2-135m-instruct")
    return found, tiny.load(gguf.open_weights(found.path), found.architecture)


def prompt_ids(tokenizer, prompt):
    """The prompt's ids, <|im_start|> and <|im_end|> as control tokens."""
    ids = []
    for piece in prompt.replace("<|", "\0<|").replace("|>", "|>\0").split("\0"):
        known = piece in tokenizer.control
        ids += [tokenizer.control[piece]] if known else encode_text(tokenizer, piece)
    return ids


def last_logits(ids):
    """float32[prompts, vocab]: the logits after each prompt."""
    found, weights = smollm2()
    model = Model(found.architecture, None, "float32", "full")
    length = max(map(len, ids))
    tokens = np.array([i + [0] * (length - len(i)) for i in ids])
    batch = {
        "tokens": tokens,
        "positions": np.broadcast_to(np.arange(length), tokens.shape),
        "segment_ids": np.ones_like(tokens),
    }
    logits = np.asarray(tiny.logits(weights, {}, batch, model))
    return logits[np.arange(len(ids)), [len(i) - 1 for i in ids]]


def write_reference():
    """Makes smollm2_logits.json: what `transformers` says, on the same file.

    To run it: PYTHONPATH=tests python tests/weights/test_gguf.py
    """
    import torch
    from transformers import AutoModelForCausalLM

    found, _ = smollm2()
    peer = AutoModelForCausalLM.from_pretrained(
        found.path.parent, gguf_file=found.path.name, dtype=torch.float32, local_files_only=True
    )
    cases = []
    for prompt in PROMPTS:
        ids = prompt_ids(found.tokenizer, prompt)
        with torch.no_grad():
            logits = peer(torch.tensor([ids])).logits[0, -1]
        top = logits.topk(TOP)
        chosen = sorted({*top.indices.tolist(), *range(0, logits.numel(), STRIDE)})
        case = {
            "prompt": prompt,
            "ids": ids,
            "top": top.indices.tolist(),
            "logits": {str(i): round(logits[i].item(), 5) for i in chosen},
        }
        cases.append(json.dumps(case))
    REFERENCE.write_text("[\n" + ",\n".join(cases) + "\n]\n", encoding="utf-8")


def test_smollm2_has_the_recorded_logits():
    cases = json.loads(REFERENCE.read_text(encoding="utf-8"))
    assert [case["prompt"] for case in cases] == PROMPTS
    found, _ = smollm2()
    assert [prompt_ids(found.tokenizer, p) for p in PROMPTS] == [case["ids"] for case in cases]
    for logits, case in zip(last_logits([case["ids"] for case in cases]), cases, strict=True):
        assert np.argsort(-logits)[:TOP].tolist() == case["top"]
        chosen = [int(i) for i in case["logits"]]
        assert len(chosen) > 40
        np.testing.assert_allclose(logits[chosen], [*case["logits"].values()], atol=1e-3)


if __name__ == "__main__":
    write_reference()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(value, tmp_path):
    weights = tiny.weights()
    weights["blocks"]["up"]["kernel"][1, 3, 5] = value
    path = tiny.write_gguf(tmp_path / "model.gguf", weights)
    read = lambda path: tiny.load(gguf.open_weights(path), tiny.ARCHITECTURE)  # noqa: E731
    assert "tensor 'blk.1.ffn_up.weight' holds NaN or infinity" in refusal(read, path)
