"""TRL's supervised fine-tuning of a model with random weights, timed update by update.

    python benchmarks/peers/trl_gpu.py FOLDER lora|full ROWS LENGTH UPDATES [checkpointing] [liger]

FOLDER: config.json of the model and documents.json, lists of token ids. TRL packs them (best fit)
and trains as its users do: bfloat16 autocast, fused AdamW, PEFT's LoRA of rank 64 on all seven
projections of a bfloat16 base, or all weights in float32. Attention is FlashAttention-2 as PyTorch
has it, document by document. checkpointing: activations are recomputed, which is TRL's default;
liger: Liger's kernels. The last line is JSON: seconds of each update, tokens of one, the losses,
the peak memory.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import peft
import torch
import transformers
import trl
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.nn.attention.varlen import varlen_attn

RANK, ALPHA, RATE = 64, 128, 1e-4
ATTENTION = "varlen_of_torch"  # a name with "flash" in it would ask for the package flash-attn


def attend(module, query, key, value, attention_mask, scaling=None, **found):
    """query, key, value: [1, heads, tokens, size]; the bounds come from TRL's collator."""
    del module, attention_mask
    q, k, v = (x[0].swapaxes(0, 1).to(torch.bfloat16) for x in (query, key, value))
    # What takes fewer heads of keys differs from version to version.
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    bounds, longest = found["cu_seq_lens_q"], found["max_length_q"]
    causal: dict[str, Any] = dict(scale=scaling, window_size=(-1, 0))
    return varlen_attn(q, k, v, bounds, bounds, longest, longest, **causal)[None], None


class Clock(transformers.TrainerCallback):
    """The seconds of every update, the device waited for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *args, **kwargs):
        torch.cuda.synchronize()
        self.began = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.began)


def make_model(folder: Path, train: str) -> transformers.PreTrainedModel:
    config = transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = ATTENTION
    config.use_cache = False
    dtype = torch.float32 if train == "full" else torch.bfloat16
    with torch.device("cuda"):
        return transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)


def main() -> None:
    place, train, rows, length, updates, *options = sys.argv[1:]
    folder = Path(place)
    transformers.AttentionInterface.register(ATTENTION, attend)
    transformers.AttentionMaskInterface.register(ATTENTION, lambda *args, **kwargs: None)
    documents = json.loads((folder / "documents.json").read_text())
    clock = Clock()
    trainer = trl.SFTTrainer(
        model=make_model(folder, train),
        args=trl.SFTConfig(
            output_dir=str(folder / "trl"),
            per_device_train_batch_size=int(rows),
            max_length=int(length),
            packing=True,
            max_steps=int(updates),
            learning_rate=RATE,
            gradient_checkpointing="checkpointing" in options,
            use_liger_kernel="liger" in options,
            bf16=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_dict({"input_ids": documents}),
        processing_class=transformers.PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel({"<end>": 0}, unk_token="<end>")),
            eos_token="<end>",
            pad_token="<end>",
        ),
        peft_config=peft.LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        if train == "lora"
        else None,
        callbacks=[clock],
    )
    trainer.train()
    logged = [line for line in trainer.state.log_history if "loss" in line]
    found = dict(
        seconds=clock.seconds,
        tokens=logged[-1]["num_tokens"] / len(logged),
        losses=[line["loss"] for line in logged],
        memory_gb=torch.cuda.max_memory_allocated() / 1e9,
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
