"""Compose the verl configuration of a run.

The layers are, from the bottom: verl's own `ppo_trainer` configuration from the installed package, the settings of the
run, and the checked `verl:` section. Because verl's own configuration is the ground, a key that verl renamed stops the
run here and not silently later.
"""

from omegaconf import DictConfig, OmegaConf, open_dict

from innovator_rl.config.resolve import RuntimeContext
from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.settings import verl_settings
from innovator_rl.integrations.verl.stock import flatten, stock
from innovator_rl.integrations.verl.verl_overrides import problems


def to_verl(config: RunConfig, context: RuntimeContext) -> DictConfig:
    """Compose verl's complete configuration for a run.

    Args:
        config: the run.
        context: what launch resolved for it: model folder, data files, platform.

    Raises:
        UserError: keys under `verl:` that verl would ignore or that belong to a setting of the run, one per line.
    """
    wrong = problems(config, context)
    if wrong:
        raise UserError("\n".join(f"verl.{problem.key}: {problem.why}; {problem.fix}" for problem in wrong))
    result = stock()
    with open_dict(result):
        for setting in verl_settings(config, context):
            OmegaConf.update(result, setting.key, setting.value, merge=True, force_add=True)
        for key, value in flatten(config.verl).items():
            OmegaConf.update(result, key, value, merge=False, force_add=True)
    OmegaConf.set_struct(result, True)
    return result
