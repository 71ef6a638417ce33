# A hostile aggregator shows different nodes different things: nobody releases, and each says why.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
"$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name mallory --output "$WORK/mallory" >/dev/null
start_hostile --finish --colluder "$WORK/mallory" \
    honest honest swapped-key split-rosters split-participants honest split-survivors \
    alive-and-lost itself-lost swapped-update honest other-weights other-model other-plan \
    member-as-aggregator honest
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
