/* A small tokenizer.json made here, which tests change and parse. */
#ifndef FEDMOE_TESTS_MODEL_TOKENIZER_FIXTURE_H
#define FEDMOE_TESTS_MODEL_TOKENIZER_FIXTURE_H

#include <jansson.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/tokenizer.h"

/* Ids 0..255 are the bytes; then merges' tokens; then one special token, <s>. */
enum {
    TOK_HE = 256,
    TOK_LL,
    TOK_HELL,
    TOK_HELLO,
    TOK_SPACE_HELLO,
    TOK_AA,
    TOK_AAAA,
    TOK_ADDED, /* the next added token's id, <s> */
};

/** ByteLevel with its expression, no normaliser, no post-processor. Owned by the caller. */
json_t *tok_small(void);
/** Put `text` (JSON) at "model.unk_token" or so, in place of what is there. */
void tok_put(json_t *root, const char *path, const char *text);
/** Add an added token: flags as "single_word lstrip rstrip normalized special", those that hold. */
void tok_add(json_t *root, uint32_t id, const char *content, const char *flags);
/** Parse and free `root`; the test fails when it is refused. */
fm_tokenizer *tok_parse(json_t *root);
/** Parse and free `root`: it must be refused with a text that has `want`. */
void tok_refused(json_t *root, const char *want);
/** The ids of `text`, with `flags`, are ids[0..count). */
void tok_gives(const fm_tokenizer *t, const void *text, size_t len, unsigned flags,
               const uint32_t *ids, size_t count);
#define TOK_GIVES(t, text, flags, ...)                                             \
    tok_gives(t, text, sizeof(text) - 1, flags, (const uint32_t[]){ __VA_ARGS__ }, \
              sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
/** Decoding gives back what was encoded. */
void tok_round_trip(const fm_tokenizer *t, const void *text, size_t len);
/** A random text: ASCII, spaces, all of Unicode, marks; `bad`: ill-formed bytes too. */
size_t tok_random(fm_rng *rng, uint8_t *out, size_t cap, bool bad);
/** Seconds of this thread's processor. */
double tok_seconds(void);

#endif
