#!/bin/sh
# Turns a machine into a node: installs what ~/raysweep needs into ~/raysweep/.venv, and loads env.sh in every shell.
# When run again, it installs only what is missing or has changed.
set -eu
cd ~/raysweep

[ -s ~/.ray/auth_token ] || {
    echo "The token ~/.ray/auth_token is missing: generate it with \`ray get-auth-token --generate\` where you run \`ray up\`." >&2
    exit 1
}
chmod 600 ~/.ray/auth_token

# First in the file, because Debian's ~/.bashrc returns early in non-interactive shells.
grep -qs raysweep/cluster/env.sh ~/.bashrc || {
    touch ~/.bashrc
    { echo '. ~/raysweep/cluster/env.sh'; cat ~/.bashrc; } >~/.bashrc.new
    mv ~/.bashrc.new ~/.bashrc
}

if [ ! -e .venv/.ready ] || [ -n "$(find pyproject.toml constraints.txt packaging/setup.sh -newer .venv/.ready)" ]; then
    EXTRAS='' packaging/setup.sh
fi
