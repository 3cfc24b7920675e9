"""Synthetic runs for `innovator dashboard --demo`; every view has something to show, without training."""
