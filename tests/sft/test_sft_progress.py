"""The progress of fine-tuning shows loss, rate and time left, and never ends a run."""

import io

from innovator_rl.sft.progress import SftProgress


def metrics(seconds: float) -> dict[str, float]:
    return {"loss": 1.25, "perf/seconds": seconds, "perf/tokens_per_second": 1234.4}


def test_a_line_has_the_loss_the_rate_and_the_time_left() -> None:
    stream = io.StringIO()
    progress = SftProgress(10, stream)
    progress.step(1, metrics(4.0))
    progress.step(2, metrics(2.0))
    progress.step(2, {"val/loss": 0.5})
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("step 2/10 | loss 1.2500 | 1,234 tokens/s | 2 s | 24 s left")
    assert lines[2] == "validation at step 2 | loss 0.5000"


def test_a_closed_stream_is_no_failure() -> None:
    stream = io.StringIO()
    progress = SftProgress(10, stream)
    stream.close()
    progress.note("still running")
    progress.close()


def test_nothing_is_shown_where_nothing_is_wanted() -> None:
    stream = io.StringIO()
    SftProgress(10, stream, live=False).step(1, metrics(1.0))
    assert stream.getvalue() == ""
