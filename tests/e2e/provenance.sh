# A federation's model carries a signed card, which anyone with the CA's certificate checks offline; copies
# carry their recipient's mark through training.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"
cd "$WORK" || exit 1
quiet() { "$@" >out 2>&1 || { tail -3 out >&2; return 1; }; }
export_model() { quiet "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --output "$@"; }
inspect() { "$model" inspect --verify --ca "$RUN/ca/ca.crt" --crl "$RUN/ca/crl.pem" "$@"; }
run_all() {
    start_all
    for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
    wait_end aggregator 30
}

# ---- the card ----
setup --rounds 5
check "a policy to edit, twelve uses with a reason each" \
    [ "$(grep -c '^  - use: ' "$RUN/aggregator/use-policy.yaml")/$(grep -c '^    reason: ' "$RUN/aggregator/use-policy.yaml")" = 12/12 ]
sed -i 's/^# allowed: .*/allowed: ["teaching"]/; s/pricing or refusing insurance/pricing or refusing life insurance/' "$RUN/aggregator/use-policy.yaml"
run_all
check "the result with its card" export_model final.safetensors
check "it is good" quiet inspect final.safetensors
check "this very file" says out "^card +valid: this file, as it is, was signed"
check "who made it" says out "^federation +heart-demo"
check "what it promised" says out "^epsilon +1$"
check "the plan's purpose, and the one that was added" bash -c 'grep -A1 "^allowed  *heart disease risk" out | grep -q "^ *teaching$"'
check "the edited use" says out "refusing life insurance"
PLAN=$(sed -n 's/^plan  *//p' out)
HEAD=$(sed -n 's/^transcript  *//p' out)
"$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit run.audit >audit.txt 2>&1
check "the transcript's head is that of the audit bundle" says audit.txt "transcript head $HEAD"
check "the plan is that which nodes approved" says "$RUN/northgate/plan.json" "$PLAN"
check "as JSON" bash -c '"$1" inspect --verify --ca "$2" --json final.safetensors >out.json && grep -q "\"standing\": \"signed\"" out.json' _ "$model" "$RUN/ca/ca.crt"
check "plain inspect says that there is one" bash -c '"$1" inspect final.safetensors | grep -q "^card .*not checked here"' _ "$model"
check "--verify needs a CA" bash -c '"$1" inspect --verify final.safetensors 2>out; [ $? = 2 ]' _ "$model"

checked=("$model" inspect --verify --ca "$RUN/ca/ca.crt" --crl "$RUN/ca/crl.pem")
# flip FILE OFFSET: a copy with one bit of that byte changed.
flip() {
    local byte
    cp "$1" bad.safetensors
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "$(printf '\\%03o' $((byte ^ 1)))" | dd of=bad.safetensors bs=1 seek="$2" conv=notrunc status=none
}
at() { LC_ALL=C grep -abo -m1 -- "$1" final.safetensors | head -1 | cut -d: -f1; }
flip final.safetensors $(($(stat -c %s final.safetensors) - 5))
check "a changed weight is named" refused out "the tensor '[a-z0-9._]+' is not the one that was signed" "${checked[@]}" bad.safetensors
flip final.safetensors "$(at 'refusing life')"
check "a changed card" refused out "the signature does not fit" "${checked[@]}" bad.safetensors
flip final.safetensors "$(at 'blocks.0.router')"
check "a changed name" refused out "the tensor 'clocks.0.router|bad.safetensors: .*tensor" "${checked[@]}" bad.safetensors
flip final.safetensors "$(at 'width: 16')"
check "a changed configuration" refused out "metadata .* is not that which was signed" "${checked[@]}" bad.safetensors
"$BIN/fedmoe-certs" ca new --directory other --federation heart-demo >/dev/null 2>&1
check "another CA of the same name" refused out "fedmoe.card_certificates" \
    "$model" inspect --verify --ca other/ca.crt final.safetensors
check "without a card it is said" bash -c '"$1" export --directory "$2" --without-card --output bare.safetensors >/dev/null' _ "$BIN/fedmoe-aggregator" "$RUN/aggregator"
check "and found" refused out "has no card" "${checked[@]}" bare.safetensors
sed -i 's/^allowed.*/allowed: 7/' "$RUN/aggregator/use-policy.yaml"
check "a policy that is none" refused out "use-policy.yaml:[0-9]+:" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --output no.safetensors
check "leaves nothing" [ ! -e no.safetensors ]

# ---- marks: records ----
files="$RUN/northgate/test.csv $RUN/lakeside/test.csv $RUN/hillcrest/test.csv $RUN/riverside/test.csv"
auc() { "$model" evaluate --model "$1" --json $files | sed -n 's/^    "auc": \([0-9.]*\),*$/\1/p' | tail -1; }
close() { awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 0 && d < most) }'; }
named() { # ORIGINAL LEAKED: who, in a word each
    "$model" fingerprint identify --key owner.key --original "$1" "$2" 2>&1 | tee identified | sed -n 's/^ .* \([a-z]*\)  <- .*/\1/p' | tr '\n' ' '
}
check "a key" quiet "$model" fingerprint key --output owner.key
check "for its owner alone" [ "$(stat -c %a owner.key)" = 600 ]
for name in $HOSPITALS; do
    quiet "$model" fingerprint mark --key owner.key --recipient "$name" --model final.safetensors --output "for-$name.safetensors"
    check "the copy of $name names it" [ "$(named final.safetensors "for-$name.safetensors")" = "$name " ]
    check "and is as good" close "$(auc final.safetensors)" "$(auc "for-$name.safetensors")" 0.003 # of 306 records; 0.0003 on the average
done
check "the original names nobody" [ -z "$(named final.safetensors final.safetensors)" ]
check "a marked copy is derived, by its own word" refused out "the derivation itself is not signed" "${checked[@]}" for-lakeside.safetensors
check "which one may let pass" quiet inspect --derived for-lakeside.safetensors
cp for-lakeside.safetensors leaked.safetensors
SECOND=$RUN
RUN=$WORK/second
setup --rounds 20
cp leaked.safetensors "$RUN/model.safetensors"
sed -i 's/^  rounds: 20/&\n  learning_rate: 0.005/' "$RUN/federation.yaml"
replan
run_all
check "another federation trains on from the leaked copy" export_model tuned.safetensors
check "which is its own model by its own card" quiet inspect tuned.safetensors
check "as signed, not derived" says out "valid: this file"
check "and names who leaked it" [ "$(named final.safetensors tuned.safetensors)" = "lakeside " ]
echo "after 20 private rounds: $(sed -n 's/ *<-.*//p' identified)"
RUN=$SECOND

# ---- marks: a language model ----
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" tokenizer.json
python3 - <<'EOF'
import csv
w = csv.writer(open("notes.csv", "w"))
w.writerow(["who", "note"])
for p in range(30):
    w.writerow([f"p{p}", f"Pain is {'better' if p % 2 else 'worse'} since {p % 9} days."])
EOF
printf 'name: notes\nsource: csv\ntext: note\nunit: who\n' >notes.yaml
tune() { # FROM RATE TO
    quiet "$model" finetune --model "$1" --schema notes.yaml --rounds 8 --no-privacy --full --seed 5 --sampling-rate 0.5 --learning-rate "$2" --output "$3" notes.csv
}
loss() { "$model" evaluate --model "$1" --schema notes.yaml --json notes.csv | sed -n 's/^ *"loss": \([0-9.]*\),*$/\1/p' | head -1; }
quiet "$model" new --preset lite-tiny --seed 3 --tokenizer tokenizer.json --output base
check "a language model" tune base 0.003 lm
for name in northgate hillcrest; do
    quiet "$model" fingerprint mark --key owner.key --recipient "$name" --model lm --output "lm-$name"
done
check "its marked copy is no worse than 0.1 %" \
    awk -v a="$(loss lm)" -v b="$(loss lm-hillcrest)" 'BEGIN { exit !(a > 0 && b < a * 1.001) }'
check "with all its files" [ "$(ls lm-hillcrest)" = "$(ls lm)" ]
check "the leaked copy is trained on" tune lm-hillcrest 0.001 lm-tuned
check "and names its recipient" [ "$(named lm lm-tuned)" = "hillcrest " ]
check "training from the original accuses nobody" tune lm 0.001 lm-own
check "of those who had a copy" [ -z "$(named lm lm-own)" ]
finish
