"""The evaluation sets that lm-evaluation-harness lacks, each read from its published file below the data root."""
