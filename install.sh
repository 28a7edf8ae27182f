#!/bin/sh
# Install or upgrade coldframe for the current user. See docs/getting-started.md.
#
#   ./install.sh                          install or upgrade
#   ./install.sh raw xisf                 also install optional packages, which later upgrades keep: raw (camera raws),
#                                         xisf (compressed XISF), notify (messages), web (pages for browsers), dask
#   ./install.sh --uninstall              remove coldframe, but keep frames and configuration
#
# It writes only to these places and needs neither root nor a compiler:
#   ~/.local/share/coldframe/                                        a virtual environment and the list of extras
#   ~/.local/bin/coldframe, ~/.local/bin/indi_coldframe_rig          links to its commands
#   ~/.local/share/man/man1/coldframe.1                              the manual page: man coldframe
#   ~/.local/share/bash-completion/, ~/.local/share/fish/            completion of commands and options
# To use a different Python, run PYTHON=/path/to/python3.12 ./install.sh.
set -eu

# Settings for other installations would hide packages from this one, or put its packages elsewhere.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_NO_BINARY PIP_CONSTRAINT PIP_REQUIRE_HASHES
export PIP_USER=0

source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
share=${XDG_DATA_HOME:-$HOME/.local/share}
bin=$HOME/.local/bin
base=$share/coldframe
venv=$base/venv
manual=$share/man/man1/coldframe.1
bash_completion=$share/bash-completion/completions/coldframe
fish_completion=$share/fish/vendor_completions.d/coldframe.fish
commands="coldframe indi_coldframe_rig"
python=${PYTHON:-}

fail() {
    echo "install.sh: $*" >&2
    exit 2
}

# Succeed if the given Python is 3.11 or newer.
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

check_arguments() {
    for extra; do
        case $extra in
            raw | xisf | notify | web | dask) ;;
            *) fail "$extra is not an extra; the extras are raw, xisf, notify, web and dask" ;;
        esac
    done
}

check_machine() {
    [ "$(id -u)" != 0 ] || [ -z "${SUDO_USER:-}" ] || fail "run ./install.sh without sudo to install coldframe for the" \
        "user $SUDO_USER. To install it for root, run: env -u SUDO_USER ./install.sh"
    [ "$(uname -s)" = Linux ] || fail "coldframe needs Linux, but this is $(uname -s)"
    case $(uname -m) in
        x86_64 | aarch64 | arm64) ;;
        *) fail "coldframe needs a 64-bit PC or a 64-bit ARM board, but this machine is $(uname -m)" ;;
    esac
}

find_python() {
    if [ -n "$python" ]; then
        is_new_enough "$python" || fail "PYTHON=$python is not Python 3.11 or newer"
    else
        for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11 ""; do
            [ -z "$python" ] || ! is_new_enough "$python" || break
        done
        found=$(python3 --version 2>&1) || found="no Python 3"
        [ -n "$python" ] || fail "coldframe needs Python 3.11 or newer, and this system has $found." \
            "On Debian 12, Ubuntu 24.04 or newer, run: sudo apt install python3 python3-venv." \
            "On an older system, run: PYTHON=/path/to/python3.11 ./install.sh"
    fi
    # A Raspberry Pi may run 32-bit programs on a 64-bit kernel.
    "$python" -c 'import sys; sys.exit(sys.maxsize < 2**32)' ||
        fail "$python is a 32-bit program, but coldframe needs a 64-bit system, such as the 64-bit Raspberry Pi OS"
    # Debian ships the module venv without ensurepip, which puts pip into a new environment.
    if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
        versioned=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        [ "$python" != python3 ] || versioned=python3-venv
        fail "Python cannot create virtual environments. Run this command, then ./install.sh again:" \
            "sudo apt install $versioned"
    fi
}

# An upgrade replaces modules that a running night has not imported yet.
check_not_running() {
    # The path is not an argument of grep, because grep would then find itself.
    running=$(echo "$venv/bin/" | grep -lsF -f - /proc/[0-9]*/cmdline | sed 's|/proc/\(.*\)/cmdline|\1|' | tr '\n' ' ') || true
    [ -z "$running" ] || fail "coldframe is running (process ${running% }). End it first, then run ./install.sh again"
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# An environment breaks when a new release of the system replaces its Python.
create_environment() {
    if ! "$venv/bin/python" -m pip --version > /dev/null 2>&1 ||
        { [ -n "${PYTHON:-}" ] && [ "$(version_of "$venv/bin/python")" != "$(version_of "$python")" ]; }; then
        rm -rf "$venv"
        mkdir -p "$base"
        "$python" -m venv "$venv"
    fi
}

run_pip() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --only-binary :all: "$@" ||
        fail "pip could not install the packages. The lines above state the reason. Check the network connection and the" \
            "free disk space, then run ./install.sh again"
}

install_packages() {
    mkdir "$work/source"
    # pip builds in the folder of the source; a copy keeps files of earlier builds out, and the clone clean.
    tar -C "$source" --exclude=__pycache__ -cf - \
        pyproject.toml README.md LICENSE coldframe calibration capture config devices simulators |
        tar -C "$work/source" -xf -
    # The list is complete. Dependencies are not resolved, because pyindi-client requires packages that need a compiler.
    run_pip --no-deps --requirement "$source/requirements/run.txt"
    run_pip --no-warn-conflicts --constraint "$source/requirements/dev.txt" \
        "$work/source${extras:+[$(echo "$extras" | tr ' ' ,)]}"
    echo "$extras" > "$base/extras"
}

link_commands() {
    mkdir -p "$bin"
    for name in $commands; do
        [ -L "$bin/$name" ] || [ ! -e "$bin/$name" ] || fail "$bin/$name is not a link. Move it elsewhere, then run ./install.sh again"
        ln -sf "$venv/bin/$name" "$bin/$name"
    done
    mkdir -p "$(dirname "$manual")" "$(dirname "$bash_completion")" "$(dirname "$fish_completion")"
    "$venv/bin/python" -m coldframe.cli.manual > "$manual"
    _COLDFRAME_COMPLETE=source_bash "$venv/bin/coldframe" > "$bash_completion"
    _COLDFRAME_COMPLETE=source_fish "$venv/bin/coldframe" > "$fish_completion"
}

# A few simulated frames exercise the INDI library, and leave compiled kernels in the environment for the first night and
# for the first masters from files.
try_out() {
    {
        "$venv/bin/coldframe" run --no-dashboard --folder "$work/night" \
            --simulate "$source/config/trial/rig.toml" --config "$source/config/trial/night.toml" &&
            "$venv/bin/coldframe" combine "$work"/night/*/darks/* -o "$work/mean.fits" &&
            "$venv/bin/coldframe" combine --method winsorized "$work"/night/*/darks/* -o "$work/winsorized.fits"
    } > "$work/log" 2>&1 || {
        tail -n 15 "$work/log" >&2
        fail "coldframe is installed, but the simulated frames above failed. An interrupted installation may have damaged" \
            "it: run ./install.sh --uninstall, then ./install.sh. If the frames fail again, please report these lines"
    }
}

uninstall() {
    check_not_running
    for name in $commands; do
        [ "$(readlink "$bin/$name")" != "$venv/bin/$name" ] || rm "$bin/$name"
    done
    rm -rf "$venv" "$base/extras" "$manual" "$bash_completion" "$fish_completion"
    rmdir "$base" 2> /dev/null || true
    echo "coldframe has been uninstalled. Your frames and ~/.config/coldframe are unchanged."
}

case ${1:-} in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    --uninstall)
        uninstall
        exit 0
        ;;
esac
check_arguments "$@"
check_machine
find_python
check_not_running
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
extras=$(printf '%s\n' "$@" $(cat "$base/extras" 2> /dev/null) | sed '/^$/d' | sort -u | tr '\n' ' ')
extras=${extras% }

echo "Installing coldframe into $venv (about 100 MB to download; a few minutes on a slow connection) ..."
create_environment
install_packages
link_commands
echo "Checking the installation with a few simulated frames, and compiling for this processor (about two minutes, longer on a Raspberry Pi) ..."
try_out
echo "Installed: $("$venv/bin/coldframe" --version)${extras:+ with $extras}. Next: coldframe run --simulate"
case :$PATH: in
    *":$bin:"*)
        first=$(command -v coldframe)
        [ "$first" = "$bin/coldframe" ] ||
            echo "In this shell, the command coldframe runs $first, because its folder comes before $bin in your PATH"
        ;;
    *) echo "$bin is not in your PATH yet. Log in again, or run: export PATH=\"$bin:\$PATH\"" ;;
esac
