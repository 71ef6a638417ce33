#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_generate.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/corpus.h"

/* "1,2,3" */
static fm_status read_tokens(const char *text, size_t vocabulary, fm_token_list *out)
{
    size_t most = 1;
    void *fresh;
    fm_status st;

    for (const char *p = text; *p; p++)
        most += *p == ',';
    if ((st = fm_alloc(most, sizeof *out->ids, &fresh)))
        return st;
    *out = (fm_token_list){ .ids = fresh, .cap = most };
    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, ",");
        char one[24];
        uint64_t value = 0;

        (void)snprintf(one, sizeof one, "%.*s", n < sizeof one ? (int)n : 0, p);
        if (!fm_text_u64(one, &value) || value >= vocabulary)
            return fm_fail(FM_EINVAL, "--tokens: '%.*s' is not a token; 0 to %zu are",
                           n < 40 ? (int)n : 40, p, vocabulary - 1);
        out->ids[out->count++] = (uint32_t)value;
        p += n;
        if (!*p)
            return FM_OK;
    }
}

static fm_status encode(const fm_tokenizer *t, const void *text, size_t len, fm_token_list *out)
{
    fm_tokenizer_worker *w = NULL;
    size_t lost = 0;
    fm_status st = fm_tokenizer_worker_new(t, &w);

    /* A prompt is as a rule somebody else's text: it spells no control tokens. */
    if (!st)
        st = fm_tokenizer_encode(w, text, len, FM_TOKENIZER_SPECIAL | FM_TOKENIZER_PLAIN, out,
                                 &lost);
    if (!st && lost)
        fm_log(FM_LOG_WARN, "%zu bytes of the prompt have no token: they are left out", lost);
    fm_tokenizer_worker_free(&w);
    return st;
}

static fm_status read_text(const fm_cmd_generate_request *r, fm_cmd_generation *g)
{
    fm_buf file = { 0 };
    fm_status st = FM_OK;

    if (!g->tokenizer)
        return fm_fail(FM_EINVAL, "%s has no tokenizer.json: begin with --tokens", r->model);
    if (r->prompt_file)
        st = fm_file_read(r->prompt_file, FM_TOKENIZER_MAX_TEXT, &file);
    if (!st && r->prompt_file)
        st = encode(g->tokenizer, file.data, file.len, &g->text);
    else if (!st)
        st = encode(g->tokenizer, r->prompt, strlen(r->prompt), &g->text);
    fm_buf_fini(&file);
    return st;
}

/* Without one a text ends at its length; a word that is given must be there. */
static fm_status find_end(const fm_cmd_generate_request *r, fm_cmd_generation *g)
{
    fm_status st = FM_OK;

    if (r->end_token && !g->tokenizer)
        return fm_fail(FM_EINVAL, "--end-token: %s has no tokenizer.json", r->model);
    if (g->tokenizer)
        st = fm_corpus_end_token(g->tokenizer, r->end_token, &g->end);
    g->ends = g->tokenizer && !st;
    return r->end_token ? st : FM_OK;
}

fm_status fm_cmd_generate_prompt(const fm_cmd_generate_request *r, fm_cmd_generation *g)
{
    const size_t vocabulary = fm_edge_model_config(g->model)->vocabulary;
    fm_status st = find_end(r, g);

    if (!st)
        st = r->tokens ? read_tokens(r->tokens, vocabulary, &g->text) : read_text(r, g);
    if (st)
        return st;
    /* Some tokenizers end every text: this one goes on. */
    if (!r->tokens && g->ends && g->text.count > 1 && g->text.ids[g->text.count - 1] == g->end)
        g->text.count--;
    if (!g->text.count)
        return fm_fail(FM_EINVAL, "the prompt is empty, and the tokenizer puts no token before a "
                                  "text: there is nothing to go on from");
    for (size_t i = 0; i < g->text.count; i++)
        if (g->text.ids[i] >= vocabulary)
            return fm_fail(FM_EPROTO,
                           "%s: its tokenizer gives token %u, but the model has %zu tokens",
                           r->model, (unsigned)g->text.ids[i], vocabulary);
    g->prompt = g->text.count;
    return FM_OK;
}
