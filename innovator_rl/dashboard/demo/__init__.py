"""Synthetic runs for `innovator dashboard --demo`.

Every view has something to show, without training.
"""
