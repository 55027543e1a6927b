# Sourced by recipes and tests: a virtual environment .venv in the checkout with exactly the pinned packages.
# Usage: prepare_environment. Only what changed is installed again.
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
  local python stamp wanted
  local constraints=recipes/setup/constraints-cpu.txt
  wanted=$(cat pyproject.toml "$constraints" | sha256sum)
  stamp=.venv/.installed
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    python=$(find_python) || return 1
    echo "== installing into .venv (about 2 GB, two minutes)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    # Exactly the pinned packages and nothing a resolver would choose; torch first, so that nothing brings another build.
    .venv/bin/python -m pip install --quiet --no-deps "$(grep '^torch==' "$constraints")" "$(grep '^setuptools==' "$constraints")"
    .venv/bin/python -m pip install --no-deps --requirement "$constraints" |
      { grep --line-buffered -E '^(Collecting|Installing)' || true; } | cut -c1-100
    .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
    .venv/bin/python -m pip check
    echo "$wanted" >"$stamp"
  fi
  export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"
}
