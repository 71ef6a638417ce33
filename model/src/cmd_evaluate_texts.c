/* evaluate of a language model: how well it foretells texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmd_evaluate.h"

bool fm_cmd_is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static fm_status load_decoder(const fm_cmd_texts *t, fm_decoder **out)
{
    fm_decoder_options o = { .max_tokens = 1 };
    fm_decoder *d = NULL;
    fm_status st;

    if (t->adapters)
        o.adapters = fm_adapter_file_adapters(t->adapters);
    if (!(st = fm_decoder_folder_load(t->folder, &o, &d)) && t->adapters)
        st = fm_adapter_file_read(t->adapters, d);
    if (st)
        fm_decoder_free(&d);
    else
        *out = d;
    return st;
}

static fm_status measure(const fm_cmd_texts *t, const char *const *paths, size_t count,
                         fm_text_loss *out)
{
    fm_decoder *d = NULL;
    fm_corpus *c = NULL;
    fm_status st;

    if (!(st = fm_cmd_texts_load(t, paths, count, &c)) && !(st = load_decoder(t, &d)))
        st = fm_train_measure(d, c, 0, out);
    fm_corpus_free(&c);
    fm_decoder_free(&d);
    if (!st && !isfinite(out->loss))
        st = fm_fail(FM_ENONFINITE,
                     "%s gives some text a loss that is not a finite number: its weights%s are "
                     "too large",
                     t->model, t->adapters ? ", or those of --adapter," : "");
    return st;
}

static fm_status show(const fm_cmd_texts *t, const fm_text_loss *loss, bool json)
{
    json_t *j;
    fm_status st;

    if (!json) {
        char name[256];

        (void)snprintf(name, sizeof name, "%.100s%s%.100s", t->model, t->adapter ? " with " : "",
                       t->adapter ? t->adapter : "");
        fm_cmd_loss_print(name, loss);
        return FM_OK;
    }
    j = fm_cmd_loss_json(loss);
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the figures");
    json_decref(j);
    return st;
}

fm_status fm_cmd_evaluate_texts(fm_cmd_texts *t, const char *const *paths, size_t count, bool json)
{
    fm_text_loss loss;
    fm_status st;

    if (!t->schema)
        return fm_fail(FM_EINVAL, "--schema is needed: what a record's text is");
    if (!(st = fm_cmd_texts_open(t)) && !(st = measure(t, paths, count, &loss)))
        st = show(t, &loss, json);
    fm_cmd_texts_close(t);
    return st;
}
