#!/bin/bash
# Starts one Ray cluster per Slurm job, on all its nodes, for one sweep. Run it from the checkout, with raysweep set up in
# .venv (`make setup`). The checkout, home, images and results must be on file systems that all nodes share:
#
#   sbatch --nodes=4 cluster/slurm.sh activation --data /shared/imagenet128 --store /shared/results
#
# Slurm ends it at the time limit; run the same command again to continue.
#SBATCH --job-name=raysweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --exclusive
set -euo pipefail

# Nodes must be exclusive: at its end `ray symmetric-run` stops every Ray process on a node.
export PATH="$SLURM_SUBMIT_DIR/.venv/bin:$PATH"
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
export RAY_ADDRESS=auto PYTHONSAFEPATH=1

# Ray runs code for anyone who reaches it: this job has its own token, which only its user can read.
RAY_AUTH_TOKEN_PATH="$(umask 077 && mktemp "$HOME/.raysweep-$SLURM_JOB_ID-XXXXXX")"
export RAY_AUTH_TOKEN_PATH
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
python -c "import secrets; print(secrets.token_hex(32), end='')" >"$RAY_AUTH_TOKEN_PATH"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" \
    ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_NNODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --dashboard-host=127.0.0.1 --disable-usage-stats \
    -- python "$SLURM_SUBMIT_DIR/raysweep/run.py" "$@"
