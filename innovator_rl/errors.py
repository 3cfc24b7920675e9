"""Explain and define the error model: one exception class per boundary.

An exception names the boundary at which something went wrong, because the boundary decides what happens next:

| class           | boundary                                             | what happens                                        |
|-----------------|------------------------------------------------------|-----------------------------------------------------|
| `UserError`     | a configuration, a file or a command line            | one line on standard error, exit code 2             |
| `DataRowError`  | one row of a data file                               | the row is dropped and counted with its reason      |
| `RewardError`   | one call of a reward function                        | the sample is recorded as `error` with its reason   |
| `WorkerError`   | a worker process (reward, agent loop, actor)         | the worker is replaced, or the run ends with a cause|
| `EngineError`   | the training or generation engine                    | the run ends with the cause; it resumes             |
| `StorageError`  | the run directory, a checkpoint, a recorded segment  | the file is named; readers skip it, writers stop    |

Only `UserError` is a user's mistake. Every other exception, a `ValueError` of the project's own code included, is a
defect or a fault and keeps its traceback. `innovator --debug` shows the traceback of a `UserError` as well.

The message of a `UserError` is one sentence with the value, the key and the fix, in the words "must be", "unknown",
"not found" and "expected".
"""

from __future__ import annotations


class InnovatorError(Exception):
    """Base class of every exception that the project defines."""


class UserError(InnovatorError, ValueError):
    """A user's mistake in a configuration, a file or a command line.

    It is a `ValueError` too, so that pydantic validators can raise it.
    """


class DataRowError(InnovatorError, ValueError):
    """One data row that cannot be used.

    Its message is the reason under which the row is counted.
    """


class RewardError(InnovatorError):
    """A call of a reward function that gave no score."""


class WorkerError(InnovatorError, RuntimeError):
    """A worker process that died, hung or could not start."""


class EngineError(InnovatorError, RuntimeError):
    """A training or generation engine that cannot go on."""


class StorageError(InnovatorError, OSError):
    """A file of a run directory or checkpoint that cannot be read or written."""
