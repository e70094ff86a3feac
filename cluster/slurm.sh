#!/bin/bash
# One Ray cluster per Slurm job, on all its nodes, for one sweep. From the checkout, with raysweep set up in .venv on a
# file system that all nodes share (`make setup`), and so are home, images and results:
#
#   sbatch --nodes=4 cluster/slurm.sh activation --data /shared/imagenet128 --store /shared/results
#
# At the time limit Slurm ends it; the same command again goes on where it was.
#SBATCH --job-name=raysweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --exclusive
set -euo pipefail

# Nodes are exclusive: at its end `ray symmetric-run` stops every Ray process of a node.
export PATH="$SLURM_SUBMIT_DIR/.venv/bin:$PATH"
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
export RAY_ADDRESS=auto

# Ray runs code for whoever reaches it: a token of this job's own, readable by its user only.
RAY_AUTH_TOKEN_PATH="$(umask 077 && mktemp "$HOME/.raysweep-$SLURM_JOB_ID-XXXXXX")"
export RAY_AUTH_TOKEN_PATH
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
python -c "import secrets; print(secrets.token_hex(32), end='')" >"$RAY_AUTH_TOKEN_PATH"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" \
    ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_NNODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --dashboard-host=127.0.0.1 --disable-usage-stats \
    -- python "$SLURM_SUBMIT_DIR/raysweep/run.py" "$@"
