"""Fine-tune a model on conversations, with verl's own trainer.

`rows` checks and measures conversations, `preflight` finds what is wrong with a run before it starts, `launch` runs the
ranks and records what they report, `progress` shows it. What knows verl is in `innovator_rl.integrations.verl.sft_*`;
the settings are in `innovator_rl.config.sft`.
"""
