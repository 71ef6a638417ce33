# A hostile aggregator says again what was true once, kills a node between its messages and opens
# its round again: no second update, commit or release.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
start_replays
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
