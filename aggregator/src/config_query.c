/* federation.yaml of a query: task, the files of query and schema, and the state that is summed. */
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/proto/digest.h"

#define RESULTS "results" /* the tensor of the sums, behind the model's own */

fm_status fm_config_read_task(const fm_yaml_node *root, fm_plan *p)
{
    const char *task = NULL;
    fm_status st = fm_yaml_get_string_or(root, "task", "training", &task);

    if (st != FM_OK)
        return st;
    if (strcmp(task, "training") == 0)
        p->task = FM_TASK_TRAINING;
    else if (strcmp(task, "statistics") == 0)
        p->task = FM_TASK_STATISTICS;
    else if (strcmp(task, "evaluation") == 0)
        p->task = FM_TASK_EVALUATION;
    else
        return fm_yaml_fail(fm_yaml_find(root, "task"),
                            "task '%.100s' is not known; it can be training, statistics or "
                            "evaluation",
                            task);
    return FM_OK;
}

/* What the optimizer of a sum has no use for, at values that every member accepts. */
void fm_config_set_query(fm_plan *p)
{
    p->rounds = 1;
    p->optimizer = FM_OPTIMIZER_SUM;
    p->learning_rate = 1.0;
    p->adam_epsilon = 1.0;
    p->encoding = FM_ENCODING_EXACT;
    p->schedule = FM_SCHEDULE_CONSTANT;
    p->momentum = p->beta2 = p->averaging = 0.0;
}

/* The text of a file beside federation.yaml, and its plain name. */
static fm_status read_file(const fm_yaml_node *root, const char *key, const char *dir, size_t limit,
                           char **name, char **text)
{
    const char *given = NULL;
    char *path = NULL;
    fm_buf data = { 0 };
    fm_status st;

    if ((st = fm_yaml_get_string(root, key, &given)) != FM_OK ||
        (st = fm_config_check_file(root, key, given)) != FM_OK ||
        (st = fm_strdup(given, name)) != FM_OK || (st = fm_path_join(dir, given, &path)) != FM_OK ||
        (st = fm_file_read(path, limit, &data)) != FM_OK)
        goto done;
    if (data.len == 0 || strlen((const char *)data.data) != data.len)
        st = fm_fail(FM_EPARSE, "%s: empty, or not a text", path);
    else
        st = fm_strdup((const char *)data.data, text);
done:
    fm_buf_fini(&data);
    free(path);
    return st;
}

static fm_status read_query(const fm_yaml_node *root, fm_aggregator_config *c)
{
    const fm_query_task task =
        c->plan.task == FM_TASK_STATISTICS ? FM_QUERY_STATISTICS : FM_QUERY_EVALUATION;
    fm_status st =
        read_file(root, "query", c->dir, FM_MAX_QUERY_BYTES, &c->query_file, &c->plan.query_text);

    if (st != FM_OK || (st = fm_query_parse(task, c->query_file, c->plan.query_text,
                                            strlen(c->plan.query_text), &c->query)) != FM_OK)
        return st;
    c->plan.clip_norm = fm_query_clip_norm(c->query);
    return FM_OK;
}

fm_status fm_config_extend_model(fm_aggregator_config *c, const fm_tensor_view *more,
                                 size_t more_count)
{
    size_t count = c->model ? fm_safetensors_count(c->model) : 0;
    size_t meta_count = c->model ? fm_safetensors_meta_count(c->model) : 0;
    fm_tensor_view *views = NULL;
    fm_safetensors_meta *meta = NULL;
    fm_safetensors *state = NULL;
    fm_buf file;
    fm_status st;

    fm_buf_init(&file, SIZE_MAX);
    if ((st = fm_alloc(count + more_count, sizeof *views, (void **)&views)) != FM_OK ||
        (st = fm_alloc(meta_count + 1, sizeof *meta, (void **)&meta)) != FM_OK)
        goto done;
    for (size_t i = 0; i < count; i++)
        views[i] = *fm_safetensors_at(c->model, i);
    for (size_t i = 0; i < meta_count; i++)
        meta[i] = fm_safetensors_meta_at(c->model, i);
    memcpy(views + count, more, more_count * sizeof *more);
    if ((st = fm_safetensors_encode(views, count + more_count, meta, meta_count, &file)) != FM_OK ||
        (st = fm_safetensors_parse("the state", file.data, file.len, &state)) != FM_OK)
        goto done;
    fm_safetensors_free(&c->model);
    c->model = state;
done:
    free(views);
    free(meta);
    fm_buf_fini(&file);
    return st;
}

/* The model's tensors, if there is a model, and behind them the results: zero. */
static fm_status make_state(fm_aggregator_config *c)
{
    size_t width = fm_query_width(c->query);
    void *zeros = NULL;
    fm_status st = fm_alloc(width, sizeof(float), &zeros);

    if (st == FM_OK) {
        const fm_tensor_view results = { .name = RESULTS,
                                         .dtype = "F32",
                                         .dims = 1,
                                         .shape = { width },
                                         .data = zeros,
                                         .bytes = width * sizeof(float) };

        st = fm_config_extend_model(c, &results, 1);
    }
    if (st == FM_OK && (st = fm_config_plan_weights(c)) == FM_OK)
        c->plan.frozen = c->plan.parameters - (uint32_t)width;
    free(zeros);
    return st;
}

fm_status fm_config_read_query(const fm_yaml_node *root, fm_aggregator_config *c)
{
    fm_status st;

    if (c->plan.task == FM_TASK_STATISTICS)
        st = read_file(root, "schema", c->dir, FM_MAX_TEXT_BYTES, &c->schema_file,
                       &c->plan.schema_text);
    else if ((st = fm_config_read_model(root, c)) == FM_OK &&
             fm_safetensors_find(c->model, RESULTS))
        st = fm_yaml_fail(fm_yaml_find(root, "model"),
                          "the model has a tensor '" RESULTS "', which is the query's");
    if (st != FM_OK || (st = read_query(root, c)) != FM_OK)
        return st;
    return make_state(c);
}
