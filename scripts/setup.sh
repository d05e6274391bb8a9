#!/usr/bin/env bash
# Set up .venv with napari-atomseg and everything it needs, and reuse what is there.
#
#   scripts/setup.sh [demo|test|test-slow|check]
#
# demo      system libraries of a window are wanted if there is a screen
# test      system libraries and a virtual screen (Xvfb) are required
# test-slow  also installs what builds the site, and wants a browser that opens it
# check     also installs the linters and what builds the site
#
# PYTHON  interpreter to use, 3.11 or newer (default: the first found)
# TORCH   what to ask pip for instead of the CPU build, for example TORCH=torch
#
# When everything is there already, nothing is downloaded and no network is used.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

purpose=${1:-demo}
venv=.venv
py=$venv/bin/python
torch_version=2.13.0
torch_cpu_index=https://download.pytorch.org/whl/cpu
window_packages=(
  libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libx11-xcb1
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0
  libxcb-shape0 libxcb-xinerama0 libxkbcommon-x11-0
)

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# ---------------------------------------------------------------- system packages

is_debian() { command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; }

# Newer releases append t64 to the names of some libraries.
is_installed() { dpkg-query -W -f '${Status}\n' "$1" "$1t64" 2>/dev/null | grep -q 'ok installed'; }

missing_packages() {
  local package
  for package in "$@"; do is_installed "$package" || echo "$package"; done
}

# The prefix that makes a command run as root, or failure where that is not possible.
as_root() {
  if [ "$(id -u)" = 0 ]; then echo env
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then echo "sudo -n env"
  else return 1
  fi
}

# Install what is missing of the packages named; name it and return 1 where that is not possible.
want_packages() {
  local missing root
  missing=$(missing_packages "$@" | tr '\n' ' ')
  missing=${missing% }
  if [ -z "$missing" ]; then return 0; fi
  if root=$(as_root); then
    say "installing system packages: $missing"
    # shellcheck disable=SC2086
    if $root apt-get update -qq && $root DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
      return 0
    fi
    say "apt-get failed"
  fi
  say "missing system packages: $missing"
  say "to install them: sudo apt-get install $missing"
  return 1
}

has_browser() {
  local browser
  for browser in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable microsoft-edge; do
    if command -v "$browser" >/dev/null; then return 0; fi
  done
  return 1
}

has_screen() { [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; }

system_libraries() {
  if [ "$(uname -s)" != Linux ] || [ "$purpose" = check ]; then return 0; fi
  if ! is_debian; then
    if ! has_screen && [ "$purpose" != demo ] && ! command -v Xvfb >/dev/null; then
      fail "this is not a Debian system: please install Xvfb, EGL, OpenGL and the XCB libraries of Qt 6"
    fi
    return 0
  fi
  if [ "$purpose" = test ] || [ "$purpose" = test-slow ]; then
    want_packages "${window_packages[@]}" xvfb \
      || fail "the tests open real windows on a virtual screen and need these packages"
    if [ "$purpose" = test-slow ] && ! has_browser; then
      want_packages chromium-headless-shell \
        || say "no browser found: the tests of the site will be skipped"
    fi
  elif has_screen; then
    want_packages "${window_packages[@]}" || say "going on, but the window may not open without them"
  elif [ -n "$(missing_packages libglib2.0-0 libgl1 libegl1)" ]; then
    say "no screen found: the demo writes its results without a window"
  fi
}

# ---------------------------------------------------------------- Python and .venv

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if is_python "$candidate"; then echo "$candidate"; return 0; fi
  done
  return 1
}

create_venv() {
  if [ -x $py ] && is_python $py && $py -c 'import pip' 2>/dev/null; then return 0; fi
  local python version
  python=$(find_python) || fail "no Python 3.11 or newer found${PYTHON:+ as $PYTHON} (Debian: sudo apt-get install python3)"
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  say "creating $venv with Python $version"
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv --clear $venv
  elif is_debian && want_packages "python$version-venv"; then
    "$python" -m venv --clear $venv
  elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear --without-pip $venv
    "$python" -m pip --python $py install -qq pip
  else
    fail "Python cannot create virtual environments here: please install its venv module and run this again"
  fi
}

# ---------------------------------------------------------------- Python packages

pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 $py -m pip "$@"; }

# What decides which packages are wanted; other settings of the project do not.
requirements_hash() {
  $py - <<'PYTHON'
import hashlib, json, tomllib

with open("pyproject.toml", "rb") as file:
    config = tomllib.load(file)
wanted = [config[key] for key in ("build-system", "project", "dependency-groups")]
print(hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest())
PYTHON
}

has_torch() { $py -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; }

install_torch() {
  local asked=$venv/.torch
  if [ -n "${TORCH:-}" ]; then
    if [ "$(cat $asked 2>/dev/null)" = "$TORCH" ] && has_torch; then return 0; fi
    say "installing PyTorch as asked: $TORCH"
    if has_torch; then pip uninstall -qq -y torch; fi
    # shellcheck disable=SC2086
    pip install -qq $TORCH
    echo "$TORCH" >$asked
    return 0
  fi
  if has_torch; then return 0; fi
  say "installing PyTorch $torch_version, CPU build (some 200 MB; TORCH=torch asks for another build)"
  # PyPI has the CPU build for macOS and Windows only; elsewhere it carries the local version +cpu.
  if [ "$(uname -s)" != Linux ]; then
    pip install -qq torch==$torch_version
  elif pip install -qq torch==$torch_version+cpu 2>/dev/null; then
    say "found it in the package index configured for pip"
  elif pip install -qq --retries 1 --timeout 30 --extra-index-url $torch_cpu_index \
    torch==$torch_version+cpu 2>/dev/null; then
    say "took it from $torch_cpu_index"
  else
    say "$torch_cpu_index cannot be reached: taking the default build, which can be several GB"
    pip install -qq torch==$torch_version
  fi
}

install_packages() {
  local group=$1 stamp=$venv/.installed-$1 wanted
  wanted=$(requirements_hash)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted $PWD" ]; then return 0; fi
  say "installing napari-atomseg with napari and the $group tools (a few minutes the first time)"
  pip install -qq --upgrade 'pip>=25.1'
  pip install -qq --editable '.[all,em,multislice]' --group "$group"
  echo "$wanted $PWD" >"$stamp"
}

case $purpose in
  demo | test | test-slow | check) ;;
  *) fail "unknown purpose '$purpose': demo, test, test-slow or check" ;;
esac
system_libraries
create_venv
install_torch
install_packages test
case $purpose in
  check) install_packages dev ;;
  test-slow) install_packages docs ;;
esac
say "ready ($("$py" --version), PyTorch $($py -c 'import importlib.metadata as m; print(m.version("torch"))'))"
