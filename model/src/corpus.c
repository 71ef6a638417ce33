/* Files in, a corpus out. */
#include "fedmoe/model/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_internal.h"
#include "tokenizer_internal.h"

#define PROBLEMS_MAX 20

fm_status fm_corpus_end_token(const fm_tokenizer *t, const char *text, uint32_t *id)
{
    static const char *const known[] = { "<|endoftext|>", "<|end_of_text|>",
                                         "<\uff5cend\u2581of\u2581sentence\uff5c>", "</s>" };
    const size_t count = text ? 1 : sizeof known / sizeof *known;
    fm_tokenizer_token token;
    uint32_t found;

    if (!t || !id)
        return fm_fail(FM_EINVAL, "end token: an argument is missing");
    for (size_t i = 0; i < count; i++) {
        const char *name = text ? text : known[i];

        if (!fm_tokenizer_id(t, name, strlen(name), &found) || fm_tokenizer_get(t, found, &token))
            continue;
        if (!token.special && text)
            return fm_fail(FM_EINVAL,
                           "the end token %.100s is not a special one: a text could spell it",
                           text);
        if (!token.special)
            continue;
        *id = found;
        return FM_OK;
    }
    return text ? fm_fail(FM_EINVAL, "the tokenizer has no token %.100s", text)
                : fm_fail(FM_EINVAL, "the tokenizer has none of the usual special tokens that end "
                                     "a text; say which one does");
}

fm_status fm_corpus_fault(fm_corpus_builder *b, fm_status st)
{
    return st == FM_EPARSE && !b->problems.gave_up ? fm_problem(&b->problems) : st;
}

static fm_status begin(fm_corpus_builder *b)
{
    fm_token_list around = { 0 };
    fm_status st;

    fm_buf_init(&b->text, FM_TOKENIZER_MAX_TEXT);
    if ((st = fm_corpus_end_token(b->tokenizer, b->options->end_token, &b->end)))
        return st;
    st = fm_tokenizer_encode(b->worker, NULL, 0, FM_TOKENIZER_SPECIAL, &around, NULL);
    b->around = around.count;
    fm_token_list_fini(&around);
    return st;
}

static void end(fm_corpus_builder *b)
{
    fm_buf_fini(&b->text);
    fm_token_list_fini(&b->tokens);
    fm_wipe_free(b->starts, b->cap, sizeof *b->starts);
    fm_wipe_free(b->unit_of, b->cap, sizeof *b->unit_of);
    fm_unit_index_fini(&b->index);
    fm_buf_fini(&b->problems.text);
}

static fm_status read_source(fm_corpus_builder *b, fm_csv_source *source)
{
    const fm_status st = b->schema->source == FM_TEXT_CSV ? fm_corpus_read_csv(b, source)
                                                          : fm_corpus_read_lines(b, source);

    fm_csv_close(source);
    /* A fault of the file itself comes on top of those of its records. */
    return fm_corpus_fault(b, st);
}

/* Why, too: of FHIR much may be there that is no note. */
static fm_status no_text(const fm_corpus_builder *b)
{
    const fm_corpus_facts *f = &b->facts;
    char why[160] = "";

    if (f->passed_over || f->without_text)
        (void)snprintf(why, sizeof why,
                       "; %zu are other resources, or entered in error, and %zu have no text/plain "
                       "data of their own",
                       f->passed_over, f->without_text);
    return fm_fail(FM_EPARSE, "%s: there is no text among %zu records%s", b->name, f->records, why);
}

static fm_status make(fm_corpus_builder *b, fm_status st, fm_corpus **out)
{
    if (st && st != FM_EPARSE)
        return st;
    if (b->problems.count)
        return fm_problems_fail(&b->problems);
    if (!b->sequences)
        return no_text(b);
    return fm_corpus_finish(b, out);
}

static fm_status check(const fm_corpus_options *o)
{
    if (o->context < 2 || o->context > FM_CORPUS_MAX_CONTEXT)
        return fm_fail(FM_EINVAL, "a context of %zu tokens; it must be 2 to %zu", o->context,
                       FM_CORPUS_MAX_CONTEXT);
    return FM_OK;
}

static fm_corpus_builder builder(const fm_text_schema *s, const fm_tokenizer *t,
                                 fm_tokenizer_worker *w, const fm_corpus_options *o)
{
    return (
        fm_corpus_builder){ .schema = s,
                            .tokenizer = t,
                            .worker = w,
                            .options = o,
                            .problems = { .max = o->max_problems ? o->max_problems : PROBLEMS_MAX,
                                          .all = o->problems,
                                          .then = "fedmoe-model corpus lists all" } };
}

fm_status fm_corpus_load(const fm_text_schema *s, const fm_tokenizer *t, const fm_corpus_options *o,
                         const char *const *paths, size_t count, fm_corpus **out)
{
    fm_tokenizer_worker *w = NULL;
    fm_corpus_builder b;
    fm_status st;

    if (!s || !t || !o || !paths || !count || !out)
        return fm_fail(FM_EINVAL, "corpus: an argument is missing");
    if ((st = check(o)) || (st = fm_tokenizer_worker_new(t, &w)))
        return st;
    b = builder(s, t, w, o);
    st = begin(&b);
    for (size_t i = 0; !st && i < count; i++) {
        fm_csv_source source = { .fd = -1 };

        b.name = paths[i];
        if (!(st = fm_csv_open(paths[i], FM_CORPUS_MAX_BYTES, &source)))
            st = read_source(&b, &source);
    }
    st = make(&b, st, out);
    end(&b);
    fm_tokenizer_worker_free(&w);
    return st;
}

fm_status fm_corpus_parse_with(const fm_text_schema *s, const fm_tokenizer *t,
                               fm_tokenizer_worker *w, const fm_corpus_options *o, const char *name,
                               const void *text, size_t len, fm_corpus **out)
{
    fm_csv_source source = { .fd = -1 };
    fm_corpus_builder b = builder(s, t, w, o);
    fm_status st;

    b.name = name;
    if (!(st = begin(&b)) && !(st = fm_csv_memory(name, text, len, &source)))
        st = read_source(&b, &source);
    st = make(&b, st, out);
    end(&b);
    return st;
}

fm_status fm_corpus_parse(const fm_text_schema *s, const fm_tokenizer *t,
                          const fm_corpus_options *o, const char *name, const void *text,
                          size_t len, fm_corpus **out)
{
    fm_tokenizer_worker *w = NULL;
    fm_status st;

    if (!s || !t || !o || !name || (len && !text) || !out)
        return fm_fail(FM_EINVAL, "corpus: an argument is missing");
    if ((st = check(o)) || (st = fm_tokenizer_worker_new(t, &w)))
        return st;
    st = fm_corpus_parse_with(s, t, w, o, name, text, len, out);
    fm_tokenizer_worker_free(&w);
    return st;
}

void fm_corpus_free(fm_corpus **corpus)
{
    fm_corpus *c = corpus ? *corpus : NULL;

    if (!c)
        return;
    if (c->tokens && c->starts)
        fm_wipe_free(c->tokens, (size_t)c->starts[c->sequences], sizeof *c->tokens);
    fm_wipe_free(c->starts, c->starts ? c->sequences + 1 : 0, sizeof *c->starts);
    fm_wipe_free(c->unit_start, c->unit_start ? c->units + 1 : 0, sizeof *c->unit_start);
    free(c);
    *corpus = NULL;
}
