"""Turn a dense language model into a mixture of experts in four stages.

They are those of Innovator (arXiv 2507.18671).

Induction trains one coarse expert per discipline next to the frozen feed-forward network, split cuts each into finer
ones, routing trains the router alone, integration trains everything. `export` writes a standard Hugging Face
`Qwen2MoeForCausalLM` checkpoint, `verify` proves that it is the same function, and `plan` counts all of it beforehand.
"""
