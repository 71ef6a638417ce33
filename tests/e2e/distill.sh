# A small language model learns from a large one: on public texts, on texts that the teacher writes, on
# private ones that are charged; and what is refused.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"
cd "$WORK" || exit 1

# A token for each byte, and texts of forty people who say much the same; another tokenizer.
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" tokenizer.json
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" turned.json 1
python3 - <<'EOF'
import csv
for name, first, last in ("notes.csv", 0, 40), ("held.csv", 40, 50):
    w = csv.writer(open(name, "w"))
    w.writerow(["who", "note"])
    for p in range(first, last):
        for k in range(1 + p % 3):
            w.writerow([f"p{p}", f"Pain is {'better' if (p + k) % 2 else 'worse'} since {p % 9} days."])
EOF
cat >notes.yaml <<'EOF'
name: notes
source: csv
text: note
unit: who
EOF
{ cat notes.yaml; echo "public: true"; } >public.yaml
"$model" new --preset lite-nano --seed 3 --tokenizer tokenizer.json --output base >out
tune() {
    "$model" finetune --model base --schema notes.yaml --rounds 12 --sampling-rate 0.5 --seed 5 "$@" \
        notes.csv >out 2>&1
}
check "a teacher without privacy" tune --full --no-privacy --learning-rate 0.01 --output open
check "one with privacy, whose promise stands in the whole model" \
    tune --rank 4 --epsilon 8 --delta 1e-3 --merge --output private
check "and an adapter" tune --rank 4 --epsilon 3 --delta 1e-3 --output adapter

distil() {
    local schema=$1
    shift
    "$model" distill --student lite-nano --schema "$schema" --rounds 12 "$@" notes.csv
}
check "a student of public texts" exits 0 out "distillation added no epsilon" \
    distil public.yaml --teacher private --threads 1 --output one
check "for everybody, as its teacher is" [ "$(stat -c %a one)" = 755 ]
check "once more, by two threads" exits 0 out "added no epsilon" \
    distil public.yaml --teacher private --threads 2 --output two
check "is the same, to the byte" diff -r one two
check "another seed" exits 0 out "student: loss" \
    distil public.yaml --teacher private --seed 1 --test held.csv --output three
check "is another student" exits 1 out differ diff -rq one three

check "of a teacher without privacy" exits 0 out "for its owner alone" \
    distil public.yaml --teacher open --test held.csv --json --output bare
check "nobody else can look into it" [ "$(stat -c %a bare)" = 700 ]
check "of the base with an adapter" exits 0 out "added no epsilon" \
    distil public.yaml --teacher base --adapter adapter --output adapted
check "texts that the teacher writes" exits 0 out "texts that the teacher wrote" \
    distil public.yaml --teacher private --generate 30 --begin 4 --context 64 --output written
check "a student goes on, with private texts that are charged" exits 0 out "added epsilon" \
    "$model" distill --teacher private --student one --schema notes.yaml --rounds 12 --epsilon 3 \
    --delta 1e-3 --output charged notes.csv

check "the weights say whose student it is, and what all of it promises" python3 - <<'EOF'
import hashlib, json, struct
def meta(folder, file="model.safetensors"):
    b = open(f"{folder}/{file}", "rb").read()
    return json.loads(b[8:8 + struct.unpack("<Q", b[:8])[0]])["__metadata__"]
def sha(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()
teacher, one = meta("private"), meta("one")
assert 7.9 < float(teacher["fedmoe.epsilon"]) <= 8 and one["format"] == "pt", teacher
assert len(one["fedmoe.teacher"]) == 64, one
assert one["fedmoe.teacher"] == meta("two")["fedmoe.teacher"] != meta("bare")["fedmoe.teacher"]
assert one["fedmoe.teacher_epsilon"] == one["fedmoe.epsilon"] == teacher["fedmoe.epsilon"], one
assert one["fedmoe.teacher_delta"] == one["fedmoe.delta"] == "0.001", one
assert one["fedmoe.distilled_from"] == "public texts; distillation added no epsilon", one
bare, adapted, charged = meta("bare"), meta("adapted"), meta("charged")
assert bare["fedmoe.epsilon"] == bare["fedmoe.teacher_epsilon"] == "none", bare
adapter = meta("adapter", "adapter_model.safetensors")
assert adapted["fedmoe.teacher_epsilon"] == adapter["fedmoe.epsilon"], adapted
assert adapted["fedmoe.teacher_adapter"] == sha("adapter/adapter_model.safetensors"), adapted
assert "the teacher wrote" in meta("written")["fedmoe.distilled_from"]
# Teacher, the student that it began as, and the texts: of a unit in all three they add up.
assert 18.9 < float(charged["fedmoe.epsilon"]) <= 19 and charged["fedmoe.privacy_unit"] == "who", charged
assert abs(float(charged["fedmoe.delta"]) - 0.003) < 1e-9, charged
EOF
check "the student is a model" exits 0 out "DeepseekV3ForCausalLM" "$model" inspect one
check "that can be measured" exits 0 out "perplexity" \
    "$model" evaluate --model one --schema notes.yaml held.csv
check "and gives logits" "$model" logits --model one --tokens 80,97,105 --output one.safetensors

check "private texts are charged, or refused" exits 1 out "does not say public: true" \
    distil notes.yaml --teacher private --output x
check "they give no beginnings" exits 1 out "begin with words" \
    distil notes.yaml --teacher private --epsilon 3 --generate 5 --output x
check "public ones are not charged" exits 1 out "which is it" \
    distil public.yaml --teacher private --epsilon 3 --output x
check "delta is of a charge" exits 2 out "belong to --epsilon" \
    distil public.yaml --teacher private --delta 1e-3 --output x
check "beginnings are of texts that are written" exits 2 out "belongs to --generate" \
    distil public.yaml --teacher private --begin 3 --output x
"$model" new --preset lite-nano --tokenizer turned.json --output turned >out
check "a student with other tokens" exits 1 out "another tokenizer.json" \
    "$model" distill --teacher private --student turned --schema public.yaml --output x notes.csv
"$model" new --preset lite-nano --vocabulary 300 --tokenizer tokenizer.json --output wide >out
check "or more of them" exits 1 out "vocabulary of 300" \
    "$model" distill --teacher private --student wide --schema public.yaml --output x notes.csv
check "a student that is neither preset nor folder" exits 1 out "lite-nan" \
    "$model" distill --teacher private --student lite-nan --schema public.yaml --output x notes.csv
check "a teacher is not overwritten" exits 1 out "is there already" \
    distil public.yaml --teacher private --output private
sed 's/public: true/public: perhaps/' public.yaml >perhaps.yaml
check "public is true or false" exits 1 out "perhaps.yaml:5" \
    distil perhaps.yaml --teacher private --output x
check "nothing else was written" [ ! -e x ]
finish
