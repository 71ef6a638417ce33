#!/usr/bin/env bash
# From a bare Debian 12 to the first finished round between two machines, by the coordinator's guide alone:
#   ./dev bare            (root; Debian's packages within reach; 1 GB of room)
# Two minimal Debians, made by debootstrap, are the machines: each a chroot with a network of its own. Packages
# come from build/packages. Printed: each command that is typed, when it was done, what a node's package and
# its libraries take on the disk, and what a node takes of memory while it waits.
set -euo pipefail
packages=$(cd "$1" && pwd)
work=$(mktemp -d)
hub=$work/hub clinic=$work/clinic
# Where this machine has its own packages from, unless $MIRROR says another place.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -1)}
say() { printf '%s\n' "$*" >&2; }

cleanup() {
    for name in hub clinic; do
        ip netns pids "fm-$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "fm-$name" 2>/dev/null || true
        umount "$work/$name/proc" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

say "Making two bare Debian 12 ..."
debootstrap --variant=minbase bookworm "$hub" "$mirror" >"$work/log" 2>&1 || { tail -3 "$work/log" >&2; exit 1; }
cp /etc/resolv.conf "$hub/etc/resolv.conf"
cp -a "$hub" "$clinic"
ip netns add fm-hub
ip netns add fm-clinic
ip link add fm-a netns fm-hub type veth peer name fm-b netns fm-clinic
ip -n fm-hub addr add 10.77.0.1/24 dev fm-a
ip -n fm-clinic addr add 10.77.0.2/24 dev fm-b
for pair in hub:fm-a clinic:fm-b; do
    ip -n "fm-${pair%:*}" link set lo up
    ip -n "fm-${pair%:*}" link set "${pair#*:}" up
    mount -t proc proc "$work/${pair%:*}/proc"
    mkdir "$work/${pair%:*}/root/debs"
    cp "$packages"/*.deb "$work/${pair%:*}/root/debs"
done

# What both sides have before they begin: a schema that was agreed on, and records of their own.
"${BIN:?where the programs are}/fedmoe-demo" --setup-only --keep "$work/demo" >/dev/null 2>&1
cp "$work/demo/schema.yaml" "$hub/root/"
cp "$work/demo/schema.yaml" "$clinic/root/"
for name in northgate lakeside hillcrest; do cp "$work/demo/$name/records.csv" "$clinic/root/$name.csv"; done

typed=0
begin=$(date +%s.%N)
at() { awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%6.1f s", b - a }'; }
type_at() { # MACHINE NET COMMAND: as a person there would type it; NET: from which network
    typed=$((typed + 1))
    local in=()
    [ "$2" = own ] && in=(ip netns exec "fm-$1")
    "${in[@]}" chroot "$work/$1" /bin/sh -c "cd /root && $3" >>"$work/$1.said" 2>>"$work/$1.err" || {
        say "failed on $1: $3"
        tail -5 "$work/$1.err" >&2
        exit 1
    }
    printf '%s  %-6s  %s\n' "$(at)" "$1" "$3"
}
sizes() { chroot "$work/$1" dpkg-query -W -f='${Installed-Size}\n' | awk '{ n += $1 } END { print n }'; }
before=$(sizes clinic)
install="apt-get -qq update && apt-get -qq install -y --no-install-recommends"
# Both machines are set up at once, as by two people.
type_at clinic host "$install ./debs/fedmoe-node_*.deb" >"$work/clinic.first" &
other=$!
type_at hub host "$install ./debs/fedmoe-aggregator_*.deb ./debs/fedmoe-tools_*.deb"
wait $other
cat "$work/clinic.first"
typed=2
after=$(sizes clinic)
type_at hub own "fedmoe-aggregator new --directory heart --name heart --purpose 'heart disease risk' --address tcp://10.77.0.1:7300 --schema schema.yaml --units 600 --invite northgate --invite lakeside --invite hillcrest"
type_at hub own "fedmoe-aggregator start --directory heart/aggregator --ca heart/ca --linger 5 >hub.log 2>&1 &"
for name in northgate lakeside hillcrest; do
    sed -n "/join code of node '$name'/,/pastes it/p" "$work/hub.said" >"$clinic/root/$name.mail" # the mail
    type_at clinic own "fedmoe-node join - --records $name.csv --schema schema.yaml --purpose 'heart disease risk' --delta 1e-4 <$name.mail"
    type_at clinic own "fedmoe-node start --config $name/node.yaml >$name.log 2>&1 &"
    if [ $name = northgate ]; then
        mine=$typed
        sleep 3 # it waits for the others
        idle=$(awk '/VmRSS/ { print $2 }' "/proc/$(ip netns pids fm-clinic | head -1)/status")
    fi
done
for ((i = 0; i < 600; i++)); do
    grep -qE '"round": *[1-9]' "$clinic/root/northgate/status.json" 2>/dev/null && break
    sleep 0.1
done
grep -qE '"round": *[1-9]' "$clinic/root/northgate/status.json" || { say "no round was finished"; tail -3 "$hub/root/hub.log" >&2; exit 1; }
printf '%s  the first round is finished\n\n' "$(at)"
printf 'commands of the coordinator and one hospital   %d    (aim 6)\n' "$mine"
printf 'time to the first finished round              %s (at least 10 min, aim 3 min; both machines on this one, without the time to read and type)\n' "$(at)"
printf "a node's package and its libraries, on disk    %.1f MB (at least 30, aim 15)\n" "$(awk -v a="$before" -v b="$after" 'BEGIN { print (b - a) / 1024 * 1.048576 }')"
printf 'resident memory of a node that waits           %.1f MB (at least 20, aim 10)\n' "$(awk -v k="$idle" 'BEGIN { print k * 1.024 / 1000 }')"
