"""The one exception for people's mistakes: a sentence with the value, the key and the remedy.

The command line turns a `UserError` into one line on standard error and exit code 2; anything else is a defect and keeps its traceback.
"""


class UserError(ValueError):
    """A mistake in a configuration, a file or a command line. Its message names value, key and remedy."""
