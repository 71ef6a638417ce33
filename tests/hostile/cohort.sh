# A hostile aggregator shrinks the cohort, or pads it with members of its own.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
start_cohort
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
