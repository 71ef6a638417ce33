# A hostile aggregator shows different nodes different things: nobody releases, and each says why.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
start_views
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
