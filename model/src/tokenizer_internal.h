/* The tokenizer's parts: vocabulary and merges, added tokens, normaliser, splits, BPE. */
#ifndef FEDMOE_MODEL_TOKENIZER_INTERNAL_H
#define FEDMOE_MODEL_TOKENIZER_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include <jansson.h>
#include <pcre2.h>
#include <string.h>

#include "fedmoe/model/tokenizer.h"

#define FM_TK_NONE UINT32_MAX
#define FM_TK_MAX_STAGES ((size_t)32)
#define FM_TK_MAX_CONTENT ((size_t)256) /* bytes of an added token: bounds what a match may cost */

/* ---- UTF-8 (tokenizer_utf8.c) ---- */

/* Stands for an ill-formed sequence while text is normalised and split: U+10FFFF, a noncharacter
 * (category Cn, combining class 0, no decomposition). */
#define FM_TK_STAND_IN "\xf4\x8f\xbf\xbf"
#define FM_TK_STAND_IN_LEN ((size_t)4)

/** Length of the well-formed character at p, or 0 and *bad the length of the maximal subpart. */
size_t fm_tk_utf8_length(const uint8_t *p, size_t n, size_t *bad);
/** The first stand-in, or NULL. */
const uint8_t *fm_tk_stand_in(const uint8_t *p, size_t n);
/** Bytes up to the first ill-formed sequence. */
size_t fm_tk_utf8_valid(const uint8_t *p, size_t n);

/** The character at p, of text known to be well-formed. */
static inline uint32_t fm_tk_decode(const uint8_t *p, size_t *len)
{
    if (p[0] < 0x80) {
        *len = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *len = 2;
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    }
    if (p[0] < 0xf0) {
        *len = 3;
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    }
    *len = 4;
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
           (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}
/** The UTF-8 of c (below 0x110000); returns its length. */
size_t fm_tk_encode(uint32_t c, uint8_t out[4]);

/* ---- Classes of characters (tokenizer_class.c) ---- */

enum {
    FM_TK_LETTER = 1,
    FM_TK_NUMBER = 2,
    FM_TK_SPACE = 4, /* White_Space */
    FM_TK_GROUP = 7, /* these three exclude each other */
    FM_TK_WORD = 8,  /* UTS 18's \w: Alphabetic, M, Nd, Pc, Join_Control */
    FM_TK_PUNCT = 16,
};
/* General categories in this order. */
#define FM_TK_CATEGORIES                                                                      \
    "Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", \
        "No", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"
#define FM_TK_CATEGORY_COUNT 30u
#define FM_TK_ALL_CATEGORIES ((1u << FM_TK_CATEGORY_COUNT) - 1)
/** Those whose name is, or begins with, `name` ("L", "Lu"), as bits; 0 when there are none. */
uint32_t fm_tk_categories(const char *name);

typedef struct {
    uint8_t class, category;
} fm_tk_properties;
typedef struct {
    uint8_t ascii[128];              /* classes */
    uint16_t block[0x110000 >> 8];   /* of each 256 characters, whose properties are there */
    fm_tk_properties (*blocks)[256]; /* owned */
} fm_tk_classes;

/** Read off the expression library once per process, and kept. */
FM_NODISCARD fm_status fm_tk_classes_get(const fm_tk_classes **out);
static inline fm_tk_properties fm_tk_properties_of(const fm_tk_classes *c, uint32_t ch)
{
    return c->blocks[c->block[ch >> 8]][ch & 255];
}
static inline uint8_t fm_tk_class_at(const fm_tk_classes *c, const uint8_t *p, size_t *len)
{
    if (p[0] < 0x80) {
        *len = 1;
        return c->ascii[p[0]];
    }
    return fm_tk_properties_of(c, fm_tk_decode(p, len)).class;
}

/* ---- Sets of characters, and runs of them (tokenizer_runs.c) ---- */

typedef struct {
    uint32_t lo, hi;
} fm_tk_range;
typedef struct {
    fm_tk_range *ranges; /* [count], owned; in order once the set is closed */
    size_t count, cap;
    uint32_t categories;
    bool negated;
    uint64_t ascii[2]; /* a bit for each, once the set is closed */
} fm_tk_set;
FM_NODISCARD fm_status fm_tk_set_add(fm_tk_set *s, uint32_t lo, uint32_t hi);
void fm_tk_set_close(fm_tk_set *s, const fm_tk_classes *c);
void fm_tk_set_fini(fm_tk_set *s);

/* "X+", "X{1,m}", "X", each also with "Y?" before it; or "X+$". */
typedef struct {
    bool known; /* the expression is one of these */
    bool leads; /* Y? */
    bool at_end;
    size_t most;
    fm_tk_set lead, body;
} fm_tk_runs;
void fm_tk_runs_fini(fm_tk_runs *r);
/** The next match from `from` on in well-formed text. */
bool fm_tk_runs_next(const fm_tk_runs *r, const fm_tk_classes *c, const uint8_t *p, size_t n,
                     size_t from, size_t range[2]);

/* ---- Patterns (tokenizer_pattern.c) ---- */

#define FM_TK_MAX_PATTERN ((size_t)8192)
#define FM_TK_SPACES "\\x{9}-\\x{d}\\x{85}\\p{Z}" /* White_Space, within a class */
/** GPT-2's expression, which ByteLevel uses unless use_regex is false. */
#define FM_TK_GPT2 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/**
 * Rewrite an expression of the tokenizers library (Oniguruma, Ruby syntax) so that PCRE2 gives the
 * same matches; what may differ, or is not known, is refused.
 * @param out   empty; the expression for PCRE2.
 * @param runs  zeros; out: the expression, where it is so simple. fm_tk_runs_fini.
 */
FM_NODISCARD fm_status fm_tk_pattern_translate(const char *where, const char *text, size_t len,
                                               fm_buf *out, fm_tk_runs *runs);
/** Translate and compile; `literal`: the text itself is what to look for. */
FM_NODISCARD fm_status fm_tk_pattern_compile(const char *where, const char *text, size_t len,
                                             bool literal, pcre2_code **out, fm_tk_runs *runs);

/* ---- Splits (tokenizer_split.c, tokenizer_scan.c) ---- */

typedef enum { FM_TK_BYTELEVEL, FM_TK_SPLIT, FM_TK_DIGITS, FM_TK_PUNCTUATION } fm_tk_kind;
typedef enum {
    FM_TK_ISOLATED,
    FM_TK_REMOVED,
    FM_TK_CONTIGUOUS,
    FM_TK_WITH_PREVIOUS,
    FM_TK_WITH_NEXT
} fm_tk_behaviour;

typedef struct {
    fm_tk_kind kind;
    fm_tk_behaviour behaviour;
    bool invert;
    bool prefix;      /* ByteLevel: add_prefix_space */
    bool scan;        /* by the scanner of GPT-2's expression */
    fm_tk_runs runs;  /* Split, where the expression is so simple; */
    pcre2_code *code; /* else this one is used; owned */
    char where[96];   /* "pre_tokenizer.pretokenizers[1].pattern" */
} fm_tk_stage;

/** Length of the piece at p that GPT-2's expression matches; n above 0, text well-formed. */
size_t fm_tk_scan(const fm_tk_classes *c, const uint8_t *p, size_t n);
/** Split well-formed text by stages from `stage` on, and encode the pieces. */
FM_NODISCARD fm_status fm_tk_split(fm_tokenizer_worker *w, size_t stage, const uint8_t *p,
                                   size_t n);

/* ---- Normaliser (tokenizer_normal.c) ---- */

typedef enum { FM_TK_NFC, FM_TK_NFD, FM_TK_NFKC, FM_TK_NFKD } fm_tk_form;
/** Append the normal form of well-formed text to `out`. */
FM_NODISCARD fm_status fm_tk_normalise(fm_tk_form form, const uint8_t *p, size_t n, fm_buf *out);

/* ---- Vocabulary and merges (tokenizer_vocab.c) ---- */

typedef struct {
    uint32_t text, bytes; /* begin in the tokenizer's texts and bytes */
    uint32_t text_len, bytes_len;
    bool present, added, special;
    bool model; /* of the model's vocabulary */
} fm_tk_token;

typedef struct {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: empty */
    uint32_t rank, id;
} fm_tk_merge;

/* ---- Added tokens (tokenizer_added.c) ---- */

typedef struct {
    uint32_t id;
    bool single_word, lstrip, rstrip, special;
} fm_tk_added;
typedef struct {
    uint32_t child, sibling; /* 0: none */
    uint32_t added;          /* index of the added token that ends here, FM_TK_NONE */
    uint8_t byte;
} fm_tk_node;
/* The contents of one kind of added token as a tree of bytes; node 0 is nothing. */
typedef struct {
    fm_tk_node *nodes; /* owned */
    size_t count, cap;
    uint32_t first[256];
} fm_tk_tree;

FM_NODISCARD fm_status fm_tk_tree_add(fm_tk_tree *tree, const uint8_t *text, size_t len,
                                      uint32_t added, bool *repeated);
typedef struct {
    size_t begin, end;    /* of what it takes, spaces that it strips included */
    size_t search;        /* where to look for the next */
    const fm_tk_added *a; /* NULL: no more */
} fm_tk_found;
/** The next added token of `tree` in text[0..n), from `search` on; pieces end at `taken` so far. */
fm_tk_found fm_tk_added_next(const fm_tokenizer *t, const fm_tk_tree *tree, const uint8_t *text,
                             size_t n, size_t search, size_t taken, bool plain);

/* ---- The whole ---- */

struct fm_tokenizer {
    const fm_tk_classes *classes; /* of the process */
    fm_tk_token *tokens;          /* [token_count] by id */
    size_t token_count;
    fm_buf texts, bytes;
    uint8_t index_key[16]; /* drawn at load, like the next but one: files cannot make collisions */
    uint32_t *index;       /* [index_mask + 1] open addressing by text; FM_TK_NONE: empty */
    size_t index_mask, longest; /* bytes of the longest text */
    uint64_t merge_factor;      /* odd */
    unsigned merge_shift;       /* the product's high bits are the place */
    fm_tk_merge *merges;        /* [merge_mask + 1] open addressing by pair */
    size_t merge_mask;
    uint32_t of_byte[256]; /* FM_TK_NONE: no token */
    uint32_t unk;          /* FM_TK_NONE: none */
    bool fuse_unk, ignore_merges;
    fm_tk_added *added; /* [added_count] */
    size_t added_count;
    fm_tk_tree raw, normal; /* looked for before and after the normaliser */
    fm_tk_form forms[FM_TK_MAX_STAGES];
    size_t form_count;
    fm_tk_stage stages[FM_TK_MAX_STAGES];
    size_t stage_count;
    uint32_t *before, *after; /* the post-processor's ids; owned */
    size_t before_count, after_count;
};

/* A word's ids, on one cache line. */
#define FM_TK_CACHE_KEY ((size_t)24)
#define FM_TK_CACHE_IDS 9
typedef struct {
    uint64_t key[FM_TK_CACHE_KEY / 8]; /* of the word's bytes */
    uint32_t ids[FM_TK_CACHE_IDS];
    uint8_t len, count; /* len 0: empty */
} fm_tk_cached;
#define FM_TK_CACHE_BITS 15

typedef struct {
    uint32_t id, prev, next;
} fm_tk_symbol;
typedef struct {
    uint64_t order; /* rank << 32 | place: the least goes first */
    uint32_t id;
} fm_tk_pending;

struct fm_tokenizer_worker {
    const fm_tokenizer *t;
    fm_tk_cached *cache;   /* [1 << FM_TK_CACHE_BITS] */
    fm_tk_symbol *symbols; /* [room] */
    fm_tk_pending *heap;   /* [2 room] */
    size_t room;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    uint64_t deadline_ns, budget_ns; /* for a text, besides what its length gives it */
    fm_token_list *out;
    size_t lost;
    unsigned flags;
    /* Ill-formed sequences of the text, in order: what each stand-in stands for. */
    bool repaired;
    fm_buf whole;     /* the text with stand-ins */
    fm_buf originals; /* a byte of length, then the bytes */
    size_t original;  /* where the next one is */
    fm_buf normal[2], prefixed, word, mapped;
};

FM_NODISCARD fm_status fm_tk_push(fm_token_list *l, uint32_t id);
/** Encode one word (bytes after the splits; stand-ins are put back). */
FM_NODISCARD fm_status fm_tk_bpe(fm_tokenizer_worker *w, const uint8_t *p, size_t n);
/** Skip the stand-ins of a piece that is dropped. */
void fm_tk_skip(fm_tokenizer_worker *w, const uint8_t *p, size_t n);
void fm_tk_worker_wipe(fm_tokenizer_worker *w);

/** The character of the byte alphabet that stands for b. */
uint32_t fm_tk_alphabet(uint8_t b);
/** The id of a token's text, FM_TK_NONE. */
uint32_t fm_tk_find(const fm_tokenizer *t, const char *text, size_t len);
/** Put a token in; room and index must be there (fm_tk_vocab_begin). */
FM_NODISCARD fm_status fm_tk_vocab_begin(fm_tokenizer *t, size_t ids, size_t tokens);
FM_NODISCARD fm_status fm_tk_vocab_add(fm_tokenizer *t, uint32_t id, const char *text, size_t len,
                                       bool added);
/** An added token: of the model's vocabulary already, or new. */
FM_NODISCARD fm_status fm_tk_vocab_mark(fm_tokenizer *t, uint32_t id, const char *text, size_t len,
                                        bool special);
FM_NODISCARD fm_status fm_tk_merges_begin(fm_tokenizer *t, size_t count);
/** A later merge of the same pair takes the place of the earlier, as in the library. */
void fm_tk_merges_add(fm_tokenizer *t, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);
static inline const fm_tk_merge *fm_tk_merge_of(const fm_tokenizer *t, uint32_t a, uint32_t b)
{
    const uint64_t pair = (uint64_t)a << 32 | b;
    size_t at = (size_t)(pair * t->merge_factor >> t->merge_shift);

    while (t->merges[at].pair != pair) {
        if (t->merges[at].pair == UINT64_MAX)
            return NULL;
        at = (at + 1) & t->merge_mask;
    }
    return &t->merges[at];
}

/* ---- The file (tokenizer_json.c, tokenizer_parts.c, tokenizer_model.c) ---- */

#define FM_TK_PATH ((size_t)160)
/* Where in the file: for error texts. */
typedef struct {
    const char *file;
    char path[FM_TK_PATH]; /* "pre_tokenizer.pretokenizers[2]"; "" for the whole */
} fm_tk_at;

fm_tk_at fm_tk_in(const fm_tk_at *at, const char *key);
fm_tk_at fm_tk_item(const fm_tk_at *at, const char *key, size_t i);
/** FM_EPROTO "file: path: ...". */
FM_NODISCARD fm_status fm_tk_refuse(const fm_tk_at *at, const char *fmt, ...) FM_PRINTF(2, 3);
/** FM_EPROTO unless obj is an object whose keys are all in `known` (NULL-terminated). */
FM_NODISCARD fm_status fm_tk_keys(const fm_tk_at *at, const json_t *obj, const char *const *known);
/** A value that must be of a kind; `fallback` < 0: must be there, else what it is when absent. */
FM_NODISCARD fm_status fm_tk_bool(const fm_tk_at *at, const json_t *obj, const char *key,
                                  int fallback, bool *out);
FM_NODISCARD fm_status fm_tk_text(const fm_tk_at *at, const json_t *obj, const char *key,
                                  const char **out);
bool fm_tk_is_id(const json_t *value);
FM_NODISCARD fm_status fm_tk_id(const fm_tk_at *at, const json_t *value, uint32_t *out);
/** The object's "type", a text. */
FM_NODISCARD fm_status fm_tk_type(const fm_tk_at *at, const json_t *obj, const char **out);
/** Call `each` for the object, or for each of its list `key` when its type is Sequence. */
typedef fm_status (*fm_tk_part)(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj);
FM_NODISCARD fm_status fm_tk_sequence(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj,
                                      const char *key, fm_tk_part each);

FM_NODISCARD fm_status fm_tk_read_model(fm_tokenizer *t, const fm_tk_at *at, const json_t *model,
                                        const json_t *added);
FM_NODISCARD fm_status fm_tk_read_added(fm_tokenizer *t, const fm_tk_at *at, const json_t *added);
FM_NODISCARD fm_status fm_tk_read_normalizer(fm_tokenizer *t, const fm_tk_at *at,
                                             const json_t *obj);
FM_NODISCARD fm_status fm_tk_read_splits(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj);
FM_NODISCARD fm_status fm_tk_read_post(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj);
FM_NODISCARD fm_status fm_tk_read_decoder(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj);

#endif
