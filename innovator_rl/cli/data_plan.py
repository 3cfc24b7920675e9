"""Implement `innovator data plan`: what the text of an upcycling run gives and takes."""

from typing import Annotated

import typer

from innovator_rl.cli.upcycle_inputs import Config, Settings, load_config


def plan_command(
    config: Config,
    settings: Settings = None,
    cores: Annotated[int, typer.Option(min=1, help="Cores that tokenize, for the hours.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Count the tokens, disk, windows, fill and tokenizer hours of an upcycling configuration's text."""
    import json

    from upcycle.data.text_plan import as_dict, plan_text
    from upcycle.training.memory import peak_resident

    loaded = load_config(config, settings)
    every = [*loaded.disciplines.values(), loaded.general]
    tokenizer = None
    if any(source.paths for listed in every for source in listed):
        from upcycle.checkpoint.base_model import base_model_config, base_model_folder
        from upcycle.data.tokens import load_tokenizer

        tokenizer = load_tokenizer(base_model_folder(loaded), base_model_config(loaded))
    plans = []
    for plan in plan_text(loaded, tokenizer):
        plans.append(plan)
        if not as_json:
            about = "" if plan.exact else "about "
            epochs = ", ".join(f"{stage} reads it {number:.3g} times" for stage, number in plan.epochs.items())
            typer.echo(
                f"{plan.name}: {about}{plan.tokens:,} tokens in {plan.documents:,} documents, {plan.windows:,} windows of "
                f"{loaded.data.sequence_length}, fill {plan.fill:.2%}, {plan.disk_bytes / 1e6:,.1f} MB to write; {epochs}"
            )
    memory = peak_resident()
    if as_json:
        typer.echo(json.dumps({"text": as_dict(plans), "peak_memory_bytes": memory}))
        return
    tokens, hours = sum(plan.tokens for plan in plans), sum(plan.hours for plan in plans) / cores
    disk = sum(plan.disk_bytes for plan in plans) / 1e9
    typer.echo(
        f"all: {tokens:,} tokens, {disk:,.3f} GB to write, {hours:,.2g} hours to tokenize the files on {cores} core"
        f"{'s' if cores > 1 else ''} at the speed measured here; memory {memory / 2**20:.0f} MiB, whatever the size: "
        "tokens and windows are mapped from disk"
    )
