# Bad networks: every node in a network namespace of its own, with nothing but a line out; loss and
# delay, a partition and reconnection, one slow node. The rounds go on; who is slow slows itself.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
command -v ip >/dev/null || skip "ip (iproute2) is not installed"
# In a user namespace of its own this needs no root; what it makes is gone with it.
if [ -z "${FM_IN_NAMESPACE:-}" ]; then
    unshare -rn true 2>/dev/null || skip "network namespaces cannot be made here"
    FM_IN_NAMESPACE=1 exec unshare -rnm bash "$0"
fi
mount -t tmpfs none /run && mkdir -p /run/netns || skip "no folder for network namespaces here"
ip link set lo up
ip netns add probe 2>/dev/null || skip "ip netns does not work here"
ip netns del probe

rounds=2000
LINGER=3
setup --rounds $rounds --quorum 3
sed -i -e 's/^  round_s: .*/  round_s: 3/' -e 's/^  join_s: .*/  join_s: 2/' "$RUN/federation.yaml"
# A bridge with the aggregator on it, and a line to each node.
ip link add fmbr type bridge 2>/dev/null && bridge=1 || bridge=
i=0
for name in $HOSPITALS; do
    i=$((i + 1))
    ip netns add "$name"
    ip link add "fm$i" type veth peer name out netns "$name" || skip "no virtual lines (veth) here"
    ip addr add "10.9.$i.1/30" dev "fm$i"
    ip link set "fm$i" up
    ip netns exec "$name" ip addr add "10.9.$i.2/30" dev out
    ip netns exec "$name" ip link set out up
    line[i]=fm$i
done
