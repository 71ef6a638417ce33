/*
 * Texts as tokens: documents in sequences of at most the context, grouped into units of privacy.
 *
 * A document is a record's text (text_schema.h). Its ids, with what the tokenizer puts around a text
 * and the end token behind, are cut into sequences of `context` tokens and a rest; all of them belong
 * to the unit of the record. A rest of one token says nothing (there is nothing to predict) and is
 * left out. Special tokens that a text spells out are ordinary text.
 *
 * A corpus never changes once made: several threads may read one.
 */
#ifndef FEDMOE_MODEL_CORPUS_H
#define FEDMOE_MODEL_CORPUS_H

#include "fedmoe/model/text_schema.h"
#include "fedmoe/model/tokenizer.h"

#define FM_CORPUS_MAX_CONTEXT ((size_t)1 << 24)    /* tokens of a sequence */
#define FM_CORPUS_MAX_BYTES ((size_t)8 << 30)      /* of a file */
#define FM_CORPUS_MAX_LINE ((size_t)64 << 20)      /* bytes of a line of NDJSON */
#define FM_CORPUS_MAX_DEPTH ((size_t)64)           /* of its lists and objects */
#define FM_CORPUS_MAX_VALUES ((size_t)1 << 20)     /* in it: bounds what parsing takes */
#define FM_CORPUS_MAX_RECORDS ((size_t)UINT32_MAX) /* of all files */

/** What was seen; nothing of it says whose. */
typedef struct {
    size_t records;        /* rows of CSV, lines of NDJSON */
    size_t passed_over;    /* FHIR: of another type, or entered in error */
    size_t without_text;   /* FHIR: no attachment is text/plain with its data inline */
    size_t ill_formed;     /* bytes that are no UTF-8: each is a token of its own */
    size_t lost;           /* bytes for which the tokenizer has no token */
    size_t cut;            /* sequences left out by max_unit_sequences */
    size_t longest_tokens; /* tokens of the longest document */
} fm_corpus_facts;

typedef struct {
    uint32_t *tokens; /* of all sequences, one after the other; owned */
    uint64_t *starts; /* [sequences + 1] where in tokens each begins; owned */
    size_t sequences;
    size_t longest; /* tokens of the longest sequence */
    size_t documents;
    size_t empty; /* documents that gave no sequence */
    /* The sequences of a unit lie one after the other, in the order of the files; units are in the
     * order of their first sequences, and each has one. A document by itself is a unit too, and may
     * have several sequences. */
    size_t *unit_start; /* [units + 1] first sequence of each; owned */
    size_t units;
    fm_corpus_facts facts;
} fm_corpus;

typedef struct {
    size_t context;            /* most tokens of a sequence, 2 to FM_CORPUS_MAX_CONTEXT */
    const char *end_token;     /* as the tokenizer writes it; NULL: fm_corpus_end_token */
    size_t max_unit_sequences; /* of a unit with more, its first ones are kept; 0: all */
    size_t max_problems;       /* to collect before giving up; 0 means 20 */
    fm_buf *problems; /* NULL, or where every problem is appended, a line each: an error text holds
                         only its first 1023 bytes */
} fm_corpus_options;

/**
 * Read files as the schema says, in their order, and tokenize them. Streamed: in memory are the
 * tokens (twice while units are grouped), and one record.
 *
 * Every problem is "file:line, column NAME: ..." (CSV) or "file:line, key NAME: ..." and tells
 * lengths and places, never anything of a record.
 *
 * @param paths  [count] files or pipes; a unit may have documents in several.
 * @param out    owned by the caller: fm_corpus_free. Unchanged on failure.
 * @return FM_OK; FM_EPARSE: records that are not what the schema says, or none with a text;
 *         FM_EINVAL: an option, or no end token; FM_ENOTFOUND, FM_EIO; FM_EPROTO: a file that is too
 *         long; FM_ENOMEM; FM_ETIMEOUT (fm_tokenizer_encode).
 */
FM_NODISCARD fm_status fm_corpus_load(const fm_text_schema *s, const fm_tokenizer *t,
                                      const fm_corpus_options *o, const char *const *paths,
                                      size_t count, fm_corpus **out);
/** The same of one text in memory; `name` stands in error texts in place of the path. */
FM_NODISCARD fm_status fm_corpus_parse(const fm_text_schema *s, const fm_tokenizer *t,
                                       const fm_corpus_options *o, const char *name,
                                       const void *text, size_t len, fm_corpus **out);
/** Wipes and frees. */
void fm_corpus_free(fm_corpus **c);

/**
 * The special token that ends a text.
 * @param text  as the tokenizer writes it; NULL: the first it has of <|endoftext|>, <|end_of_text|>,
 *              DeepSeek's <｜end▁of▁sentence｜> and </s>.
 * @return FM_OK; FM_EINVAL: there is none, or it is not special, so that a text could spell it.
 */
FM_NODISCARD fm_status fm_corpus_end_token(const fm_tokenizer *t, const char *text, uint32_t *id);

#endif
