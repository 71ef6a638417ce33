# Records packed with gzip, xz or zstd are read as they are; damaged or cut they are refused by name.
. "$(dirname "$0")/lib.sh"
for tool in gzip xz zstd; do
    command -v $tool >/dev/null || skip "no $tool here"
done
setup --rounds 4
node=$RUN/northgate
model=$RUN/model.safetensors
predict() { "$BIN/fedmoe-model" predict --model "$model" --input "$1" >"$2" 2>"$WORK/said"; }

cp "$node/records.csv" "$WORK/plain.csv"
predict "$WORK/plain.csv" "$WORK/wanted"
gzip -nc "$WORK/plain.csv" >"$WORK/a.gz"
xz -c "$WORK/plain.csv" >"$WORK/a.xz"
zstd -qc "$WORK/plain.csv" >"$WORK/a.zst"
same() { predict "$1" "$WORK/got" && cmp "$WORK/got" "$WORK/wanted"; }
for kind in gz xz zst; do
    check "$kind" same "$WORK/a.$kind"
    cp "$WORK/a.$kind" "$WORK/named.csv"
    check "$kind, whatever its name" same "$WORK/named.csv"
    check "$kind, from a pipe" same <(cat "$WORK/a.$kind")
done

# What comes in parts, as appended logs do.
lines=$(($(wc -l <"$WORK/plain.csv") / 2))
for pack in "gzip -nc" "xz -c" "zstd -qc"; do
    { head -n $lines "$WORK/plain.csv" | $pack && tail -n +$((lines + 1)) "$WORK/plain.csv" | $pack; } >"$WORK/parts"
    check "${pack%% *}: two parts are one file" same "$WORK/parts"
done

refused_at() { # FILE TEXT: exit 1, the file and the text named
    predict "$1" "$WORK/got" && return 1
    grep -qE "${1##*/}: $2" "$WORK/said" || { cat "$WORK/said" >&2; return 1; }
}
for kind in gz xz zst; do
    size=$(stat -c %s "$WORK/a.$kind")
    head -c $((size - 9)) "$WORK/a.$kind" >"$WORK/cut.$kind"
    check "$kind: cut at its end" refused_at "$WORK/cut.$kind" "ends in the middle of what was packed"
    head -c $((size / 2)) "$WORK/a.$kind" >"$WORK/half.$kind"
    check "$kind: cut in its middle" refused_at "$WORK/half.$kind" "ends in the middle of what was packed"
    cp "$WORK/a.$kind" "$WORK/flipped.$kind"
    printf '\377\000\377\000' | dd of="$WORK/flipped.$kind" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
    check "$kind: damaged" refused_at "$WORK/flipped.$kind" "what .* packed is damaged"
    { cat "$WORK/a.$kind" && echo "and more"; } >"$WORK/more.$kind"
    check "$kind: something behind it" refused_at "$WORK/more.$kind" "(what .* packed is damaged|ends in the middle)"
done
# A window of 1 GiB is more memory than records are worth.
zstd -q -1 --long=30 -c <"$WORK/plain.csv" >"$WORK/wide.zst"
check "zst: more memory than is given" refused_at "$WORK/wide.zst" "unpacking it takes more than 160 MiB"

# A node takes them as well.
zstd -q --rm "$node/records.csv" -o "$node/records.csv.zst"
sed -i 's|records\.csv|records.csv.zst|' "$node/node.yaml"
check "a node checks packed records" "$BIN/fedmoe-node" check --config "$node/node.yaml" --schema "$RUN/schema.yaml"
finish
