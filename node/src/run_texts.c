/* A plan for adapters of a language model: the base here is the plan's, and the texts are read. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "policy_internal.h"
#include "run_internal.h"

static fm_status load_base(const fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    fm_decoder_folder *folder = NULL;
    fm_status st;

    if (!d->config.model)
        return fm_fail(FM_EINVAL, "the plan adapts a language model, and node.yaml names none: "
                                  "give its folder as model");
    if ((st = fm_adapter_terms_parse("the plan's model", plan->model_text, &p->terms)) != FM_OK)
        return st;
    if ((st = fm_decoder_folder_open(d->config.model, &folder)) == FM_OK &&
        (st = fm_adapter_terms_check(&p->terms, folder)) == FM_OK)
        st = fm_adapter_terms_load(&p->terms, folder, plan->parameters, &p->decoder);
    fm_decoder_folder_free(&folder);
    return st;
}

/* Both sides count by the same unit, and so must the texts be grouped. */
static fm_status check_unit(const fm_plan *plan, const fm_text_schema *s)
{
    const char *unit = fm_text_schema_unit(s);

    if (strcmp(unit ? unit : FM_UNIT_RECORD, plan->privacy_unit) == 0)
        return FM_OK;
    return fm_fail(FM_EINVAL, "the plan's privacy unit is '%s', its schema groups texts by '%s'",
                   plan->privacy_unit, unit ? unit : FM_UNIT_RECORD);
}

static fm_status load_corpus(fm_node_driver *d, const fm_text_schema *s, const fm_tokenizer *t,
                             fm_node_prepared *p)
{
    const char *paths[FM_NODE_MAX_FILES];
    fm_buf problems = { 0 };
    const fm_corpus_options o = { .context = p->terms.context,
                                  .end_token = p->terms.end_token[0] ? p->terms.end_token : NULL,
                                  .problems = &problems };
    fm_status st;

    fm_buf_init(&problems, 0);
    if ((st = fm_corpus_load(s, t, &o, paths, fm_node_config_files(&d->config, paths),
                             &p->corpus)) != FM_OK)
        st = fm_node_driver_records_fail(d, st, &problems, false);
    else if (p->corpus->sequences > d->config.policy.max_rows) {
        fm_log(FM_LOG_ERROR, "%zu sequences; policy.max_rows allows %llu", p->corpus->sequences,
               (unsigned long long)d->config.policy.max_rows);
        st = fm_fail(FM_EINVAL, "the records of this node cannot be read");
    }
    fm_buf_fini(&problems);
    return st;
}

/* Before the base is hashed and read: it may be large. */
static fm_status check_pinned(const fm_node_driver *d, const fm_plan *plan)
{
    const size_t len = strlen(plan->schema_text);

    if (d->config.schema &&
        (len != d->schema.len || memcmp(plan->schema_text, d->schema.data, len) != 0))
        return fm_fail(FM_EPERM, "the plan's schema is not the one that this node has pinned");
    return FM_OK;
}

static fm_status read_texts(fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    const size_t len = strlen(plan->schema_text);
    fm_text_schema *schema = NULL;
    fm_tokenizer *tokenizer = NULL;
    char *path = NULL;
    fm_status st;

    if ((st = fm_text_schema_parse("the plan's schema", plan->schema_text, len, &schema)) ==
            FM_OK &&
        (st = check_unit(plan, schema)) == FM_OK &&
        (st = fm_path_join(d->config.model, "tokenizer.json", &path)) == FM_OK &&
        (st = fm_tokenizer_load(path, &tokenizer)) == FM_OK)
        st = load_corpus(d, schema, tokenizer, p);
    free(path);
    fm_tokenizer_free(&tokenizer);
    fm_text_schema_free(&schema);
    return st;
}

fm_status fm_node_driver_prepare_texts(fm_node_driver *d, const fm_plan *plan, fm_node_prepared *p)
{
    fm_status st;

    if (plan->task != FM_TASK_TRAINING)
        return fm_fail(FM_EINVAL, "a federation can train on texts; it neither evaluates a "
                                  "language model nor counts in texts");
    if ((st = check_pinned(d, plan)) != FM_OK || (st = load_base(d, plan, p)) != FM_OK ||
        (st = read_texts(d, plan, p)) != FM_OK ||
        (st = fm_strdup(plan->schema_text, &p->schema_text)) != FM_OK)
        return st;
    p->tail = fm_node_plan_tail(plan);
    p->clip_norm = plan->clip_norm;
    return fm_node_step_new_texts(plan, p->decoder, p->corpus, d->config.threads, &p->step);
}

fm_status fm_node_driver_write_adapter(fm_node_driver *d, const fm_safetensors_meta *meta,
                                       size_t meta_count)
{
    const fm_node_prepared *p = &d->plan;
    fm_buf file = { .limit = SIZE_MAX };
    char *path = NULL;
    fm_status st = fm_adapter_terms_encode(&p->terms, p->schema_text, p->weights,
                                           fm_decoder_gradient_parameters(p->decoder), meta,
                                           meta_count, &file);

    if (st == FM_OK && (st = fm_path_join(d->config.dir, "model.safetensors", &path)) == FM_OK)
        st = fm_file_replace(path, file.data, file.len, 0644);
    free(path);
    fm_buf_fini(&file);
    return st;
}
