#!/bin/sh
# Installs frugalrl with its tested set of versions (constraints.txt) into .venv beside this checkout. On Linux the package
# index gives torch for CUDA. Run again it does nothing, unless the versions have changed. PYTHON: Python 3.11 or newer.
set -eu
cd "$(dirname "$0")/.."
mark=.venv/installed-cloud
if [ -f "$mark" ] && [ -z "$(find pyproject.toml constraints.txt -newer "$mark")" ]; then
    exit 0
fi
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=python3.12 sh cloud/install.sh")'
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lora]'
touch "$mark"
