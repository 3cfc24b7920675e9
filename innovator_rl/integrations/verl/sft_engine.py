"""Register the engine that supervised fine-tuning trains with.

It is verl's FSDP engine with router statistics, and it keeps the form of an upcycled mixture of experts
(shared_expert_gate.py). The engine that shares prompts between responses has nothing to share here, so on a CPU the
plain one takes its place. verl imports this module in every rank through `model.external_lib`.
"""

from innovator_rl.integrations.verl.fsdp_engine import InstrumentedFSDPEngine, _register

_register(InstrumentedFSDPEngine, "cuda")
_register(InstrumentedFSDPEngine, "cpu")
