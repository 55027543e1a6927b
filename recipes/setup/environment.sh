# Sourced by recipes and tests.
#   prepare_environment [EXTRA...]  the virtual environment .venv in the checkout, with exactly the packages pinned for the
#                                   CPU and for the extras `data` and `dev`; only what changed is installed again
#   prepare_gpu_path                .venv-vllm: verl with vLLM's CPU build, for tests/run.sh --gpu-path alone
#   prepare_easyr1                  .venv-easyr1: what EasyR1 needs, without vLLM, for tests/run.sh --easyr1 alone
#   use_environment [EXTRA...]      an environment with verl that is active already, on a GPU machine say; else .venv
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

has_gpu() {
  command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1
}

# uv installs in seconds what takes pip minutes, but does not read pip's settings: they are handed on.
pip_setting() {
  local level
  for level in ":env:" global install user site; do
    .venv/bin/python -m pip config get "$level.$1" 2>/dev/null && return
  done
  true
}

prepare_environment() {
  local extra
  for extra in cpu "$@"; do
    install_pinned "$extra" || return 1
  done
  activate_environment .venv
}

use_environment() {
  if python -c 'import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, ("verl", "easyr1_fgrpo"))))' 2>/dev/null; then
    return
  fi
  if has_gpu; then
    echo "error: verl is not installed in this Python: run in the image of docker/Dockerfile.train, or install the extra gpu (docs/gpus.md, The machine)" >&2
    return 1
  fi
  prepare_environment "$@"
}

install_pinned() {
  local python wanted constraints=recipes/setup/constraints-$1.txt stamp=.venv/.installed-$1
  wanted=$(cat pyproject.toml "$constraints" | sha256sum)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return; fi
  python=$(find_python) || return 1
  echo "== installing what $constraints pins into .venv"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^uv==' recipes/setup/constraints-cpu.txt)"
  uv_install --requirement "$constraints" || return 1
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . || return 1
  .venv/bin/uv pip check --quiet --python .venv/bin/python || return 1
  echo "$wanted" >"$stamp"
}

# After prepare_environment, whose uv they use.
prepare_gpu_path() {
  prepare_beside vllm '4 GB' finish_gpu_path tests/gpu_path/vllm_on_cpu/*.{toml,py} recipes/setup/environment.sh
}

finish_gpu_path() {
  # torchvision's wheel is linked against CUDA, so its operators do not load here, and its import fails where it describes
  # two of them to torch. Described as it does with all others, only if they loaded, it imports; processors need no more.
  sed -i 's/@torch.library.register_fake("torchvision::/@register_meta("/' \
    .venv-vllm/lib/python3.*/site-packages/torchvision/_meta_registrations.py
  uv_install --no-build-isolation --reinstall-package vllm ./tests/gpu_path/vllm_on_cpu --editable . || return 1
  .venv-vllm/bin/python -c 'import torchvision, vllm; from vllm.platforms import current_platform as p; assert p.is_cpu()'
}

# TRL beside this package, as its users have them, without verl and Ray.
prepare_trl() {
  prepare_beside trl '1 GB' finish_beside
}

# What EasyR1 imports, beside this package; EasyR1 itself is read from its checkout. The tests run in .venv, with verl.
prepare_easyr1() {
  prepare_beside easyr1 '2 GB' finish_beside || return 1
  activate_environment .venv
}

finish_beside() {
  uv_install --no-build-isolation --editable . && .venv/bin/uv pip check --quiet --python "$UV_PYTHON"
}

# prepare_beside NAME SIZE FINISH [FILE...]: what constraints-NAME.txt pins into .venv-NAME, then FINISH; again when they, or a
# FILE, changed.
prepare_beside() {
  local wanted constraints=recipes/setup/constraints-$1.txt stamp=.venv-$1/.installed
  wanted=$(cat pyproject.toml "$constraints" "${@:4}" | sha256sum)
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    echo "== installing what $constraints pins into .venv-$1 ($2)"
    [ -x ".venv-$1/bin/python" ] || .venv/bin/python -m venv ".venv-$1"
    local UV_PYTHON=.venv-$1/bin/python
    uv_install --requirement "$constraints" || return 1
    "$3" || return 1
    echo "$wanted" >"$stamp"
  fi
  activate_environment ".venv-$1"
}

# Exactly the named packages and nothing a resolver would choose; into .venv, or where UV_PYTHON is.
uv_install() {
  local quiet=(--quiet)
  if [ -t 2 ]; then quiet=(); fi # progress bars are for terminals
  UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$(pip_setting index-url)}" \
    UV_EXTRA_INDEX_URL="${UV_EXTRA_INDEX_URL:-$(pip_setting extra-index-url)}" \
    UV_FIND_LINKS="${UV_FIND_LINKS:-$(pip_setting find-links)}" \
    UV_INDEX_STRATEGY=unsafe-best-match UV_SYSTEM_CERTS=true \
    .venv/bin/uv pip install "${quiet[@]}" --python "${UV_PYTHON:-.venv/bin/python}" --no-deps "$@"
}

activate_environment() {
  # uv compiles nothing at the installation: whoever imports a module first does. Where that is switched off, as containers
  # like to do, each of the dozen processes of a run would compile all of verl again, 30 s instead of 12.
  unset PYTHONDONTWRITEBYTECODE
  export PATH="$PWD/$1/bin:$PATH" VIRTUAL_ENV="$PWD/$1"
}
