"""A tokenizer with a token for each byte and an end of text: byte_tokenizer.py FILE [TURN]; with TURN every
byte has the number of the one that comes so far behind it."""
import json
import sys

turn = int(sys.argv[2]) if len(sys.argv) > 2 else 0
seen = [b for b in range(256) if 33 <= b < 127 or 161 <= b != 173]
letters = {b: chr(b) for b in seen}
letters.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in seen)})
level = {"type": "ByteLevel", "trim_offsets": True}
json.dump({
    "version": "1.0",
    "normalizer": None,
    "added_tokens": [{"id": 256, "content": "<|endoftext|>", "special": True, "single_word": False,
                      "lstrip": False, "rstrip": False, "normalized": False}],
    "pre_tokenizer": dict(level, add_prefix_space=False, use_regex=False),
    "decoder": dict(level, add_prefix_space=True, use_regex=True),
    "model": {"type": "BPE", "merges": [], "vocab": {letters[b]: (b + turn) % 256 for b in range(256)}},
}, open(sys.argv[1], "w"))
