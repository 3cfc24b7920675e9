"""Submit, follow and stop runs as Ray jobs.

The cluster's nodes already have this project's environment installed; a job uploads the code and the configurations of
one checkout, never weights, data or runs, and writes its run directory where it outlives the uploaded copy.
"""
