"""Copy datasets/ and configs/ into the wheel as `innovator_rl/_share/`.

`pyproject.toml` has everything else.

The folders stay at the top of the repository, where people edit them, and must not become packages: an importable
`datasets` would hide the library of Hugging Face.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ("datasets", "configs")


class BuildWithSharedFiles(build_py):
    """Build the packages, and add the shared files."""

    def run(self) -> None:
        """Copy the shared files into a build that is not editable.

        An editable install finds them in the repository.
        """
        super().run()
        if self.editable_mode:
            return
        for name in SHARED:
            target = Path(self.build_lib) / "innovator_rl" / "_share" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(name, target)


setup(cmdclass={"build_py": BuildWithSharedFiles})
