#include "cmd_texts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"

size_t fm_cmd_texts_options(fm_cmd_texts *t, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "adapter", FM_CLI_STRING, &t->adapter, "FOLDER",
          "low-rank adapters with PEFT's names, to begin with", false, 0, 0 },
        { "context", FM_CLI_U64, &t->context, "N",
          "most tokens of a sequence (default 512, or the model's context if that is less)", false,
          2, (double)FM_CORPUS_MAX_CONTEXT },
        { "end-token", FM_CLI_STRING, &t->end_token, "TOKEN",
          "what ends a text (default: the tokenizer's <|endoftext|> or its like)", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

static fm_status load_tokenizer(fm_cmd_texts *t)
{
    char *path = NULL;
    fm_status st = fm_path_join(t->model, "tokenizer.json", &path);

    if (!st)
        st = fm_tokenizer_load(path, &t->tokenizer);
    free(path);
    return st;
}

static fm_status choose_context(fm_cmd_texts *t)
{
    const size_t most = fm_decoder_folder_config(t->folder)->context;

    if (t->context > most)
        return fm_fail(FM_EINVAL, "--context: the model's context is %zu tokens", most);
    if (t->context == 0)
        t->context = most < FM_CMD_CONTEXT ? most : FM_CMD_CONTEXT;
    return FM_OK;
}

fm_status fm_cmd_texts_open(fm_cmd_texts *t)
{
    fm_status st;

    if ((st = fm_text_schema_load(t->schema, &t->texts)) ||
        (st = fm_decoder_folder_open(t->model, &t->folder)) || (st = choose_context(t)) ||
        (st = load_tokenizer(t)))
        return st;
    return t->adapter
               ? fm_adapter_file_open(t->adapter, fm_decoder_folder_config(t->folder), &t->adapters)
               : FM_OK;
}

fm_status fm_cmd_texts_load(const fm_cmd_texts *t, const char *const *paths, size_t count,
                            fm_corpus **out)
{
    const fm_corpus_options o = { .context = (size_t)t->context, .end_token = t->end_token };

    return fm_corpus_load(t->texts, t->tokenizer, &o, paths, count, out);
}

void fm_cmd_texts_close(fm_cmd_texts *t)
{
    fm_adapter_file_free(&t->adapters);
    fm_decoder_folder_free(&t->folder);
    fm_text_schema_free(&t->texts);
    fm_tokenizer_free(&t->tokenizer);
}

/* JSON has no number for what is none. */
static json_t *figure(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *fm_cmd_loss_json(const fm_text_loss *l)
{
    return json_pack("{s:o, s:o, s:I}", "loss", figure(l->loss), "perplexity", figure(exp(l->loss)),
                     "predictions", (json_int_t)l->predictions);
}

json_t *fm_cmd_loss_json_beside(const fm_text_loss *l, const char *name, const fm_text_loss *other)
{
    json_t *j = fm_cmd_loss_json(l), *beside = fm_cmd_loss_json(other);

    if (j && beside && json_object_set(j, name, beside) != 0) {
        json_decref(j);
        j = NULL;
    }
    json_decref(beside);
    return j;
}

void fm_cmd_loss_print(const char *name, const fm_text_loss *l)
{
    const double perplexity = exp(l->loss);

    printf(perplexity < 1e9 ? "%s: loss %.4f a token, perplexity %.2f, over %zu predictions\n"
                            : "%s: loss %.4f a token, perplexity %.3g, over %zu predictions\n",
           name, l->loss, perplexity, l->predictions);
}
