# A federation in five commands: new, start; and of each hospital join, check, start. The
# commands of the guide's first section, with another port.
. "$(dirname "$0")/lib.sh"
setup --rounds 3 # for records and a schema
cp "$RUN/schema.yaml" "$WORK/schema.yaml"
for name in northgate lakeside hillcrest; do cp "$RUN/$name/records.csv" "$WORK/$name.csv"; done
cd "$WORK" || exit 1
PATH=$BIN:$PATH
port=$((20000 + RANDOM % 20000))

check "a model" fedmoe-model new --schema schema.yaml --output first.safetensors
new=(fedmoe-aggregator new --directory heart --name heart --purpose 'heart disease risk'
    --address "tcp://127.0.0.1:$port" --schema schema.yaml --units 600)
check "what cannot be made leaves nothing" refused "$WORK/out" "nothing.safetensors" \
    fedmoe-aggregator new --directory heart --name heart --purpose p --address tcp://127.0.0.1:$port \
    --model nothing.safetensors --units 600
check "(no folder)" [ ! -e heart ]
check "nor a schema that is none" refused "$WORK/out" "northgate.csv: no model could be made of it" \
    fedmoe-aggregator new --directory heart --name heart --purpose p --address tcp://127.0.0.1:$port \
    --schema northgate.csv --units 600
check "either, not both" refused "$WORK/out" "either --schema, .* or --model" "${new[@]}" --model first.safetensors
check "(still no folder)" [ ! -e heart ]
check "a name that is none" refused "$WORK/out" "Clinic A" "${new[@]}" --invite 'Clinic A'
check "one name twice" refused "$WORK/out" "given twice" "${new[@]}" --invite a --invite a
check "more than there is room for" refused "$WORK/out" "4 are invited to a federation of 3" \
    "${new[@]}" --invite a --invite b --invite c --invite d
check "no address" refused "$WORK/out" "tcp://HOST:PORT" \
    fedmoe-aggregator new --directory heart --name heart --purpose p --address hub --model first.safetensors --units 600
check "still no folder" [ ! -e heart ]
umask 077
"${new[@]}" --invite northgate --invite lakeside --invite hillcrest >said 2>err || cat err
check "a federation" says said "start --directory heart/aggregator --ca heart/ca"
check "and what comes next once" [ "$(grep -c 'aggregator start' said)" = 1 ]
check "its model is that of fedmoe-model new" cmp heart/model.safetensors first.safetensors
check "or another's" fedmoe-aggregator new --directory other --name other --purpose p \
    --address tcp://127.0.0.1:$port --model first.safetensors --units 600
check "(a copy)" cmp other/model.safetensors first.safetensors
check "with a delta below one over the units" says heart/federation.yaml "delta: 0.0001$"
check "it is private" [ "$(stat -c %a heart)" = 700 ]
check "a second one needs another folder" refused "$WORK/out" "heart is there already" "${new[@]}"

fedmoe-aggregator start --directory heart/aggregator --ca heart/ca --linger 10 >hub.log 2>&1 &
PID[aggregator]=$!
for name in northgate lakeside hillcrest; do
    # What the coordinator sends: all that was said of that name.
    sed -n "/join code of node '$name'/,/pastes it/p" said >mail
    [ $name != hillcrest ] || check "records that are not there use up no code" refused "$WORK/out" \
        "none.csv is not there; the join code was not used" fedmoe-node join - --records none.csv --purpose p <mail
    check "$name joins" fedmoe-node join - --records $name.csv --schema schema.yaml \
        --purpose 'heart disease risk' --delta 1e-4 <mail
    check "$name: nothing is left to be said" fedmoe-node check --config $name/node.yaml
done
check "what is there already is not changed" refused "$WORK/out" "node.yaml is there already" \
    fedmoe-node join - --records northgate.csv < <(sed -n "/join code of node 'northgate'/,/pastes it/p" said)
check "nor is another budget taken for given" refused "$WORK/out" "node.yaml is there already" \
    fedmoe-node join - --epsilon 1 < <(sed -n "/join code of node 'northgate'/,/pastes it/p" said)
check "without options it says that all is done" fedmoe-node join - \
    < <(sed -n "/join code of node 'northgate'/,/pastes it/p" said)
for name in northgate lakeside hillcrest; do
    fedmoe-node start --config $name/node.yaml >$name.log 2>&1 &
    PID[$name]=$!
done
finished() {
    local name
    for name in northgate lakeside hillcrest aggregator; do
        wait "${PID[$name]}" || { tail -3 "$name.log" hub.log >&2; return 1; }
        unset "PID[$name]"
    done
}
check "all rounds are finished" finished
check "everybody has the same model" cmp northgate/model.safetensors lakeside/model.safetensors
check "and it predicts" fedmoe-model predict --model northgate/model.safetensors --input hillcrest.csv --output risk.csv
finish
