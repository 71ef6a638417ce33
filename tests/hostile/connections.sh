# Connections that say nothing, or stop in the middle of a handshake, a flood of messages, and a
# node that shows another's certificate: the federation goes on.
. "$(dirname "$0")/lib.sh"
setup --rounds 40
port=$(grep -hoE '127\.0\.0\.1:[0-9]+' "$RUN/aggregator/federation.yaml" | cut -d: -f2)
start_aggregator
for _ in $(seq 200); do has "$RUN/aggregator/log" "door tcp" && break; nap 0.05; done

# 600 silent ones, 100 that stop behind ZMTP's greeting, 100 within its HELLO.
coproc SILENT { exec perl -MIO::Socket::INET -e '
    $| = 1;
    my @open;
    my $greeting = "\xff" . "\0" x 8 . "\x7f\x03\x01CURVE" . "\0" x 47;
    $SIG{PIPE} = "IGNORE";
    for my $i (1 .. 800) {
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0]) or next;
        $s->autoflush(1);
        print $s $greeting if $i > 600;
        print $s "\x04\xc8\x05HELLO" if $i > 700;
        push @open, $s;
    }
    print scalar(@open), "\n";
    sleep 120;' $port; }
PID[silent]=$SILENT_PID
read -r -t 60 opened <&"${SILENT[0]}"
check "connections are open ($opened)" [ "${opened:-0}" = 800 ]

# Lakeside's certificate; the keys and the statement are hillcrest's own.
HOSTILE_DEED=other-name HOSTILE_IDENTITY=$RUN/lakeside/identity timeout 60 "$BIN/hostile-node" start \
    --config "$RUN/hillcrest/node.yaml" --retry-s 10 >"$WORK/other-name" 2>&1
check "another's certificate without its key does not get in" [ $? = 1 ]
check "and is told why" says "$WORK/other-name" "fedmoe-node start: .*refused"
check "nobody has joined" [ "$(grep -c joined "$RUN/aggregator/log")" = 0 ]

for name in northgate lakeside hillcrest; do start_node "$name"; done
HOSTILE_DEED=flood "$BIN/hostile-node" start --config "$RUN/riverside/node.yaml" \
    >>"$RUN/riverside/log" 2>&1 &
PID[riverside]=$!
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 120; done
check "all rounds are finished" says "$RUN/aggregator/log" "finished, 40 of 40 rounds"
check "by all four" [ "$(grep -c 'finished: 4 of 4 nodes' "$RUN/aggregator/log")" -ge 35 ]
kill_party silent
finish
