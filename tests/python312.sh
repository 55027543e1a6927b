#!/usr/bin/env bash
# The rooms that need neither torch nor Ray, on Python 3.12 and with the newest packages that pyproject.toml lets in (.venv
# holds the pinned ones). Extra arguments go to pytest. Where there is no Python 3.12, that is said and nothing is tested.
set -euo pipefail
cd "$(dirname "$0")/.."
for python in python3.12 "$HOME"/.pyenv/versions/3.12.*/bin/python3.12; do
  "$python" -c '' 2>/dev/null && break
  python=''
done
if [ -z "$python" ]; then
  echo "skipped: no Python 3.12 is installed here"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$folder/bin/uv" pip install --quiet --python "$folder/bin/python" --editable ".[eval,report]" \
  fastapi hypothesis pytest pytest-asyncio pytest-benchmark pytest-xdist uvicorn
rooms=(rewards judges model_client published report test_rows.py test_statistics.py test_traces.py test_package.py)
export CI=true HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
"$folder/bin/python" -m pytest -p no:cacheprovider --ignore=tests/unit/judges/test_served.py \
  --ignore=tests/unit/report/test_logged_traces.py --ignore=tests/unit/report/test_series.py \
  --deselect=tests/unit/test_package.py::test_every_name_is_there_and_listed "${rooms[@]/#/tests/unit/}" "$@"
