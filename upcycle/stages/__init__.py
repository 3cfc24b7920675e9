"""The stages, the pipeline that runs them, ablations and the report."""
