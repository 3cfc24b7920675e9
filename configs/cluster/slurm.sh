#!/bin/bash
# One training run on Slurm: a Ray head on the first node, workers on the others, the run on the head.
#   sbatch --nodes=8 configs/cluster/slurm.sh configs/train/innovator-53b.yaml [key=value ...]
# The checkout with its .venv, the runs and the models must be on a file system that all nodes see. Slurm's signal before
# the time limit ends the run after its step, with a checkpoint; submitting the same line again resumes it.
#SBATCH --job-name=innovator
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:INT@900
#SBATCH --output=innovator-%j.log
set -euo pipefail

config=${1:?usage: sbatch configs/cluster/slurm.sh CONFIG [key=value ...]}
shift
export PATH="${SLURM_SUBMIT_DIR}/.venv/bin:${PATH}"
export INNOVATOR_RUNS_DIR="${INNOVATOR_RUNS_DIR:-${SLURM_SUBMIT_DIR}/runs}"
export RAY_AUTH_MODE=token # other users share these nodes; the token is in the home directory of this one
ray get-auth-token --generate >/dev/null

mapfile -t nodes < <(scontrol show hostnames "${SLURM_JOB_NODELIST}")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 20000)) # two jobs may share a node
address="${head}:${port}"
slots=$((SLURM_CPUS_PER_TASK > 64 ? SLURM_CPUS_PER_TASK : 64)) # bookkeeping of Ray, not cores
folder="/tmp/ray-${SLURM_JOB_ID}" # a short path: sockets may have 107 bytes

start() { # start NODE FLAGS...: Ray on one node until this job ends
  local node=$1
  shift
  srun --overlap --nodes=1 --ntasks=1 --nodelist="${node}" \
    ray start --block --disable-usage-stats --num-cpus="${slots}" --num-gpus="${SLURM_GPUS_ON_NODE:-8}" "$@" &
}

start "${head}" --head --port="${port}" --temp-dir="${folder}"
for node in "${nodes[@]:1}"; do
  start "${node}" --address="${address}"
done

for _ in $(seq 120); do
  ray status --address="${address}" >/dev/null 2>&1 && break
  sleep 2
done

innovator train "${config}" "$@" \
  resources.ray_address="${address}" resources.nodes="${#nodes[@]}" resources.wait_minutes=10 &
run=$!
trap 'kill -INT "${run}"' INT TERM
status=0
wait "${run}" || status=$?
while kill -0 "${run}" 2>/dev/null; do # a signal ends `wait` before the run has written its checkpoint
  wait "${run}" || status=$?
done
exit "${status}"
