"""Does the algorithm's arithmetic hold: groups, mini-batches, clips, lengths, corrections, steps."""

from collections.abc import Iterator

from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic


def check(case: PreflightContext) -> Iterator[Diagnostic]:
    """Findings that need nothing but the run and the kind of its model."""
    yield from _groups(case)
    yield from _sampling(case)
    yield from _clipping(case)
    yield from _correction(case)
    yield from _learning_rate(case)
    yield from _schedule(case)


def _groups(case: PreflightContext) -> Iterator[Diagnostic]:
    config, algorithm = case.config, case.config.algorithm
    size, update, step = config.rollout.samples_per_prompt, config.prompts_per_update, algorithm.prompts_per_step
    if size == 1:
        yield Diagnostic(
            "rollout.samples_per_prompt",
            1,
            "GRPO compares the responses of a group, and a group of one teaches nothing",
            "set 4 or more",
        )
    if update > step:
        yield Diagnostic(
            "algorithm.prompts_per_update",
            update,
            f"an update cannot take more groups than a step has ({step})",
            f"set at most {step}",
        )
    elif step % update:
        fits = [n for n in range(1, step + 1) if step % n == 0]
        yield Diagnostic(
            "algorithm.prompts_per_update",
            update,
            f"does not divide algorithm.prompts_per_step = {step}",
            f"set one of {fits}",
        )
    if (update * size) % case.workers:
        yield Diagnostic(
            "algorithm.prompts_per_step" if algorithm.prompts_per_update is None else "algorithm.prompts_per_update",
            update,
            f"{update} groups of {size} responses do not divide over {case.workers} accelerators",
            f"make it a multiple of {case.workers}",
        )
    sampling = algorithm.dynamic_sampling
    if sampling.enabled and sampling.max_rounds == 1:
        yield Diagnostic(
            "algorithm.dynamic_sampling.max_rounds",
            1,
            "no dropped group can be replaced",
            "set 2 or more, or enabled=false",
            "warning",
        )
    if sampling.stall_seconds <= config.reward.timeout_seconds:
        yield Diagnostic(
            "algorithm.dynamic_sampling.stall_seconds",
            sampling.stall_seconds,
            f"a rewarder may take reward.timeout_seconds = {config.reward.timeout_seconds}, so a slow one would look "
            "like a stall",
            f"set more than {config.reward.timeout_seconds}",
        )


def _sampling(case: PreflightContext) -> Iterator[Diagnostic]:
    rollout, validation = case.config.rollout, case.config.rollout.validation
    if rollout.temperature == 0:
        yield Diagnostic(
            "rollout.temperature", 0.0, "greedy rollouts make every response of a group the same", "set 1.0"
        )
    elif not 0.5 <= rollout.temperature <= 1.5:
        yield Diagnostic(
            "rollout.temperature",
            rollout.temperature,
            "training far from 1.0 narrows or blurs the groups",
            "set about 1.0",
            "warning",
        )
    if rollout.top_p < 1:
        biased = case.resolved.old_log_prob == "rollout"
        yield Diagnostic(
            "rollout.top_p",
            rollout.top_p,
            "the rollout engine's probabilities are those of the cut distribution, not the policy's",
            "set 1.0" + (", or algorithm.old_log_prob=recompute" if biased else ""),
            "error" if biased else "warning",
        )
    if validation.temperature == 0 and validation.samples_per_prompt > 1:
        yield Diagnostic(
            "rollout.validation.samples_per_prompt",
            validation.samples_per_prompt,
            "greedy validation gives the same response each time",
            "set 1, or rollout.validation.temperature above 0",
        )
    longest = case.config.data.max_prompt_tokens + rollout.max_response_tokens
    if case.platform == "cpu" and case.config.algorithm.micro_batch_tokens != "auto":
        why = "on CPU a micro-batch is one prompt group, whatever its tokens"
        tokens = case.resolved.micro_batch_tokens
        yield Diagnostic("algorithm.micro_batch_tokens", tokens, why, "leave it auto", "warning")
    elif case.resolved.micro_batch_tokens < longest:
        yield Diagnostic(
            "algorithm.micro_batch_tokens",
            case.resolved.micro_batch_tokens,
            f"one sequence may have {longest} tokens (data.max_prompt_tokens + rollout.max_response_tokens) and "
            "cannot be cut",
            f"set at least {longest}",
        )
    yield from _overlong(case)


def _overlong(case: PreflightContext) -> Iterator[Diagnostic]:
    overlong, limit = case.config.algorithm.overlong, case.config.rollout.max_response_tokens
    if not overlong.enabled:
        return
    if case.resolved.overlong_buffer >= limit:
        yield Diagnostic(
            "algorithm.overlong.buffer_tokens",
            case.resolved.overlong_buffer,
            f"the whole response (rollout.max_response_tokens = {limit}) would be penalised",
            f"set less than {limit}, e.g. {max(1, limit // 4)}",
        )
    if overlong.penalty == 0:
        yield Diagnostic(
            "algorithm.overlong.penalty",
            0.0,
            "a penalty of 0 does nothing",
            "set 1.0 or algorithm.overlong.enabled=false",
            "warning",
        )


def _clipping(case: PreflightContext) -> Iterator[Diagnostic]:
    algorithm = case.config.algorithm
    if algorithm.clip_low > algorithm.clip_high:
        yield Diagnostic(
            "algorithm.clip_high",
            algorithm.clip_high,
            f"below algorithm.clip_low = {algorithm.clip_low}: clip-higher is upside down and exploration dies",
            f"set at least {algorithm.clip_low}",
        )
    if algorithm.dual_clip <= 1 + algorithm.clip_high:
        yield Diagnostic(
            "algorithm.dual_clip",
            algorithm.dual_clip,
            f"inside the clip range, which ends at {1 + algorithm.clip_high}",
            f"set well above {1 + algorithm.clip_high}, e.g. 10",
        )


def _correction(case: PreflightContext) -> Iterator[Diagnostic]:
    algorithm, resolved = case.config.algorithm, case.resolved
    moe = case.model is not None and case.model.is_moe
    if moe and resolved.correction == "off":
        yield Diagnostic(
            "algorithm.rollout_correction.level",
            algorithm.rollout_correction.level,
            "a mixture of experts routes differently in the rollout engine and in training; uncorrected runs collapse",
            "set token",
        )
    if resolved.old_log_prob == "rollout" and resolved.correction != "off":
        yield Diagnostic(
            "algorithm.old_log_prob",
            "rollout",
            f"algorithm.rollout_correction.level={resolved.correction} compares the rollout engine with a second "
            "pass, which this leaves out",
            "set recompute, or algorithm.rollout_correction.level=off",
        )
    elif resolved.old_log_prob == "rollout" and resolved.dtype != resolved.rollout_dtype:
        yield Diagnostic(
            "algorithm.old_log_prob",
            "rollout",
            f"rollouts in {resolved.rollout_dtype} and training in {resolved.dtype} differ where the ratio should be 1",
            "set recompute, or rollout.dtype equal to model.dtype",
        )


def _learning_rate(case: PreflightContext) -> Iterator[Diagnostic]:
    rate = case.config.algorithm.learning_rate
    parameters = case.model.params_total if case.model else None
    large = parameters is not None and parameters > 50_000_000
    if rate > (1e-4 if large else 1e-2):
        size = f"{parameters / 1e6:.0f} M parameters" if parameters else "any model"
        yield Diagnostic(
            "algorithm.learning_rate",
            rate,
            f"AdamW moves each weight by about this much a step: {size} would forget its language",
            "set 1e-6 to 1e-5",
        )
    elif large and rate > 2e-5:
        yield Diagnostic(
            "algorithm.learning_rate", rate, "ten times what post-training usually takes", "set 1e-6 to 1e-5", "warning"
        )


def _schedule(case: PreflightContext) -> Iterator[Diagnostic]:
    schedule, warmup = case.config.schedule, case.config.algorithm.warmup_steps
    if warmup >= schedule.steps:
        yield Diagnostic(
            "algorithm.warmup_steps",
            warmup,
            f"the learning rate is never reached in schedule.steps = {schedule.steps}",
            f"set less than {schedule.steps}",
        )
    if schedule.save_every == 0 and schedule.resume == "auto":
        yield Diagnostic(
            "schedule.save_every",
            0,
            "nothing is saved: no resume, and no model at the end",
            "set 20, or schedule.resume=never",
            "warning",
        )
