# The environment of every shell on a node; setup_node.sh loads it at the top of ~/.bashrc.
# shellcheck shell=bash
export PATH="$HOME/raysweep/.venv/bin:$PATH"
# Ray runs code for anyone who reaches it: require the token in ~/.ray/auth_token.
export RAY_AUTH_MODE=token
# A driver joins the cluster of its machine or fails; it never starts a small cluster of its own.
export RAY_ADDRESS=auto
export RAY_USAGE_STATS_ENABLED=0
# Python programs run nothing that happens to lie in the working directory.
export PYTHONSAFEPATH=1
