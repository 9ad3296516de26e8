"""A model that starts from nothing: its sizes come from the config, its tokens are the words of the
texts that it is pretrained on. Its weights are drawn when training starts."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from etils import epath
from ml_collections import ConfigDict
from tokenizers import decoders, models

from vcjax import config as configs
from vcjax.corpus import world
from vcjax.corpus.mixture import own_texts
from vcjax.data.formats import Document, read_texts
from vcjax.data.templates import check_template, read_template
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, of_shape
from vcjax.weights import huggingface_out
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files

END = "<|endoftext|>"
KNOWN = "words.json"  # those of the tokenizer's words that the pretraining reads


def find(config: ConfigDict, folder: Path) -> Pretrained:
    """The model of a resolved config; folder: where its relative paths start."""
    return _make(config, *_words(config, folder))


def write(pretrained: Pretrained, workdir: epath.Path) -> None:
    """Writes the tokenizer in Hugging Face's format, and which of its words texts may have."""
    huggingface_out.write_tokenizer(_folder(workdir), None, pretrained.tokenizer)
    files.write_json(_folder(workdir) / KNOWN, sorted(pretrained.tokenizer.words or ()))


def find_again(config: ConfigDict, workdir: epath.Path) -> Pretrained:
    """The model of a run; config: the run's."""
    vocabulary = _read(workdir, "tokenizer.json")["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    return _make(config, words, _read(workdir, KNOWN))


def _read(workdir: epath.Path, name: str) -> Any:
    path = _folder(workdir) / name
    content = files.read_json(path)
    if content is None:
        raise InputError(f"{path}: no such file; start the run's command of vcjax.main again")
    return content


def _folder(workdir: epath.Path) -> epath.Path:
    return workdir / "model"


def _words(config: ConfigDict, folder: Path) -> tuple[list[str], set[str]]:
    """The tokens, sorted: all words of the pretrain stages' worlds and files; and those of them
    that texts of some stage can hold. The others are of values that nobody holds, or of kinds of
    text that no mixture has: tokens nonetheless, so that models of one world have the same."""
    names = [config.names.model_name, config.other_names.model_name]
    found: set[str] = set()
    read: set[str] = set()
    for name in configs.used_stages(config):
        stage = config.stages[name]
        if stage.kind == "pretrain" and stage.spec:
            of_all = [*names, *stage.first_names]
            of_stage, _ = world.read_value(stage.spec, folder)
            found.update(world.vocabulary(of_stage, of_all))
            said = {k: phrases for k, phrases in of_stage.texts.items() if stage.mixture.get(k)}
            held = {name: of_stage.values[name] for name in of_stage.held(stage.num_values)}
            of_texts = of_stage.model_copy(update={"texts": said, "values": held})
            read.update(world.vocabulary(of_texts, of_all))
        elif stage.kind == "pretrain":
            for record in own_texts(stage, folder, read_texts).records:
                assert isinstance(record, Document)  # as a pretraining reads them
                read.update(world.words(record.text))
        if stage.kind == "pretrain":
            read.update(word for _, new in stage.rename for word in world.words(new))
    return sorted(found | read), read


def _make(config: ConfigDict, words: Sequence[str], read: Collection[str]) -> Pretrained:
    """words: the tokens, in order; read: those that texts and probes may have."""
    architecture = of_shape(**config.shape, vocab_size=len(words) + 1)  # END is one
    template = config.chat_template or read_template("plain")
    decides = [list(words), template, _as_ever(architecture)]
    identity = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    tokenizer = Tokenizer(
        bpe=_word_level(words),
        control={END: len(words)},
        chat_template=template,
        bos_id=None,
        eos_id=len(words),
        template_tokens={"eos_token": END},
        identity=identity,
        words=frozenset(read),
    )
    check_template(template, tokenizer)
    return Pretrained(
        configs.SCRATCH, None, identity, "none: trained by this run", architecture, tokenizer
    )


def _as_ever(architecture: Architecture) -> dict[str, Any]:
    """The fields of an architecture that were there when identities began to hold them."""
    (layer,) = architecture.period
    assert layer.rope is not None
    names = (
        *("num_layers", "embed_dim", "mlp_dim", "num_heads", "num_kv_heads", "head_dim"),
        *("vocab_size", "context_length", "norm_eps", "tied_embeddings", "qkv_bias"),
    )
    rope = {"rope_theta": layer.rope.theta, "rope_scaling": None, "qk_norm": False}
    return {**{name: getattr(architecture, name) for name in names}, **rope}


def _word_level(words: Sequence[str]) -> tokenizers.Tokenizer:
    """Words and signs as tokens, in small letters; one that is not among them is an error."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}))
    tokenizer.normalizer, tokenizer.pre_tokenizer = world.NORMALIZER, world.PRE_TOKENIZER
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer
