/*
 * Byte-level BPE tokenizers from Hugging Face `tokenizer.json` files: text to token ids, and back.
 *
 * Text is bytes. What is well-formed UTF-8 gets the ids that the `tokenizers` library gives it.
 * Each ill-formed sequence (a maximal subpart, Unicode 15.0 section 3.9, table 3-8) goes through
 * normaliser and splitting as one character of no category, and its bytes are encoded as they
 * are. So where there is no normaliser, the vocabulary has all 256 bytes (fm_tokenizer_has_bytes)
 * and no piece of the file takes text away (a Split that removes, add_prefix_space, an added token
 * with lstrip or rstrip), decoding gives the bytes that were encoded, whatever they are.
 *
 * Supported: model BPE (ignore_merges, unk_token, fuse_unk; merges as texts or pairs); normalizer
 * null, NFC, NFD, NFKC, NFKD or a Sequence of these; pre_tokenizer ByteLevel, or a Sequence of
 * Split, Digits and Punctuation that ends in ByteLevel; post_processor null, ByteLevel,
 * TemplateProcessing, BertProcessing, RobertaProcessing or a Sequence of these; decoder ByteLevel.
 * Everything else, and every key that is not known, is refused with its place in the file.
 *
 * Threads: an fm_tokenizer does not change after loading, so that any number of threads may use it;
 * an fm_tokenizer_worker is for one thread at a time.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909 (BPE); Radford et al. 2019 (on bytes, with a
 * regular expression before it); the file's format as the `tokenizers` library reads it.
 */
#ifndef FEDMOE_MODEL_TOKENIZER_H
#define FEDMOE_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/base/status.h"

#define FM_TOKENIZER_MAX_FILE ((size_t)64 * 1024 * 1024)
#define FM_TOKENIZER_MAX_VOCABULARY ((size_t)1 << 22) /* ids are below it */
/** Of one text; a piece that nothing splits may have FM_TOKENIZER_MAX_WORD bytes of it. */
#define FM_TOKENIZER_MAX_TEXT ((size_t)256 * 1024 * 1024)
#define FM_TOKENIZER_MAX_WORD ((size_t)8 * 1024 * 1024)

typedef struct fm_tokenizer fm_tokenizer;
typedef struct fm_tokenizer_worker fm_tokenizer_worker;

/**
 * Read a tokenizer.json.
 * @param out  owned by the caller: fm_tokenizer_free.
 * @return FM_OK; FM_ENOTFOUND, FM_EIO; FM_EPARSE: not JSON (file, line, column), a repeated key;
 *         FM_EPROTO: not a tokenizer, or one that is not supported (file, place in it, what to do);
 *         FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_tokenizer_load(const char *path, fm_tokenizer **out);
/** The same from memory; `name` stands in error texts in place of the path. */
FM_NODISCARD fm_status fm_tokenizer_parse(const char *name, const void *json, size_t len,
                                          fm_tokenizer **out);
void fm_tokenizer_free(fm_tokenizer **t);

/** One more than the largest id: rows of an embedding that has one for every token. */
size_t fm_tokenizer_vocabulary(const fm_tokenizer *t);
/** Whether every byte has a token. Bytes without one become unk_token; without that nothing, as in
 *  the `tokenizers` library, but that U+FFFD stands for an ill-formed sequence with such a byte. */
bool fm_tokenizer_has_bytes(const fm_tokenizer *t);
/** The id of a token as the file writes it ("Ġthe", "<|endoftext|>"); false when there is none. */
bool fm_tokenizer_id(const fm_tokenizer *t, const char *token, size_t len, uint32_t *id);

typedef struct {
    const char *text; /* as the file writes it; not NUL-terminated; borrowed from the tokenizer */
    size_t text_len;
    const uint8_t *bytes; /* what it decodes to; borrowed */
    size_t bytes_len;
    bool added, special;
} fm_tokenizer_token;
/** FM_ENOTFOUND when no token has this id. */
FM_NODISCARD fm_status fm_tokenizer_get(const fm_tokenizer *t, uint32_t id,
                                        fm_tokenizer_token *out);

/** What encoding needs and changes: caches and room, wiped when freed. `t` must outlive it. */
FM_NODISCARD fm_status fm_tokenizer_worker_new(const fm_tokenizer *t, fm_tokenizer_worker **out);
void fm_tokenizer_worker_free(fm_tokenizer_worker **w);

/** Growing list of ids. Zero-initialise; fm_token_list_fini wipes and frees. */
typedef struct {
    uint32_t *ids;
    size_t count, cap;
} fm_token_list;
void fm_token_list_fini(fm_token_list *l);

enum {
    FM_TOKENIZER_SPECIAL = 1, /* what the post-processor puts around a text (BOS, EOS) */
    FM_TOKENIZER_PLAIN = 2,   /* special tokens that the text spells out are ordinary text: for text
                                 of strangers, who could otherwise write control tokens */
};

/**
 * Append the ids of `text` to `out`.
 *
 * Time is O(n log n) in the text's length n for BPE and normaliser. A Split of the file's own may be
 * slower on texts made for that; beyond ten seconds and a microsecond a byte it is given up.
 *
 * @param text   [len] any bytes; NULL when len is 0.
 * @param flags  FM_TOKENIZER_SPECIAL, FM_TOKENIZER_PLAIN.
 * @param lost   out, unless NULL: bytes that are not in the ids, having neither token nor unk_token.
 * @return FM_OK; FM_EINVAL: longer than FM_TOKENIZER_MAX_TEXT; FM_ENOMEM (also: a piece longer than
 *         FM_TOKENIZER_MAX_WORD); FM_ETIMEOUT: see above. On failure `out` is as it was.
 */
FM_NODISCARD fm_status fm_tokenizer_encode(fm_tokenizer_worker *w, const void *text, size_t len,
                                           unsigned flags, fm_token_list *out, size_t *lost);

/**
 * Append the bytes that ids stand for to `out`. An added token that the model's vocabulary does not
 * have gives its content as the file has it. (The `tokenizers` library reads content in the byte
 * alphabet where it can: only for content with characters of U+00A1 to U+0143 is that another text.)
 * No bytes are replaced: what is not UTF-8 stays so.
 *
 * @param skip_special  leave special tokens out.
 * @return FM_OK; FM_EINVAL: no token has the id (its place is named; `out` is as it was); FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_tokenizer_decode(const fm_tokenizer *t, const uint32_t *ids, size_t count,
                                           bool skip_special, fm_buf *out);

#endif
