# The Debian packages: what is in them, who owns it, and how well the services are shut in.
. "$(dirname "$0")/lib.sh"
RELEASE=$SOURCE/build/release
[ -x "$RELEASE/bin/fedmoe-node" ] || skip "no release build in build/release (./dev build)"
for tool in cpack dpkg-deb dpkg-shlibdeps; do
    command -v $tool >/dev/null || skip "no $tool here"
done

check "packages are made" \
    bash -c 'cd "$1" && SOURCE_DATE_EPOCH=1700000000 cpack -G DEB -B "$2/out" >"$2/log" 2>&1' _ "$RELEASE" "$WORK"
deb() { ls "$WORK/out/fedmoe-$1"_*.deb; }
lists() { dpkg-deb -c "$(deb "$1")" | awk '{print $1, $2, $6}' >"$WORK/list" && grep -qxF -- "$2" "$WORK/list"; }
for role in node aggregator; do
    check "fedmoe-$role: the program" lists $role "-rwxr-xr-x root/root ./usr/bin/fedmoe-$role"
    check "fedmoe-$role: its man page" lists $role "-rw-r--r-- root/root ./usr/share/man/man1/fedmoe-$role.1.gz"
    check "fedmoe-$role: its completion" lists $role "-rw-r--r-- root/root ./usr/share/bash-completion/completions/fedmoe-$role"
    check "fedmoe-$role: its service" lists $role "-rw-r--r-- root/root ./usr/lib/systemd/system/fedmoe-$role@.service"
    check "fedmoe-$role: its logs are rotated" lists $role "-rw-r--r-- root/root ./etc/logrotate.d/fedmoe-$role"
    check "fedmoe-$role: what an administrator edits is kept by an upgrade" \
        bash -c '[ "$(dpkg-deb -I "$1" conffiles)" = "/etc/logrotate.d/fedmoe-$2" ]' _ "$(deb $role)" $role
    for script in postinst prerm postrm; do
        check "fedmoe-$role: $script is a shell script" bash -c 'dpkg-deb -I "$1" $2 | sh -n' _ "$(deb $role)" $script
    done
done
for tool in model dp certs demo; do
    check "fedmoe-tools: fedmoe-$tool" lists tools "-rwxr-xr-x root/root ./usr/bin/fedmoe-$tool"
done
check "no BLAS, no compiler, no Python is needed" \
    bash -c '! for d in "$@"; do dpkg-deb -f $d Depends; done | grep -E "blas|gcc|python|perl"' _ "$WORK"/out/fedmoe-*.deb
python_package() {
    local deb
    deb=$(ls "$WORK"/out/python3-fedmoe_*_all.deb) &&
        dpkg-deb -c "$deb" | grep -E ' \./usr/lib/python3/dist-packages/fedmoe/__init__\.py$' >/dev/null &&
        [ "$(dpkg-deb -f "$deb" Depends)" = "python3, python3-numpy, python3-yaml" ]
}
check "the Python package is one of its own, for every architecture" python_package

# Taken apart, the programs run from there, and no machine's folders stand in them.
for d in "$WORK"/out/*.deb; do dpkg-deb -x "$d" "$WORK/root"; done
for program in node aggregator model dp certs; do
    check "fedmoe-$program runs as installed" \
        bash -c '"$1" --version | grep -q "$2"' _ "$WORK/root/usr/bin/fedmoe-$program" "$(dpkg-deb -f "$(deb node)" Version)"
done
# The bill of materials names each program with its hash, and each library that it needs with its package.
bill() {
    SOURCE_DATE_EPOCH=1700000000 "$SOURCE/packaging/sbom.sh" "$WORK/root/usr/bin" 1.2.3 >"$WORK/bill.json" && python3 - "$WORK" <<'END'
import hashlib, json, subprocess, sys
bill = json.load(open(sys.argv[1] + "/bill.json"))
packages = {p["SPDXID"]: p for p in bill["packages"]}
assert bill["spdxVersion"] == "SPDX-2.3" and len(packages) == len(bill["packages"])
needs, loads = {}, set()
for r in bill["relationships"]:
    assert r["relatedSpdxElement"] in packages
    if r["relationshipType"] == "OPTIONAL_DEPENDENCY_OF":
        loads.add((packages[r["spdxElementId"]]["name"], r["relatedSpdxElement"]))
    if r["relationshipType"] == "DYNAMIC_LINK":
        needs.setdefault(r["spdxElementId"], set()).add(packages[r["relatedSpdxElement"]]["name"])
for name in ("node", "aggregator", "model", "dp", "certs", "demo"):
    path = sys.argv[1] + "/root/usr/bin/fedmoe-" + name
    at = "SPDXRef-fedmoe-" + name
    assert packages[at]["checksums"][0]["checksumValue"] == hashlib.sha256(open(path, "rb").read()).hexdigest()
    text = subprocess.run(["readelf", "-d", path], capture_output=True, text=True).stdout
    assert len(needs[at]) <= text.count("(NEEDED)") and "libsodium23" in needs[at]
assert loads == {("libmicrohttpd12", "SPDXRef-fedmoe-node"), ("libodbc2", "SPDXRef-fedmoe-node"),
                 ("libmicrohttpd12", "SPDXRef-fedmoe-aggregator")}, loads
assert "libzmq5" in needs["SPDXRef-fedmoe-node"] and "libzmq5" not in needs["SPDXRef-fedmoe-model"]
END
}
if command -v python3 >/dev/null && command -v readelf >/dev/null; then check "the bill of materials" bill; fi
check "no path of the build is in them" bash -c '! grep -rlF "$1" "$2"' _ "$SOURCE" "$WORK/root"

# Purging a package never takes keys, ledgers or models.
purge() {
    mkdir -p "$WORK/purged/var/lib/fedmoe-node/clinic" && : >"$WORK/purged/var/lib/fedmoe-node/clinic/ledger.db"
    dpkg-deb -I "$(deb node)" postrm | sed "s| /var| $WORK/purged/var|g" >"$WORK/postrm"
    sh "$WORK/postrm" purge 2>"$WORK/said" && [ -e "$WORK/purged/var/lib/fedmoe-node/clinic/ledger.db" ] &&
        grep -q 'stays' "$WORK/said"
}
check "a purge leaves what a node keeps" purge

command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze here"; finish; exit; }
# systemd's score: 0 is a service that may do nothing, 10 one that may do all.
exposure() {
    local score
    score=$(systemd-analyze security --offline=yes --no-pager "$1" 2>/dev/null |
        sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
    echo "exposure of ${1##*/}: $score"
    awk -v s="$score" 'BEGIN { exit !(s != "" && s < 2.0) }'
}
for role in node aggregator; do
    unit=$WORK/root/usr/lib/systemd/system/fedmoe-$role@.service
    check "the service of $role is shut in: exposure below 2.0" exposure "$unit"
    sed "s|/usr/bin/|$WORK/root/usr/bin/|" "$unit" >"$WORK/fedmoe-$role@.service"
    check "systemd takes the service of $role" bash -c '[ -z "$(systemd-analyze verify --man=no "$1" 2>&1 | grep "$2")" ]' _ \
        "$WORK/fedmoe-$role@.service" "fedmoe-$role"
done
finish
