# Forty mistakes of each kind of input: a sentence that names the place, exit 1, no crash, no hang.
. "$(dirname "$0")/lib.sh"
setup --rounds 4
python3 "$SOURCE/tests/e2e/mutations.py" --bin "$BIN" --run "$RUN" --every "${EVERY:-1}" --list "$WORK/list" >"$WORK/score"
rc=$?
cat "$WORK/score"
check "every mistake is named with its place" [ $rc = 0 ]
check "of all nine kinds" [ "$(grep -c ' of ' "$WORK/score")" = 9 ]
finish
