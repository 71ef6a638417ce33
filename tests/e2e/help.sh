# --help of every program and command fits a screen and shows an example.
. "$(dirname "$0")/lib.sh"
check "every --help fits a screen, shows an example, and says where the rest is" \
    python3 "$SOURCE/tests/e2e/help.py" "$BIN"
finish
