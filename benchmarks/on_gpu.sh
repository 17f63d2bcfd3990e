#!/usr/bin/env bash
# What a GPU makes of taumem, in eight minutes and one folder: steps of training, sampling and the search for copies as
# shares of the device's products, ensembles against runs one by one, and real CIFAR-10 in color (P = 256 to 2,048), with
# tau_val and copies against P.
#
#     bash benchmarks/on_gpu.sh FOLDER                 # on the first GPU
#     DEVICE=cpu bash benchmarks/on_gpu.sh FOLDER      # a tenth of the size, to see that it works
#
# PYTHON names the interpreter (python3), CIFAR the folder with CIFAR-10's binary or pickled files (without one, that part
# is left out). A part that fails does not keep the others from running; the script then ends with an error.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${1:?say where to write: bash benchmarks/on_gpu.sh FOLDER}
DEVICE=${DEVICE:-cuda}
PYTHON=${PYTHON:-python3}
CIFAR=${CIFAR:-../shared/data/cifar-10-batches-bin}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$OUT"
failed=0 patience=1

part() { # NAME SECONDS COMMAND...: run it within so many seconds, and keep what it prints
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    timeout -k 10 $((limit * patience)) "$@" 2>&1 | tee "$OUT/$name.log"
    local status=${PIPESTATUS[0]}
    echo "$name: $((SECONDS - began)) s, exit status $status" | tee -a "$OUT/parts.txt"
    [ "$status" = 0 ] || failed=1
}

if [ "$DEVICE" = cpu ]; then
    patience=5 # half precision is not for CPUs, and programs are compiled by the C++ compiler
    steps=(--tenth --rounds 1)
    ensembles=(--rounds 1 --unets 2 --grammars 4)
    cifar=(cifar10-tiny --workers 1 --set 'n_train=[16, 32]' --set training.min_steps=300 --set training.steps_per_example=0)
else
    steps=() ensembles=()
    # Two thirds of the hour's steps per example at the largest P, in bf16: tau_val, and the first copies of the smallest.
    cifar=(cifar10-gpu --set training.precision=bf16 --set training.channels_last=true --set training.min_steps=2500
        --set training.steps_per_example=4 --set monitor.n_samples=256 --set training.stop_at_clock=tau_val)
fi

: > "$OUT/parts.txt"
part steps 150 "$PYTHON" benchmarks/device_steps.py --device "$DEVICE" --output "$OUT" ${steps[@]+"${steps[@]}"}
part ensembles 120 "$PYTHON" benchmarks/ensembles.py --device "$DEVICE" --output "$OUT" ${ensembles[@]+"${ensembles[@]}"}
if [ -d "$CIFAR" ]; then
    part cifar10 210 "$PYTHON" -m taumem run "${cifar[@]}" --set data.path="$CIFAR" --device "$DEVICE" -o "$OUT/cifar10"
    # What was measured so far counts, whether the time sufficed or not.
    part law 60 "$PYTHON" -m taumem fit "$OUT/cifar10"
    part page 60 "$PYTHON" -m taumem report "$OUT/cifar10" -o "$OUT/cifar10.html"
else
    echo "no folder $CIFAR: CIFAR-10 is left out" | tee -a "$OUT/parts.txt"
fi
exit $failed
