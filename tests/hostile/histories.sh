# A hostile aggregator tells half of the nodes another history, sound in itself, with another model.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
start_hostile honest honest split-models
dismiss split-models
check "the lie is told" serve_hostile 60
check_records
finish
