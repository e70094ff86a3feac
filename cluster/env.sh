# What every shell of a node knows; setup_node.sh puts it first into ~/.bashrc.
# shellcheck shell=bash
export PATH="$HOME/raysweep/.venv/bin:$PATH"
# Ray runs code for whoever reaches it: nothing answers without the token in ~/.ray/auth_token.
export RAY_AUTH_MODE=token
# A driver joins the cluster of its machine, or says that there is none: it never starts a small one of its own.
export RAY_ADDRESS=auto
export RAY_USAGE_STATS_ENABLED=0
