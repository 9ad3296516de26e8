"""The command that serves exported adapters together in vLLM."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

# What --max-lora-rank may be.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def command(
    base: str,
    revision: str | None,
    adapters: Mapping[str, Path],
    rank: int,
    chat_template: Path | None,
    untouched: str | None,
) -> str:
    """One line of a shell.

    base, revision: the model, as vLLM finds it. adapters: name -> folder; rank: the largest of
    theirs. chat_template: a file, where it is not the base's own. untouched: the name of the base
    without adapters, None for its own.
    """
    fits = next((allowed for allowed in RANKS if allowed >= rank), None)
    if fits is None:
        return f"# vLLM serves adapters of a rank up to {RANKS[-1]}; of {rank}: --format=merged"
    words = ["vllm", "serve", base, *(["--revision", revision] if revision else [])]
    words += ["--served-model-name", untouched] if untouched else []
    words += ["--chat-template", str(chat_template)] if chat_template else []
    words += ["--enable-lora", "--max-lora-rank", str(fits), "--lora-modules"]
    words += [_module(name, str(folder)) for name, folder in adapters.items()]
    return shlex.join(words)


def _module(name: str, folder: str) -> str:
    """NAME=FOLDER; as JSON where one of them has a sign that vLLM would take for its own."""
    text = f"{name}={folder}"
    if text.count("=") > 1 or "," in text or text.startswith("{"):
        return json.dumps({"name": name, "path": folder})
    return text
