# python/ against fedmoe-model predict: float32 and 8 bits, every kind of column and label.
. "$(dirname "$0")/../e2e/lib.sh"
python=
for one in python3 /usr/bin/python3; do
    "$one" -c 'import numpy, yaml' 2>/dev/null && { python=$one; break; }
done
[ -n "$python" ] || skip "no Python with NumPy and PyYAML"
export PYTHONPATH=$SOURCE/python PYTHONDONTWRITEBYTECODE=1
check "predictions are alike to 1e-5" "$python" "$SOURCE/tests/python/predict.py" "$BIN" "$WORK"
finish
