# An observer on the wire of a whole run sees no name, no weight and no record.
. "$(dirname "$0")/lib.sh"
command -v tcpdump >/dev/null || skip "tcpdump is not installed"
setup --rounds 10
ports=$(grep -hoE '127\.0\.0\.1:[0-9]+' "$RUN/aggregator/federation.yaml" | cut -d: -f2 | sort -u)
canary=$(head -c 24 /dev/urandom | base64)
control=$((20000 + RANDOM % 20000))
filter="port $control"
for p in $ports; do filter="$filter or port $p"; done
tcpdump -i lo -U -s 0 -B 65536 -w "$WORK/capture" "tcp and ($filter)" 2>"$WORK/tcpdump.err" &
PID[tcpdump]=$!
for _ in $(seq 100); do grep -q listening "$WORK/tcpdump.err" && break; nap 0.05; done
grep -q listening "$WORK/tcpdump.err" || skip "no capture here: $(tail -1 "$WORK/tcpdump.err")"

start_all
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 90; done
# The control: something readable that the same capture must show.
coproc LISTEN { perl -MIO::Socket::INET -e '
    $| = 1;
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => $ARGV[0],
                                  ReuseAddr => 1) or die "no socket: $!";
    print "ready\n";
    my $c = $s->accept or die "nobody came";
    while (<$c>) { }' "$control"; }
read -r -t 10 _ <&"${LISTEN[0]}"
bash -c "exec 3<>/dev/tcp/127.0.0.1/$control; printf '%s' '$canary' >&3"
# The capture is handed over in blocks, up to a second late.
for _ in $(seq 100); do grep -qaF "$canary" "$WORK/capture" && break; nap 0.05; done
kill -INT "${PID[tcpdump]}"
wait "${PID[tcpdump]}" 2>/dev/null
unset "PID[tcpdump]"

check "the capture works: it shows what was sent in the clear" grep -qaF "$canary" "$WORK/capture"
check "the capture holds the run" [ "$(stat -c %s "$WORK/capture")" -gt 100000 ]
absent() { ! grep -qaF -- "$1" "$WORK/capture"; }
for word in $HOSPITALS heart-demo "heart disease" heart_disease trestbps cholesterol fedmoe urn:fedmoe tabular; do
    check "nobody reads '$word'" absent "$word"
done
# Records: their first fields as text, as 32-bit and as 64-bit floats, raw and as features.
perl -e '
    my ($capture, @files) = @ARGV;
    sub slurp { open my $f, "<:raw", $_[0] or die "$_[0]: $!"; local $/; <$f> }
    my $all = slurp($capture);
    my ($looked, $seen) = (0, 0);
    for my $path (@files) {
        for my $line (split /\n/, slurp($path)) {
            my @v = (split /,/, $line)[0 .. 4];
            next if grep { $_ eq "?" } @v;
            my @bits = (join(",", @v), pack("f<5", @v), pack("d<5", @v),
                        pack("f<2", ($v[0] - 55) / 10, 0) . pack("f<", sqrt(2) * (($v[1] == 0) - 0.5)));
            for my $piece (@bits) { $looked++; $seen++ if index($all, $piece) >= 0; }
        }
    }
    print "looked for $looked pieces of records, saw $seen\n";
    exit($looked > 1000 && $seen == 0 ? 0 : 1);
' "$WORK/capture" $(for name in $HOSPITALS; do echo "$RUN/$name/records.csv"; done)
check "no records" [ $? = 0 ]
# Weights: any 8 bytes in a row of a model that travelled.
perl -e '
    my ($capture, @models) = @ARGV;
    sub slurp { open my $f, "<:raw", $_[0] or die "$_[0]: $!"; local $/; <$f> }
    my $all = slurp($capture);
    my $seen = 0; my $looked = 0;
    for my $path (@models) {
        my $file = slurp($path);
        my $body = substr($file, 8 + unpack("Q<", $file));
        for (my $i = 0; $i + 8 <= length $body; $i += 8) {
            my $piece = substr($body, $i, 8);
            next if $piece =~ /^(.)\1*$/s || $piece =~ /\0\0\0/;
            $looked++;
            $seen++ if index($all, $piece) >= 0;
        }
    }
    print "looked for $looked pieces of weights, saw $seen\n";
    exit($looked > 100 && $seen == 0 ? 0 : 1);
' "$WORK/capture" "$RUN/model.safetensors" "$RUN/northgate/model.safetensors"
check "no weights" [ $? = 0 ]
finish
