# Sourced by recipes and tests: a virtual environment .venv in the checkout with exactly the pinned packages.
# Usage: prepare_environment EXTRAS, for example "cpu" or "cpu,dev". Only what changed is installed again.
# Where PyPI's default torch is a CUDA build, point pip at PyTorch's CPU wheels first (PIP_EXTRA_INDEX_URL).

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python 3.11 or 3.12 found: install one and try again" >&2
  return 1
}

prepare_environment() {
  local extras=$1 python stamp wanted
  local constraints=recipes/setup/constraints-cpu.txt
  wanted=$(cat pyproject.toml "$constraints" | sha256sum)
  stamp=.venv/.installed
  # One line per installation, "extras checksum"; "cpu,dev" holds all of "cpu".
  if [ ! -f "$stamp" ] || ! grep -qE "^$extras(,dev)? $wanted\$" "$stamp"; then
    python=$(find_python) || return 1
    echo "== installing [$extras] into .venv (about 2 GB, two minutes)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    # torch first and alone, so that no other package's wish can bring in another build of it.
    .venv/bin/python -m pip install --quiet --constraint "$constraints" pip setuptools "$(grep '^torch==' "$constraints")"
    .venv/bin/python -m pip install --progress-bar on --constraint "$constraints" --editable ".[$extras]" |
      grep -E '^(Collecting|Installing|Successfully|ERROR)' | cut -c1-160 || return 1
    echo "$extras $wanted" >>"$stamp"
  fi
  export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"
}
