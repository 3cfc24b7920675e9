"""Check the algorithm's arithmetic, such as groups, mini-batches and lengths."""

import math
from collections.abc import Iterator
from difflib import get_close_matches

from innovator_rl.config.resolve import cut_distributions
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.override_values import SEQUENCE_CLIP
from innovator_rl.packaged_files import config_names, find_config
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic

SHORTEST_RESPONSE = 4
"""Tokens: one for an answer, one for the end, and some for either to be split."""
LARGEST_DECAY, LARGEST_ENTROPY = 0.5, 0.1
"""Above these the decay or the bonus outweighs the reward: usual values are 0 to 0.1 and 0 to 0.01."""

COLDEST, HOTTEST = 0.05, 2.0
"""Temperatures at which responses of a group differ and are still the model's language."""


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check what needs nothing but the run and the kind of its model."""
    yield from _groups(context)
    yield from _without_dynamic_sampling(context)
    yield from _ahead(context)
    yield from _sampling(context)
    yield from _clipping(context)
    yield from _correction(context)
    yield from _learning_rate(context)
    yield from _regularization(context)
    yield from _schedule(context)
    yield from _validation_suites(context)


def _groups(context: PreflightContext) -> Iterator[Diagnostic]:
    config, algorithm = context.config, context.config.algorithm
    size, update, step = config.rollout.samples_per_prompt, config.prompts_per_update, algorithm.prompts_per_step
    if size == 1:
        yield Diagnostic(
            setting="rollout.samples_per_prompt",
            value=1,
            why="GRPO compares the responses of a group, and a group of one teaches nothing",
            fix="set 4 or more",
        )
    if update > step:
        yield Diagnostic(
            setting="algorithm.prompts_per_update",
            value=update,
            why=f"an update cannot take more groups than a step has ({step})",
            fix=f"set at most {step}",
        )
    elif step % update:
        fits = [n for n in range(1, step + 1) if step % n == 0]
        yield Diagnostic(
            setting="algorithm.prompts_per_update",
            value=update,
            why=f"does not divide algorithm.prompts_per_step = {step}",
            fix=f"set one of {fits}",
        )
    if (update * size) % context.workers:
        yield Diagnostic(
            setting="algorithm.prompts_per_step"
            if algorithm.prompts_per_update is None
            else "algorithm.prompts_per_update",
            value=update,
            why=f"{update} groups of {size} responses do not divide over {context.workers} accelerators",
            fix=f"make it a multiple of {context.workers}",
        )
    sampling = algorithm.dynamic_sampling
    if sampling.enabled and sampling.max_rounds == 1:
        yield Diagnostic(
            setting="algorithm.dynamic_sampling.max_rounds",
            value=1,
            why="no dropped group can be replaced",
            fix="set 2 or more, or enabled=false",
            severity="warning",
        )
    if sampling.stall_seconds <= config.reward.timeout_seconds:
        yield Diagnostic(
            setting="algorithm.dynamic_sampling.stall_seconds",
            value=sampling.stall_seconds,
            why=f"a rewarder may take reward.timeout_seconds = {config.reward.timeout_seconds}, so a slow one would look "
            "like a stall",
            fix=f"set more than {config.reward.timeout_seconds}",
        )


def _without_dynamic_sampling(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check what follows from comparing the samples of a group, which nothing does without dynamic sampling."""
    config, sampling = context.config, context.config.algorithm.dynamic_sampling
    if sampling.enabled:
        return
    if config.data.curriculum:
        yield Diagnostic(
            setting="data.curriculum",
            value=True,
            why="without algorithm.dynamic_sampling no group counts as all right or all wrong, so no prompt would be left out",
            fix="set algorithm.dynamic_sampling.enabled=true, or data.curriculum=false",
        )
    if sampling.metric_by_source:
        yield Diagnostic(
            setting="algorithm.dynamic_sampling.metric_by_source",
            value=dict(sampling.metric_by_source),
            why="algorithm.dynamic_sampling is off, so nothing is compared",
            fix="set algorithm.dynamic_sampling.enabled=true, or leave it out",
        )


def _ahead(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check what answers need that continue after an update (`rollout.max_staleness` above 0)."""
    rollout, resolved = context.config.rollout, context.resolved
    if rollout.max_staleness == 0:
        return
    moe = context.model is not None and context.model.is_moe
    if resolved.correction == "off" and not moe:
        yield Diagnostic(
            setting="algorithm.rollout_correction.level",
            value=context.config.algorithm.rollout_correction.level,
            why=f"answers up to rollout.max_staleness = {rollout.max_staleness} steps old would train as if the present policy "
            "had sampled them",
            fix="set token",
        )
    if rollout.seed_requests is True:
        yield Diagnostic(
            setting="rollout.seed_requests",
            value=True,
            why=f"with rollout.max_staleness = {rollout.max_staleness} a paused answer continues as a new request of the same "
            "seed, which draws the same random numbers again",
            fix="leave it auto, or set rollout.max_staleness=0",
        )


def _sampling(context: PreflightContext) -> Iterator[Diagnostic]:
    rollout, validation = context.config.rollout, context.config.rollout.validation
    if rollout.temperature < COLDEST:
        yield Diagnostic(
            setting="rollout.temperature",
            value=rollout.temperature,
            why="greedy rollouts make every response of a group the same",
            fix="set 1.0",
        )
    elif rollout.temperature > HOTTEST:
        yield Diagnostic(
            setting="rollout.temperature",
            value=rollout.temperature,
            why="tokens are drawn nearly at random: no response would be language",
            fix="set about 1.0",
        )
    elif not 0.5 <= rollout.temperature <= 1.5:
        yield Diagnostic(
            setting="rollout.temperature",
            value=rollout.temperature,
            why="training far from 1.0 narrows or blurs the groups",
            fix="set about 1.0",
            severity="warning",
        )
    cut, biased = cut_distributions(context.config), context.resolved.old_log_prob == "rollout"
    if "rollout.top_p" in cut:
        yield Diagnostic(
            setting="rollout.top_p",
            value=cut["rollout.top_p"],
            why="the rollout engine's probabilities are those of the cut distribution, not the policy's",
            fix="set 1.0" + (", or algorithm.old_log_prob=recompute" if biased else ""),
            severity="error" if biased else "warning",
        )
    if "verl.actor_rollout_ref.rollout.top_k" in cut:
        yield Diagnostic(
            setting="verl.actor_rollout_ref.rollout.top_k",
            value=cut["verl.actor_rollout_ref.rollout.top_k"],
            why="the rollout engine's probabilities are those of the cut distribution, not the policy's",
            fix="set -1" + (", or algorithm.old_log_prob=recompute" if biased else ""),
            severity="error" if biased else "warning",
        )
    if validation.temperature == 0 and validation.samples_per_prompt > 1:
        yield Diagnostic(
            setting="rollout.validation.samples_per_prompt",
            value=validation.samples_per_prompt,
            why="greedy validation gives the same response each time",
            fix="set 1, or rollout.validation.temperature above 0",
        )
    if rollout.max_response_tokens < SHORTEST_RESPONSE:
        yield Diagnostic(
            setting="rollout.max_response_tokens",
            value=rollout.max_response_tokens,
            why="no answer fits: every response would be cut",
            fix=f"set {SHORTEST_RESPONSE} or more, for example 1024",
        )
    longest = context.config.longest_prompt + rollout.max_response_tokens
    if context.platform == "cpu" and context.config.algorithm.micro_batch_tokens != "auto":
        why = "on CPU a micro-batch is one prompt group, whatever its tokens"
        tokens = context.resolved.micro_batch_tokens
        yield Diagnostic(
            setting="algorithm.micro_batch_tokens", value=tokens, why=why, fix="leave it auto", severity="warning"
        )
    elif context.resolved.micro_batch_tokens < longest:
        yield Diagnostic(
            setting="algorithm.micro_batch_tokens",
            value=context.resolved.micro_batch_tokens,
            why=f"one sequence may have {longest} tokens (data.max_prompt_tokens + rollout.max_response_tokens) and "
            "cannot be cut",
            fix=f"set at least {longest}",
        )
    yield from _overlong(context)


def _overlong(context: PreflightContext) -> Iterator[Diagnostic]:
    overlong, limit = context.config.algorithm.overlong, context.config.rollout.max_response_tokens
    if not overlong.enabled:
        return
    if context.resolved.overlong_buffer >= limit:
        yield Diagnostic(
            setting="algorithm.overlong.buffer_tokens",
            value=context.resolved.overlong_buffer,
            why=f"the whole response (rollout.max_response_tokens = {limit}) would be penalized",
            fix=f"set less than {limit}, for example {max(1, limit // 4)}",
        )
    elif context.resolved.overlong_buffer > limit // 2:
        yield Diagnostic(
            setting="algorithm.overlong.buffer_tokens",
            value=context.resolved.overlong_buffer,
            why=f"more than half of a response (rollout.max_response_tokens = {limit}) would be penalized",
            fix=f"set about {max(1, limit // 4)}",
            severity="warning",
        )
    if overlong.penalty == 0:
        yield Diagnostic(
            setting="algorithm.overlong.penalty",
            value=0.0,
            why="a penalty of 0 does nothing",
            fix="set 1.0 or algorithm.overlong.enabled=false",
            severity="warning",
        )


def _clipping(context: PreflightContext) -> Iterator[Diagnostic]:
    algorithm = context.config.algorithm
    if algorithm.clip_low > algorithm.clip_high:
        yield Diagnostic(
            setting="algorithm.clip_high",
            value=algorithm.clip_high,
            why=f"below algorithm.clip_low = {algorithm.clip_low}: clip-higher is upside down and exploration dies",
            fix=f"set at least {algorithm.clip_low}",
        )
    if algorithm.policy_loss == "gspo" and algorithm.clip_high > SEQUENCE_CLIP:
        yield Diagnostic(
            setting="algorithm.clip_high",
            value=algorithm.clip_high,
            why="algorithm.policy_loss=gspo clips the mean ratio of a response, which never moves this far",
            fix="set algorithm.preset=gspo, or clip_low=3e-4 clip_high=4e-4",
        )
    if algorithm.dual_clip <= 1 + algorithm.clip_high:
        yield Diagnostic(
            setting="algorithm.dual_clip",
            value=algorithm.dual_clip,
            why=f"inside the clip range, which ends at {1 + algorithm.clip_high}",
            fix=f"set well above {1 + algorithm.clip_high}, for example {max(10, round(10 * (1 + algorithm.clip_high)))}",
        )


def _correction(context: PreflightContext) -> Iterator[Diagnostic]:
    algorithm, resolved = context.config.algorithm, context.resolved
    moe = context.model is not None and context.model.is_moe
    if moe and resolved.correction == "off":
        yield Diagnostic(
            setting="algorithm.rollout_correction.level",
            value=algorithm.rollout_correction.level,
            why="a mixture of experts routes differently in the rollout engine and in training; uncorrected runs collapse",
            fix="set token",
        )
    if algorithm.rollout_correction.lower is not None and resolved.correction == "off":
        yield Diagnostic(
            setting="algorithm.rollout_correction.lower",
            value=algorithm.rollout_correction.lower,
            why="no weights are computed: algorithm.rollout_correction.level is off",
            fix="set algorithm.rollout_correction.level=token",
        )
    if resolved.old_log_prob == "rollout" and resolved.correction != "off":
        yield Diagnostic(
            setting="algorithm.old_log_prob",
            value="rollout",
            why=f"algorithm.rollout_correction.level={resolved.correction} compares the rollout engine with a second "
            "pass, which this leaves out",
            fix="set recompute, or algorithm.rollout_correction.level=off",
        )
    elif resolved.old_log_prob == "rollout" and resolved.dtype != resolved.rollout_dtype:
        yield Diagnostic(
            setting="algorithm.old_log_prob",
            value="rollout",
            why=f"rollouts in {resolved.rollout_dtype} and training in {resolved.dtype} differ where the ratio should be 1",
            fix="set recompute, or rollout.dtype equal to model.dtype",
        )


def _learning_rate(context: PreflightContext) -> Iterator[Diagnostic]:
    rate = context.config.algorithm.learning_rate
    parameters = context.model.params_total if context.model else None
    large = parameters is not None and parameters > 50_000_000
    if rate > (1e-4 if large else 1e-2):
        size = f"{parameters / 1e6:.0f} M parameters" if parameters else "any model"
        yield Diagnostic(
            setting="algorithm.learning_rate",
            value=rate,
            why=f"AdamW moves each weight by about this much a step: {size} would forget its language",
            fix="set 1e-6 to 1e-5",
        )
    elif large and rate > 2e-5:
        yield Diagnostic(
            setting="algorithm.learning_rate",
            value=rate,
            why="ten times what post-training usually takes",
            fix="set 1e-6 to 1e-5",
            severity="warning",
        )


def _regularization(context: PreflightContext) -> Iterator[Diagnostic]:
    algorithm = context.config.algorithm
    for name, value, largest, usual in (
        ("weight_decay", algorithm.weight_decay, LARGEST_DECAY, "0 to 0.1"),
        ("entropy_coefficient", algorithm.entropy_coefficient, LARGEST_ENTROPY, "0 to 0.01"),
    ):
        if value > largest:
            yield Diagnostic(
                setting=f"algorithm.{name}",
                value=value,
                why="outweighs the reward: the model would lose what it knows",
                fix=f"set {usual}",
            )


def _schedule(context: PreflightContext) -> Iterator[Diagnostic]:
    schedule, warmup = context.config.schedule, context.config.algorithm.warmup_steps
    if warmup >= schedule.steps:
        yield Diagnostic(
            setting="algorithm.warmup_steps",
            value=warmup,
            why=f"the learning rate is never reached in schedule.steps = {schedule.steps}",
            fix=f"set less than {schedule.steps}",
        )
    if schedule.validate_every > schedule.steps and not schedule.validate_before:
        yield Diagnostic(
            setting="schedule.validate_every",
            value=schedule.validate_every,
            why=f"the run has {schedule.steps} steps and is not validated before them: nothing to compare the end with",
            fix=f"set at most {schedule.steps}, schedule.validate_before=true, or 0 for no validation",
        )
    if schedule.save_every > schedule.steps:
        yield Diagnostic(
            setting="schedule.save_every",
            value=schedule.save_every,
            why=f"the run has {schedule.steps} steps: it is saved at its end alone, and one that dies begins again",
            fix=f"set at most {max(1, schedule.steps // 2)}",
            severity="warning",
        )
    if schedule.keep_best and not (schedule.save_every and schedule.validate_every):
        yield Diagnostic(
            setting="schedule.keep_best",
            value=True,
            why="the best checkpoint is one that is saved and validated: schedule.save_every or validate_every is 0",
            fix="set both, or schedule.keep_best=false",
        )
    elif schedule.keep_best and math.lcm(schedule.save_every, schedule.validate_every) >= schedule.steps:
        yield Diagnostic(
            setting="schedule.keep_best",
            value=True,
            why=f"no step before the last is both saved (every {schedule.save_every}) and validated (every "
            f"{schedule.validate_every}), so there is nothing to choose from",
            fix="set schedule.save_every equal to schedule.validate_every, or keep_best=false",
        )
    if schedule.resume_contents == "weights" and schedule.resume in ("auto", "never"):
        yield Diagnostic(
            setting="schedule.resume_contents",
            value="weights",
            why=f"schedule.resume={schedule.resume} names no other run; a run's own checkpoint is continued whole",
            fix="set schedule.resume to the run or checkpoint whose weights to start from, or leave it all",
        )
    kl = context.config.algorithm.kl_coefficient
    if schedule.resume_contents == "weights" and kl > 0:
        yield Diagnostic(
            setting="schedule.resume_contents",
            value="weights",
            why=f"algorithm.kl_coefficient = {kl} would compare with model.path, not with the weights that the run starts from",
            fix="export them with `innovator runs export-model` and set model.path, or algorithm.kl_coefficient=0",
        )
    if context.config.data.validation_rows == 0 and (schedule.validate_every or schedule.validate_before):
        yield Diagnostic(
            setting="data.validation_rows",
            value=0,
            why="verl takes 0 for all rows",
            fix="set -1 for all rows, or schedule.validate_every=0 and validate_before=false for no validation",
        )
    if schedule.save_every == 0 and schedule.resume == "auto":
        yield Diagnostic(
            setting="schedule.save_every",
            value=0,
            why="nothing is saved: no resume, and no model at the end",
            fix="set 20, or schedule.resume=never",
            severity="warning",
        )


def _validation_suites(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check that each suite exists; what is in it is checked once the run's data are built."""
    schedule = context.config.schedule
    if schedule.validation_suites and not (schedule.validate_every or schedule.validate_before):
        yield Diagnostic(
            setting="schedule.validation_suites",
            value=list(schedule.validation_suites),
            why="the run is never validated, so no suite is measured",
            fix="set schedule.validate_every, or leave the suites out",
        )
    for name in schedule.validation_suites:
        try:
            exists = find_config(name, "eval").is_file()
        except UserError:
            exists = False
        if not exists:
            known = config_names("eval")
            yield Diagnostic(
                setting="schedule.validation_suites",
                value=name,
                why="neither a suite in configs/eval/ nor a YAML file",
                fix=f"near: {', '.join(get_close_matches(name, known, 3, 0.5) or known)}",
            )
