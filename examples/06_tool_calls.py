"""Example 6: a model trains to call a tool.

What: SmolLM2-135M is asked for products that it cannot compute, and may call a calculator; prompts show two calls.
Why:  only tokens that the model wrote are trained on; what the tool returned is context, and the record marks it.
Run:  python examples/06_tool_calls.py            trains the shipped configuration `tools` first (minutes on a CPU)
      python examples/06_tool_calls.py runs/tools reads a run that is there

Expected output: calls and right answers of each step, and the turns of a right response of the last one:
    step 1: 24 of 40 responses called a tool, 10 were right
    model: {"name": "calculator", "arguments": {"expression": "77 * 53"}}
    calculator (not trained on): 4081
    model: Answer: 4081
"""

import json
import sys

import innovator_rl as ir

STEPS = """
    SELECT step, count(*) AS responses, count(turns) AS called, count(*) FILTER (correct) AS correct
    FROM rollouts GROUP BY step ORDER BY step
"""
LAST = """
    SELECT turns FROM rollouts WHERE correct AND turns IS NOT NULL ORDER BY step DESC, prompt_uid, sample LIMIT 1
"""


def show(run: ir.Run) -> None:
    """Print how often the model called a tool, and the turns of one response."""
    rollouts = run.rollouts(kind="train")
    for step, responses, called, correct in rollouts.query("rollouts", STEPS).fetchall():
        print(f"step {step}: {called} of {responses} responses called a tool, {correct} were right")
    for (turns,) in rollouts.query("rollouts", LAST).fetchall():
        for turn in json.loads(turns):
            for call in turn.get("tool_calls", []):
                print("model:", json.dumps(call["function"]))
            if turn["content"]:
                who = "model" if turn["trained"] else f"{turn['name']} (not trained on)"
                print(f"{who}: {turn['content']}")


def main() -> None:
    """Show the run of the command line, or train one."""
    show(ir.open_run(sys.argv[1]) if len(sys.argv) > 1 else ir.train("tools"))


if __name__ == "__main__":
    main()
