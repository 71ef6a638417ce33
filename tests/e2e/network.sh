# Bad networks. Every party is in a network namespace of its own; a node has a line out, to a relay
# where a hospital's firewall would be, and the aggregator has no way to it. Loss and delay, a node
# that is cut off, all of them cut off, a node that trickles: the rounds go on, and who is slow
# slows only itself.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
command -v ip >/dev/null || skip "ip (iproute2) is not installed"
# In a user namespace of our own this needs no root, and all that is made here is gone with it.
if [ -z "${IN_NAMESPACE:-}" ]; then
    unshare -rnm true 2>/dev/null || skip "network namespaces cannot be made here"
    trap - EXIT
    rm -rf "$WORK"
    IN_NAMESPACE=1 exec unshare -rnm bash "$0"
fi
mount -t tmpfs none /run 2>/dev/null && mkdir -p /run/netns || skip "no folder for the namespaces' names"
ip link set lo up
# wire NAMESPACE NET: a line from here (NET.1) to there (NET.2), and nothing else.
wire() {
    ip netns add "$1" && ip link add "to-$1" type veth peer name out netns "$1" &&
        ip addr add "$2.1/30" dev "to-$1" && ip link set "to-$1" up &&
        ip netns exec "$1" ip addr add "$2.2/30" dev out &&
        ip netns exec "$1" ip link set out up && ip netns exec "$1" ip link set lo up
}
wire hub 10.8.0 2>"$WORK/wire" || skip "no namespaces or lines here: $(tail -1 "$WORK/wire")"

rounds=3000
setup --rounds $rounds --quorum 3
sed -i -e 's/^  round_s: .*/  round_s: 3/' -e 's/^  join_s: .*/  join_s: 2/' \
    -e 's|tcp://127.0.0.1:|tcp://10.8.0.2:|' "$RUN/federation.yaml"
replan
i=0
for name in $HOSPITALS; do
    i=$((i + 1))
    wire "$name" "10.9.$i"
    relay_start "$name" "10.9.$i.1"
done

# inside NAMESPACE PARTY COMMAND...: in the background.
inside() {
    local space=$1 name=$2
    shift 2
    ip netns exec "$space" "$@" >>"$RUN/$name/log" 2>&1 &
    PID[$name]=$!
}
node_inside() { inside "$1" "$1" "$BIN/fedmoe-node" start --config "$RUN/$1/node.yaml" --retry-s 120; }
round_now() { number "$RUN/aggregator/status.json" round; }
conduct_all() {
    local name
    for name in $HOSPITALS; do relay_conduct_of "$name" "$@"; done
}
lines() {
    local name
    for name in $HOSPITALS; do ip link set "to-$name" "$1"; done
}

# ---- 5 % loss and 200 ms, from the first connection on ----
kind="netem"
for name in $HOSPITALS; do
    tc qdisc add dev "to-$name" root netem delay 200ms loss 5% 2>/dev/null &&
        ip netns exec "$name" tc qdisc add dev out root netem delay 200ms loss 5% || kind="the relay"
done
if [ "$kind" = "the relay" ]; then # this kernel has no netem
    conduct_all "delay_ms 200" "jitter_ms 20" "loss 5"
fi
inside hub aggregator "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --linger 3 \
    --trace "$WORK/trace"
for name in $HOSPITALS; do node_inside "$name"; done
check "with loss and delay (by $kind) rounds finish" wait_round aggregator 4 60
lost=$(cat "$WORK"/relay.* | grep -c ^lost)
[ "$kind" = netem ] || check "pieces were lost ($lost)" [ "$lost" -ge 3 ]

# ---- only outwards ----
listening() { awk '$4 == "0A" { n++ } END { print n + 0 }' "/proc/${PID[$1]}/net/tcp" "/proc/${PID[$1]}/net/tcp6"; }
check "the aggregator listens at its one port" [ "$(listening aggregator)" = 1 ]
for name in $HOSPITALS; do
    check "nothing listens at $name" [ "$(listening "$name")" = 0 ]
done
no_way() { ! ip netns exec hub ip route get 10.9.1.2 2>/dev/null; }
check "and the aggregator has no way to a node" no_way
for name in $HOSPITALS; do
    tc qdisc del dev "to-$name" root 2>/dev/null
    ip netns exec "$name" tc qdisc del dev out root 2>/dev/null
done
conduct_all

# ---- one is cut off for longer than anyone is waited for ----
ip link set to-lakeside down
# It may have been cut off before its update, or between that and its commit or release.
missed='no update from lakeside in time; left out|lakeside dropped: no (commit|release) .* in time'
check "it is missed" until_true 20 says "$RUN/aggregator/log" "$missed"
at=$(round_now)
check "the others go on without it" wait_round aggregator $((at + 10)) 30
check "its going is noticed" until_true 20 says "$RUN/aggregator/log" "lakeside (is gone: silent|dropped: no (update|commit|release))"
check "it notices, too" until_true 20 says "$RUN/lakeside/log" "silent|trying again"
ip link set to-lakeside up
at=$(number "$RUN/lakeside/status.json" round)
check "and takes part again once it can" wait_round lakeside $((at + 10)) 40

# ---- all are cut off ----
going='is gone: silent|dropped: no (update|commit|release)'
gone=$(grep -cE "$going" "$RUN/aggregator/log")
# By the log: the status may be a second old.
finished() { grep -cE 'round [0-9]+ finished: ' "$RUN/aggregator/log"; }
lines down
sleep 2
at=$(finished)
check "all four are missed" until_true 30 more_than "$gone" "$going" 4
check "meanwhile no round has finished" [ "$(finished)" = "$at" ]
at=$(round_now)
lines up
check "connected again, it goes on from there" wait_round aggregator $((at + 10)) 60
all_four() { tail -n 3 "$RUN/aggregator/log" | grep -q "4 of 4 nodes"; }
check "with all four" until_true 30 all_four

# ---- one trickles ----
before=$(wc -l <"$WORK/trace")
log=$(wc -l <"$RUN/aggregator/log")
relay_conduct_of lakeside "rate 200"
check "the slow one is left out, and named" until_true 20 more_than \
    "$(grep -c 'no update from lakeside in time' "$RUN/aggregator/log")" "no update from lakeside in time"
check "again and again the others finish" until_true 30 more_than \
    "$(grep -c '3 of [34] nodes' "$RUN/aggregator/log")" "3 of [34] nodes" 2
relay_conduct_of lakeside
slowest=$(tail -n +$((before + 1)) "$WORK/trace" | sed -n 's/.*"wall_ns": \([0-9]*\).*/\1/p' | sort -n | tail -1)
# Late by as much as a busy machine wakes late, and not by another deadline.
check "no round took longer than its deadline of 3 s (slowest: $((slowest / 1000000)) ms)" \
    [ "$slowest" -gt 2500000000 -a "$slowest" -lt 5500000000 ]
for name in northgate hillcrest riverside; do
    check "$name was not left out with it" [ "$(tail -n +$log "$RUN/aggregator/log" | grep -c "from $name in time")" = 0 ]
done
finish
