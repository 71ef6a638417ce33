# Every command of docs/first-federation.md and the how-tos is run, as it stands, each page in a
# folder of its own, all at once. Addresses and ports become this machine's.
. "$(dirname "$0")/../e2e/lib.sh"
here=$SOURCE/tests/docs
# What users have, where it was built (./dev test builds it first): a third of the sanitizers' time.
[ ! -x "$SOURCE/build/release/bin/fedmoe-demo" ] || BIN=$SOURCE/build/release/bin
pages=("$SOURCE/docs/first-federation.md" "$SOURCE/docs/guide-scientist.md" "$SOURCE"/docs/howto/*.md)
[ $# = 0 ] || pages=("$@")
for python in python3 /usr/bin/python3; do "$python" -c 'import numpy, yaml' 2>/dev/null && break; done
export PYTHON=$python

run_page() {
    local name=$1 script=$WORK/$1.sh
    {
        cat "$here/sandbox.sh"
        python3 -B "$here/extract.py" "$2" |
            sed -e "s/7300/$3/g" -e 's/hub\.example/127.0.0.1/g'
    } >"$script"
    SANDBOX=$WORK/$name/box timeout 240 bash "$script" >"$WORK/$name/out" 2>&1
}
port=$((20000 + RANDOM % 20000))
for page in "${pages[@]}"; do
    name=$(basename "$page" .md)
    mkdir "$WORK/$name"
    port=$((port + 1))
    run_page "$name" "$page" $port &
    PID[$name]=$!
done
for page in "${pages[@]}"; do
    name=$(basename "$page" .md)
    wait "${PID[$name]}"
    rc=$?
    unset "PID[$name]"
    if [ $rc = 77 ]; then
        echo "skipped: $name: $(tail -1 "$WORK/$name/out")"
        continue
    fi
    check "$name" [ $rc = 0 ]
    if [ $rc != 0 ]; then
        echo "  ${page#"$SOURCE"/}, block at line $(cat "$WORK/$name/box.line" 2>/dev/null): exit $rc" >&2
        tail -8 "$WORK/$name/out" | sed 's/^/  | /' >&2
    fi
done
printf '# x\n\n```sh\nfedmoe-node chek\nfedmoe-model train --shema x\n```\n' >"$WORK/bad.md"
check "(a command and an option that are none are found)" [ "$(
    python3 -B "$here/options.py" "$BIN" "$WORK/bad.md" 2>&1 | grep -c 'there is no such')" = 2 ]
check "every command and option that the documents name exists" \
    python3 -B "$here/options.py" "$BIN" "$SOURCE"/README.md "$SOURCE"/docs/*.md "$SOURCE"/docs/howto/*.md "$SOURCE"/python/README.md
check "what is not run says why" python3 -B "$here/extract.py" --count "${pages[@]}"
finish
