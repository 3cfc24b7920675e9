"""Example 3: upcycling.

What: a tiny dense model becomes a mixture of experts in four stages, and the export is compared with it.
Why:  the same calls, with another configuration, upcycle Qwen2.5-7B (configs/upcycle/innovator-53b.yaml).
Run:  python examples/03_upcycle_tiny.py [RUNS_DIR]

Expected end of the output:

    Qwen2MoeForCausalLM: 2 layers, 40 experts, 8 active per token
"""

import json
import sys

import innovator_rl as ir


def main() -> None:
    """Upcycle the model of configs/upcycle/tiny.yaml and describe the result."""
    folder = ir.upcycle("tiny", runs_dir=sys.argv[1] if len(sys.argv) > 1 else "runs")
    config = json.loads((folder / "config.json").read_text())
    print(
        f"{config['architectures'][0]}: {config['num_hidden_layers']} layers, "
        f"{config['num_experts']} experts, {config['num_experts_per_tok']} active per token"
    )


if __name__ == "__main__":
    main()
