"""Run the sections of a GPU benchmark one after the other and print one JSON object; a section that fails costs no other.

It needs torch alone, so that the benchmarks that use it run on a bare machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

S = TypeVar("S")
"""Size of what is measured."""


def forget() -> None:
    """Free what the last section held, and start the peak of the next one from zero."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def measure_sections(sections: Mapping[str, Callable[[S], dict[str, Any]]], size: S, seconds: float) -> dict[str, Any]:
    """Run every section for which time is left.

    Args:
        sections: Name -> function of the size.
        size: What is measured.
        seconds: No section starts later.

    Returns:
        Name -> its figures, or why it has none: `skipped` or `failed`.
    """
    started = time.monotonic()
    found: dict[str, Any] = {}
    for name, section in sections.items():
        if time.monotonic() - started > seconds:
            found[name] = {"skipped": f"the {seconds:.0f} seconds were over"}
            continue
        at = time.monotonic()
        try:
            found[name] = section(size)
        except ImportError as error:
            found[name] = {"skipped": f"needs {error.name or error}"}
        except (RuntimeError, ValueError, TypeError, AttributeError, OSError) as error:  # out of memory included
            found[name] = {"failed": f"{type(error).__name__}: {str(error)[:500]}"}
        found[name]["section_seconds"] = time.monotonic() - at
        forget()
    return found


def print_measured(description: str | None, measure: Callable[[S, float], dict[str, Any]], small: S, full: S) -> None:
    """Read the arguments, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="width 64 in float32, on any machine")
    parser.add_argument("--seconds", type=float, default=480.0, help="no section starts later")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        parser.error("no CUDA device: give --small to measure on a CPU at width 64")
    found = json.dumps(measure(small if options.small else full, options.seconds), indent=1)
    if options.out:
        options.out.write_text(found + "\n")
    print(found)
