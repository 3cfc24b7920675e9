#!/bin/sh
# Example 2: GRPO on your own JSON lines.
#
# What: questions.jsonl becomes Parquet files, and SmolLM2-135M trains on them for five steps.
# Why:  `innovator data build` splits, cleans and checks the rows once; a run names the files it wrote.
# Run:  sh examples/02_grpo_own_jsonl/run.sh [key=value ...]
#       The words are settings of the run: `schedule.steps=1 model.path=tiny-qwen2`.
#
# Expected output: two files with 24 rows in all, the progress of each step, and the status `protons: finished`.
set -e
here=$(dirname "$0")
innovator data build "$here/recipe.yaml" --source "$here/questions.jsonl" --out data
innovator train "$here/train.yaml" \
  "data.train=[data/protons/train.parquet]" "data.validation=[data/protons/validation.parquet]" "$@"
innovator runs show protons | head -n 1
