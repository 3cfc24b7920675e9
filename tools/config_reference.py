"""Write docs/configuration.md from the schema.

Run `python -m tools.config_reference > docs/configuration.md`.

A test compares the file with `page()`, so a changed default cannot leave the page behind.
"""

import sys
from typing import Any

from pydantic import BaseModel

from innovator_rl.config.schema_introspection import Setting, sections, settings
from innovator_rl.config.sft import SftConfig
from innovator_rl.integrations.verl.verl_overrides import UNSUPPORTED_KEYS

HEAD = """# Configuration of a run

Every setting of `innovator train CONFIG`, generated from `innovator_rl/config/schema.py` by
`python -m tools.config_reference`; do not edit it by hand.

A run is a YAML file with the sections below; what it leaves out has the default. Words after the file change single
settings: `innovator train configs/train/demo.yaml schedule.steps=5 algorithm.learning_rate=1e-5`. An unknown key, a
value of the wrong type and a key given twice are errors; `innovator doctor CONFIG` shows what else is wrong, without
starting anything. `auto` is decided by `innovator_rl/config/resolve.py`.
"""

VERL = """## `verl`: everything else

Any key of verl's own `ppo_trainer` configuration, nested or dotted, for example

```yaml
verl:
  actor_rollout_ref.actor.fsdp_config.param_offload: true
  trainer: {balance_batch: false}
```

Each key is checked against the installed verl. A key that verl does not have is an error with the near ones, a key that
a setting above decides is an error that names the setting, and a `+` is an error too. verl 0.9.1 accepts these keys, and
they do nothing in a run:

| verl key | why it does nothing here | use |
|---|---|---|
"""


SFT = """## Supervised fine-tuning

Every setting of `innovator sft CONFIG`, generated from `innovator_rl/config/sft.py`. `docs/sft.md` says how to use them.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD]
    for key, model in sections():
        own = [setting for setting in settings() if setting.section == key and setting.key != "verl"]
        title = f"## `{key}`" if key else "## The run"
        if key.count("."):
            title = f"### `{key}`"
        parts.append(_table(title, model, own))
    retired = [
        f"| `{key.rstrip('.')}{'.*' if key.endswith('.') else ''}` | {why} | {_use(use)} |"
        for key, (why, use) in UNSUPPORTED_KEYS.items()
    ]
    parts.append(VERL + "\n".join(retired) + "\n")
    parts.append(SFT)
    for key, model in sections(SftConfig):
        own = [setting for setting in settings(SftConfig) if setting.section == key]
        title = f"### `{key}` of `innovator sft`" if key else "### The run of `innovator sft`"
        parts.append(_table(title, model, own))
    return "\n".join(parts)


def _table(title: str, model: type[BaseModel], own: list[Setting]) -> str:
    doc = (model.__doc__ or "").strip().split("\n")[0]
    rows = [f"| `{s.key}` | {_cell(s.type)} | {_default(s.default)} | {_cell(s.description)} |" for s in own]
    return "\n".join([title, "", doc, "", "| setting | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _use(text: str) -> str:
    return "—" if text.startswith("nothing") else text


def _default(value: Any) -> str:
    if value is None:
        return "`null`"
    if value == ():
        return "`[]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(page())
