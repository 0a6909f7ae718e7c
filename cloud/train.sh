#!/bin/sh
# Trains a recipe on a rented machine: installs, checks the machine, trains within a budget, packs what is to be brought home.
# The same command resumes: from its folder, or on a fresh machine from the mirror. docs/rented-gpu.md has the whole way.
#
#   BUDGET_USD=4 USD_PER_HOUR=0.44 MIRROR=s3://bucket/runs/one sh cloud/train.sh open-rs2-lora [--set A.B=C ...]
#
#   BUDGET_USD     the most that the run may cost, over all resumes      USD_PER_HOUR  the machine's price, needed with it
#   MIRROR         training.mirror of the recipe: URL of fsspec or Hub   OUT           the run's folder (runs/NAME-OF-RECIPE)
#   NEED_GB        free disk that the run needs (30)                     ALLOW_CPU     1: go on without a GPU
#   FRUGALRL       the command, if it is installed already
#
# Exit codes are frugalrl's: 0 done, 2 a mistake that can be fixed, 3 nothing to learn, 130 stopped (start it again).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "$1" >&2
    exit 2
}

[ $# -gt 0 ] || fail "Give a recipe: sh cloud/train.sh open-rs2-lora"
recipe=$1
shift
out=${OUT:-runs/$(basename "$recipe" .yaml)}
home=$out-home.tar.gz

# What the run may cost.
if [ -n "${BUDGET_USD:-}" ]; then
    [ -n "${USD_PER_HOUR:-}" ] || fail "BUDGET_USD needs the machine's price: give USD_PER_HOUR as well."
    set -- "$@" --set "budget.usd=$BUDGET_USD"
fi
if [ -n "${USD_PER_HOUR:-}" ]; then
    set -- "$@" --set "budget.usd_per_hour=$USD_PER_HOUR"
fi
if [ -n "${MIRROR:-}" ]; then
    set -- "$@" --set "training.mirror=$MIRROR"
fi

# The tested set of versions.
if [ -z "${FRUGALRL:-}" ]; then
    sh "$here/cloud/install.sh"
    FRUGALRL=$here/.venv/bin/frugalrl
fi

# The machine.
if [ "${ALLOW_CPU:-0}" != 1 ]; then
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader ||
        fail "There is no GPU here, or no driver for it. Rent another machine, or set ALLOW_CPU=1."
    "$(dirname "$FRUGALRL")/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
        fail "torch sees no GPU: the driver is older than its CUDA. Rent a machine with a newer driver."
fi
mkdir -p "$(dirname "$out")"
free_gb=$(df -Pk "$(dirname "$out")" | awk 'NR == 2 { print int($4 / 1048576) }')
[ "$free_gb" -ge "${NEED_GB:-30}" ] || fail "$free_gb GB of disk are free and ${NEED_GB:-30} are needed. Rent more, or set NEED_GB."
"$FRUGALRL" train "$recipe" "$@" --dry-run

# The run. With a mirror --resume also begins it; without one there must be a folder to resume.
if [ -n "${MIRROR:-}" ] || [ -f "$out/recipe.yaml" ]; then
    set -- "$@" --resume
fi
signalled=0
trap 'signalled=1; kill -TERM "$run" 2>/dev/null || true' TERM HUP
trap 'signalled=1' INT # of a terminal, which the run gets as well
"$FRUGALRL" train "$recipe" "$@" --out "$out" &
run=$!
code=0
wait "$run" || code=$?
while [ "$signalled" = 1 ] && [ "$code" -gt 128 ]; do # a signal ends the wait before the run has saved
    signalled=0
    code=0
    wait "$run" || code=$?
done
trap - TERM INT HUP

# What is brought home: the model, the adapter if there is one, the report, the log; no checkpoints.
if [ -f "$out/summary.json" ]; then
    tar -czf "$home" -C "$(dirname "$out")" --exclude=checkpoints --exclude='.*' "$(basename "$out")"
    echo "Bring home: $home ($(du -h "$home" | cut -f1)) with model, report and log."
fi
exit "$code"
