# Sourced by the other scripts: make_environment EXTRAS leaves $repo and $python (inside a .venv).
repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${DEM_JAX_VENV:-$repo/.venv}"
case "$venv" in /*) ;; *) venv="$repo/$venv" ;; esac
python="$venv/bin/python"

stop() {
  echo "$*" >&2
  exit 1
}

make_environment() {
  local base="${PYTHON:-python3}"
  "$base" -V >/dev/null 2>&1 ||
    stop "Python was not found, or does not run, as '$base': install python3 and python3-venv (apt-get install python3-venv), or set PYTHON."
  "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "'$base' is $("$base" -V), but Python 3.11 or newer is needed: install it, or set PYTHON to it."
  if [ ! -x "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1; then
    "$base" -c 'import venv, ensurepip' 2>/dev/null ||
      stop "Python's venv module is missing: install it with 'apt-get install python3-venv' and run this again."
    "$base" -m venv --clear "$venv" || stop "The environment $venv could not be made; see the message above."
  fi
}

# Builds the wheel and installs exactly it: dependencies only when missing, the package itself always.
install_wheel() {
  local extras="$1" dist
  dist="$(mktemp -d)"
  local pip=("$python" -m pip --disable-pip-version-check -qq)
  "${pip[@]}" wheel --no-deps --wheel-dir "$dist" "$repo" || stop "The wheel could not be built; see the message above."
  local wheel
  wheel="$(echo "$dist"/dem_jax-*.whl)"
  "${pip[@]}" install "$wheel$extras" || stop "The dependencies could not be installed; see the message above."
  "${pip[@]}" install --no-deps --force-reinstall "$wheel" || stop "The wheel could not be installed; see the message above."
  rm -rf "$dist"
}
