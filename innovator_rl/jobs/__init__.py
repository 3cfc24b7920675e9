"""Runs as Ray jobs: what is uploaded, what is started, how it is watched and stopped.

The cluster's nodes already have this project's environment installed; a job uploads the code and the configurations of
one checkout, never weights, data or runs, and writes its run directory where it outlives the uploaded copy.
"""
