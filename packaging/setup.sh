#!/bin/sh
# Everything `make demo` and `make test` need, once: system libraries that FFCV compiles against, a virtual
# environment, the pinned packages, FFCV. Safe to run again; says what to do where it may not do it itself.
set -eu
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
EXTRAS=${EXTRAS-[dev]} # empty on the nodes of a cluster, which neither lint nor test

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "raysweep needs Python 3.11 or 3.12 with venv; none was found. Name one: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
}

libraries_present() {
    command -v c++ >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists libturbojpeg &&
        [ -n "$(find /usr/include /usr/local/include /opt/homebrew/include -path '*opencv2/imgproc.hpp' 2>/dev/null | head -1)" ]
}

install_libraries() {
    packages="g++ pkg-config libopencv-core-dev libopencv-imgproc-dev libturbojpeg0-dev python3-dev python3-venv"
    if ! command -v apt-get >/dev/null; then
        echo "FFCV needs a C++ compiler, pkg-config, OpenCV (core, imgproc) and libjpeg-turbo with headers: install them, then run this again." >&2
        exit 1
    fi
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            echo "System libraries are missing. Run once: sudo apt-get install --no-install-recommends $packages" >&2
            exit 1
        fi
        as_root="sudo -n"
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $packages >/dev/null
}

# Versions are pinned, without hashes: pip accepts hashes only if everything has one, and this checkout cannot.
install_packages() {
    python=$(find_python)
    echo "setting up $VENV with $("$python" --version)"
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$EXTRAS"
    if ! "$VENV/bin/python" -m pip show --quiet ffcv 2>/dev/null; then
        # The small OpenCV packages lack opencv4.pc: ours stands in. --no-deps: see pyproject.toml.
        pkg-config --exists opencv4 || PKG_CONFIG_PATH="$PWD/packaging/ffcv/pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
        PKG_CONFIG_PATH=${PKG_CONFIG_PATH:-} "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps ffcv
    fi
}

libraries_present || install_libraries
install_packages
touch "$VENV/.ready"
