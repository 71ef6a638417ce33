/* Corpora of a tokenizer whose ids are the bytes, written out so that a test can compare them. */
#ifndef FEDMOE_TESTS_MODEL_CORPUS_FIXTURE_H
#define FEDMOE_TESTS_MODEL_CORPUS_FIXTURE_H

#include "fedmoe/model/corpus.h"

/* Ids 0..255 are the bytes; then three added tokens, the first two special. */
enum { CORPUS_END = 256, CORPUS_BEGIN, CORPUS_ORDINARY };

/** `<|endoftext|>`, `<s>` and `<plain>` are the added tokens; post_processor is `post` (JSON).
 *  @param special  whether <|endoftext|> is. Owned by the caller. */
fm_tokenizer *corpus_tokenizer(const char *post, bool special);

/** What a test reads with; zero context: 64. */
typedef struct {
    const char *schema; /* YAML */
    size_t context, max_unit_sequences;
    const char *post; /* NULL: none */
} corpus_case;

/** A corpus of `data`, or NULL: the error text says why. Owned by the caller. */
fm_corpus *corpus_read(const corpus_case *c, const void *data, size_t len);

/** As in "ab/c$|d$": | between units, / between sequences, $ the end token, ^ <s>; everything that
 *  a corpus promises of its lists is checked. @param out [cap]. */
void corpus_write(const fm_corpus *c, char *out, size_t cap);

/** `data` gives what `want` writes; a failure shows both. */
void corpus_gives(const corpus_case *c, const void *data, size_t len, const char *want);
#define CORPUS_GIVES(c, data, want) corpus_gives(c, data, sizeof(data) - 1, want)

/** `data` is refused with a text that has `want`, and that says nothing of what records hold: every
 *  cell or value of a test that must not be seen has SECRET in it. */
void corpus_refuses(const corpus_case *c, const void *data, size_t len, const char *want);
#define CORPUS_REFUSES(c, data, want) corpus_refuses(c, data, sizeof(data) - 1, want)

#endif
