# What a hostile aggregator holds looks like uniform words: of rounds that were released and of
# rounds that were not. The control: a node without masks is found out by the same tests.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
steps=(honest honest split-survivors honest alive-and-lost split-participants honest old-updates
    honest old-commits split-rosters honest)
# Words of 16 bits: it takes twice the updates to have as much to look at.
for _ in {1..10}; do steps+=(honest); done
start_hostile --finish "${steps[@]}"
check "honest rounds and lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
check "as many updates as there were" \
    [ "$(ls "$WORK/updates" | wc -l)" = $((4 * ${#steps[@]})) ]
check "all updates are uniform" "$BIN/hostile-uniform" "$WORK"/updates/*
for name in $HOSPITALS; do
    check "those of $name are uniform" "$BIN/hostile-uniform" "$WORK/updates/$name"-*
done

setup --rounds 100
PROGRAM[riverside]=hostile-node-unmasked
start_hostile --finish "${steps[@]}"
check "the same to a node without masks" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
is_found() { "$BIN/hostile-uniform" "$@"; [ $? = 1 ]; }
check "the node without masks is found out" is_found "$WORK"/updates/riverside-*
check "and only that one" "$BIN/hostile-uniform" "$WORK"/updates/northgate-*
finish
