#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_generate.h"
#include "cmd_tokens.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/corpus.h"

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
        st = r->tokens ? fm_cmd_tokens_parse(r->tokens, vocabulary, &g->text) : read_text(r, g);
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
