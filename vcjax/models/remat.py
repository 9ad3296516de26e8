"""Remat policies by name: what is stored of a block for the backward pass; the rest it recomputes.

"attended" is the attention's output (with its normaliser, where a kernel has one), "middle" what
the MLP's output is added to, "inner" what lies between A and B of an adapter. From little memory
and much work to the opposite; "offload" keeps all but what the MLP computes, most of it in the
memory of the host. Imports no JAX, so that a config can be checked without it.
"""

KEPT: dict[str, tuple[str, ...]] = {
    "full": (),
    "offload": ("attended", "middle", "q", "k", "v", "inner"),
    "attended": ("attended", "middle"),
    "middle": ("attended", "middle", "q"),
    "attention": ("attended", "q", "k", "v"),
    "gate": ("attended", "middle", "q", "k", "v", "gate"),
    "dots": ("attended", "middle", "q", "k", "v", "gate", "up", "inner"),
    "none": ("attended", "middle", "q", "k", "v", "gate", "up", "inner"),  # and all between them
}
