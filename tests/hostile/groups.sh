# Nine nodes whose sums are by groups of three: the aggregator leaves one alone in its group, or shows
# some of them another draw. Nobody releases, and each says why.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
HOSPITALS="northgate lakeside hillcrest riverside clinic-5 clinic-6 clinic-7 clinic-8 clinic-9"
for name in clinic-5 clinic-6 clinic-7 clinic-8 clinic-9; do
    "$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name "$name" \
        --output "$RUN/$name/identity" >/dev/null || exit 1
    cp -p "$RUN/northgate/records.csv" "$RUN/$name/"
    sed "s/\"northgate\"/\"$name\"/; s/^name: northgate/name: $name/" "$RUN/northgate/node.yaml" \
        >"$RUN/$name/node.yaml"
    chmod 600 "$RUN/$name/node.yaml"
done
sed -i -e 's/^  min_cohort: 3 /  min_cohort: 2 /' -e 's/^  min_colluders: 1 /  min_colluders: 0 /' \
    "$RUN"/*/node.yaml
sed -i -e 's/^  nodes: 4/  nodes: 9/' -e 's/^  min: 3/  min: 6/' -e 's/^  quorum: 3/  quorum: 6/' \
    -e 's/^  colluders: 1/  colluders: 0/' "$RUN/federation.yaml"
echo "robust: {groups: 3, mean: median}" >>"$RUN/federation.yaml"
replan
start_hostile --finish honest-nine alone-in-its-group honest-nine moved-nodes honest-nine
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
