/* How a corpus is made: readers of records (corpus_csv.c, corpus_ndjson.c, corpus_fhir.c) give texts
 * and whose they are to a builder (corpus.c). */
#ifndef FEDMOE_MODEL_CORPUS_INTERNAL_H
#define FEDMOE_MODEL_CORPUS_INTERNAL_H

#include <jansson.h>

#include "fedmoe/model/corpus.h"
#include "table_internal.h"
#include "text_schema_internal.h"

typedef struct {
    const fm_text_schema *schema;
    const fm_tokenizer *tokenizer;
    const fm_corpus_options *options;
    const char *name;            /* of the file at hand */
    fm_tokenizer_worker *worker; /* borrowed */
    uint32_t end;                /* token */
    size_t around;               /* tokens that the tokenizer puts around a text */
    fm_buf text;                 /* of the record at hand: the reader's to fill */
    fm_token_list tokens;
    uint64_t *starts;  /* [cap] of each sequence, in the order of the files */
    uint32_t *unit_of; /* [cap] */
    size_t sequences, cap;
    fm_unit_index index;
    size_t units, documents, empty;
    fm_corpus_facts facts;
    fm_problems problems;
} fm_corpus_builder;

/** As fm_corpus_parse, with good arguments and a worker of the tokenizer. */
FM_NODISCARD fm_status fm_corpus_parse_with(const fm_text_schema *s, const fm_tokenizer *t,
                                            fm_tokenizer_worker *w, const fm_corpus_options *o,
                                            const char *name, const void *text, size_t len,
                                            fm_corpus **out);

/** Note the calling thread's error text if `st` is a fault of a record, FM_EPARSE; reading goes on
 *  when this is FM_OK. */
FM_NODISCARD fm_status fm_corpus_fault(fm_corpus_builder *b, fm_status st);

/** One more record of the file at hand. FM_ENOMEM: more than there can be. */
FM_NODISCARD fm_status fm_corpus_record(fm_corpus_builder *b, size_t line);

/** What a field of the record holds. */
typedef struct {
    const char *at; /* [len] borrowed */
    size_t len;
    char digits[24]; /* of a number */
} fm_corpus_value;

/**
 * b->text by the schema's template; empty when all values are.
 * @param values  [schema's field_count].
 */
FM_NODISCARD fm_status fm_corpus_compose(fm_corpus_builder *b, const fm_corpus_value *values);

/**
 * b->text is a document.
 * @param unit  [len] bytes that say whose; NULL: its own.
 * @return FM_OK; FM_EPARSE: empty, where that is an error; FM_ENOMEM; FM_ETIMEOUT. The text names
 *         file and line.
 */
FM_NODISCARD fm_status fm_corpus_add(fm_corpus_builder *b, size_t line, const char *unit,
                                     size_t len);

/** What was added as a corpus, which has a sequence. @param out owned by the caller. FM_ENOMEM. */
FM_NODISCARD fm_status fm_corpus_finish(fm_corpus_builder *b, fm_corpus **out);

/** A key without the spaces and tabs around. @return false when nothing is left. */
bool fm_corpus_trim(const char **key, size_t *len);

/* One for each kind of source: all records of a file. FM_EPARSE: nothing more can be read, the text
 * says why, or there are too many problems. */
FM_NODISCARD fm_status fm_corpus_read_csv(fm_corpus_builder *b, fm_csv_source *source);
FM_NODISCARD fm_status fm_corpus_read_lines(fm_corpus_builder *b, fm_csv_source *source);

/** A line of each kind, an object. FM_EPARSE: the record's fault. */
FM_NODISCARD fm_status fm_corpus_ndjson(fm_corpus_builder *b, size_t line, const json_t *object);
FM_NODISCARD fm_status fm_corpus_fhir(fm_corpus_builder *b, size_t line, const json_t *object);

/* ---- corpus_lines.c: lines of a file ---- */

typedef struct {
    fm_csv_source *source;
    fm_buf bytes;
    size_t at, seen; /* where what is left begins; up to where no line ends */
    size_t line;     /* of the line at hand, 1-based */
    bool ended, begun;
} fm_lines;

void fm_lines_begin(fm_lines *l, fm_csv_source *source);
/**
 * The next line that is not of white space alone.
 * @param text  out: [len] without its LF; until the next call.
 * @param got   out: false at the end of the file.
 * @return FM_OK; FM_EPARSE: longer than FM_CORPUS_MAX_LINE; FM_EIO; FM_EPROTO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_lines_next(fm_lines *l, const char **text, size_t *len, bool *got);
void fm_lines_end(fm_lines *l);

/* ---- corpus_json.c ---- */

/** An object on a line of its own. FM_EPARSE: the text has file, line and byte, nothing of the line;
 *  FM_ENOMEM. @param out json_decref. */
FM_NODISCARD fm_status fm_corpus_json(const char *name, size_t line, const char *text, size_t len,
                                      json_t **out);
/** "a list", "a number", ...; "not there" for NULL. */
const char *fm_corpus_json_kind(const json_t *v);

#endif
