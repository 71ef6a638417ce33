#include "cmd_new.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/corpus.h"

#define MODULES "attention,shared"
#define RANK 8u
#define CONTEXT ((size_t)512)
#define MOST_SEED ((uint64_t)1 << 53)

static fm_status choose(const fm_cmd_new_adapter *a, const fm_decoder_folder *f,
                        fm_adapter_terms *t)
{
    const char *modules = a->modules ? a->modules : MODULES;
    const size_t most = fm_decoder_folder_config(f)->context;

    if (a->seed > MOST_SEED || strlen(modules) >= sizeof t->modules ||
        (a->end_token && strlen(a->end_token) >= sizeof t->end_token))
        return fm_fail(FM_EINVAL,
                       "--seed is at most 2^53, --modules and --end-token are shorter "
                       "than %zu bytes",
                       sizeof t->modules);
    if (a->context > most)
        return fm_fail(FM_EINVAL, "--context: the model's context is %zu tokens", most);
    (void)snprintf(t->modules, sizeof t->modules, "%s", modules);
    (void)snprintf(t->end_token, sizeof t->end_token, "%s", a->end_token ? a->end_token : "");
    t->rank = a->rank ? (size_t)a->rank : RANK;
    t->alpha = a->alpha > 0.0 ? a->alpha : 2.0 * (double)t->rank;
    t->context = a->context ? (size_t)a->context : most < CONTEXT ? most : CONTEXT;
    t->seed = a->seed;
    t->square = a->square;
    return fm_adapter_modules(t->modules, &t->maps);
}

/* Now, and not at every hospital. */
static fm_status check_end_token(const fm_cmd_new_adapter *a)
{
    fm_tokenizer *t = NULL;
    char *path = NULL;
    uint32_t id;
    fm_status st = fm_path_join(a->model, "tokenizer.json", &path);

    if (!st && !(st = fm_tokenizer_load(path, &t)))
        st = fm_corpus_end_token(t, a->end_token, &id);
    fm_tokenizer_free(&t);
    free(path);
    return st;
}

static fm_status write(const fm_cmd_new_adapter *a, const fm_adapter_terms *t, const char *schema,
                       size_t n)
{
    fm_buf file = { .limit = SIZE_MAX };
    float *zeros = NULL;
    fm_status st;

    if (!(st = fm_alloc(n, sizeof *zeros, (void **)&zeros)) &&
        !(st = fm_adapter_terms_encode(t, schema, zeros, n, NULL, 0, &file)))
        st = a->force ? fm_file_replace(a->output, file.data, file.len, 0644)
                      : fm_file_create(a->output, file.data, file.len, 0644);
    free(zeros);
    fm_buf_fini(&file);
    return st;
}

fm_status fm_cmd_new_adapter_make(const fm_cmd_new_adapter *a)
{
    const char *inputs[] = { a->schema };
    fm_decoder_folder *folder = NULL;
    fm_text_schema *schema = NULL;
    fm_adapter_terms t = { .rank = 0 };
    fm_decoder *d = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_file_check_output(a->output, a->force, inputs, FM_CMD_COUNT(inputs))) ||
        (st = fm_text_schema_load(a->schema, &schema)) ||
        (st = fm_decoder_folder_open(a->model, &folder)) || (st = choose(a, folder, &t)) ||
        (st = check_end_token(a)) || (st = fm_adapter_terms_of(folder, &t)) ||
        (st = fm_adapter_terms_load(&t, folder, 0, &d)))
        goto done;
    n = fm_decoder_gradient_parameters(d);
    if (!(st = write(a, &t, fm_text_schema_text(schema), n)))
        printf("%s: rank %zu, alpha %g%s, %zu values: %.1f KB a round\n", a->output, t.rank,
               t.alpha, t.square ? ", square" : "", n, 4.0 * (double)n / 1000.0);
done:
    fm_decoder_free(&d);
    fm_decoder_folder_free(&folder);
    fm_text_schema_free(&schema);
    return st;
}
