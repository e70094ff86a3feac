#!/bin/sh
# Makes a machine a node: installs what ~/raysweep needs into ~/raysweep/.venv, and env.sh into every shell.
# Run again, it does only what is missing or has changed.
set -eu
cd ~/raysweep

[ -s ~/.ray/auth_token ] || {
    echo "The token ~/.ray/auth_token is missing: make it with \`ray get-auth-token --generate\` where you run \`ray up\`." >&2
    exit 1
}
chmod 600 ~/.ray/auth_token

# First in the file: Debian's own ~/.bashrc returns early in shells that are not interactive.
grep -qs raysweep/cluster/env.sh ~/.bashrc || {
    touch ~/.bashrc
    { echo '. ~/raysweep/cluster/env.sh'; cat ~/.bashrc; } >~/.bashrc.new
    mv ~/.bashrc.new ~/.bashrc
}

if [ ! -e .venv/.ready ] || [ -n "$(find pyproject.toml constraints.txt packaging/setup.sh -newer .venv/.ready)" ]; then
    EXTRAS='' packaging/setup.sh
fi
