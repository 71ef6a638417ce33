#include <stdio.h>
#include <string.h>

#include "cmd_inspect.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/model/decoder_folder.h"
#include "fedmoe/model/tabular.h"

typedef struct {
    fm_decoder_folder *folder;
    fm_edge_model *edge; /* of a file in 8 bits, in its place */
    const fm_decoder_config *c;
    fm_decoder_folder_facts facts;
    size_t parameters, active;
    double share; /* active of all */
    bool measured;
    fm_compute_report compute;
} opened;

static fm_status open_folder(const char *dir, bool speed, opened *o)
{
    fm_status st = fm_decoder_folder_open(dir, &o->folder);

    if (st)
        return st;
    o->c = fm_decoder_folder_config(o->folder);
    fm_decoder_folder_describe(o->folder, &o->facts);
    o->parameters = fm_decoder_folder_layout(o->folder)->parameters;
    o->active = fm_decoder_active_parameters(o->c, fm_decoder_folder_layout(o->folder));
    o->share = (double)o->active / (double)o->parameters;
    o->measured = speed;
    return speed ? fm_compute_measure(&o->compute) : FM_OK;
}

static const char *router_name(const fm_decoder_config *c)
{
    switch (c->router) {
    case FM_ROUTER_SOFTMAX:
        return "softmax";
    case FM_ROUTER_SOFTMAX_TOP_K:
        return "softmax of the chosen";
    default:
        return "sigmoid";
    }
}

/* "1.5 GB": powers of 1000, as disks are sold. */
static void print_bytes(uint64_t bytes)
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
    double v = (double)bytes;
    size_t unit = 0;

    for (; v >= 1000.0 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        v /= 1000.0;
    printf("%.*f %s", unit ? 1 : 0, v, units[unit]);
}

static void print_attention(const fm_decoder_config *c)
{
    if (c->attention == FM_ATTENTION_GROUPED)
        printf("attention   grouped: %zu heads of %zu, %zu of keys and values", c->heads,
               c->query_head, c->key_heads);
    else
        printf(
            "attention   latent: %zu heads of %zu (%zu rotary) and %zu, keys and values from %zu",
            c->heads, c->query_head, c->rotary, c->value_head, c->key_value_rank);
    if (c->query_rank)
        printf(", queries from %zu", c->query_rank);
    if (c->query_key_norm)
        printf(", norms of queries and keys");
    if (c->clip_query_key_value > 0.0)
        printf(", clipped at %g", c->clip_query_key_value);
    printf("\nposition    rotary, theta %g", c->rope.theta);
    if (c->rope.factor > 1.0)
        printf(", YaRN %g times %g", c->rope.factor, c->rope.original_context);
    putchar('\n');
}

static void print_routing(const fm_decoder_config *c)
{
    if (c->dense_layers == c->layers) {
        printf("routing     none: every layer is dense\n");
        return;
    }
    printf("routing     %zu of %zu experts by %s", c->top_k, c->experts, router_name(c));
    if (c->correction_bias)
        printf(" with a correction bias");
    if (c->groups != FM_GROUPS_NONE)
        printf(", from %zu of %zu groups", c->groups_chosen, c->group_count);
    if (c->normalise_weights)
        printf(", normalised");
    if (c->routed_scale != 1.0)
        printf(", times %g", c->routed_scale);
    printf("\nexperts     %zu wide", c->expert_hidden);
    if (c->shared_hidden)
        printf(", shared ones %zu", c->shared_hidden);
    putchar('\n');
}

static void print_float32(const opened *o)
{
    print_bytes((uint64_t)o->parameters * sizeof(float));
    printf(" of float32\n");
}

static void print_text(const opened *o)
{
    const fm_decoder_config *c = o->c;

    printf("class       %s\n", fm_decoder_class_name(c->family));
    printf("parameters  %zu, of which one token touches %zu (%.1f %%)\n", o->parameters, o->active,
           100.0 * o->share);
    printf("on disk     ");
    print_bytes(o->facts.bytes);
    printf(" of %s in %zu file%s, %zu tensors\nin memory   ", o->facts.dtype, o->facts.shards,
           o->facts.shards == 1 ? "" : "s", o->facts.tensors);
    if (o->edge)
        printf("what is used of it\n");
    else
        print_float32(o);
    if (o->facts.passed_tensors) {
        printf("passed over %zu tensors of ", o->facts.passed_tensors);
        print_bytes(o->facts.passed_bytes);
        printf(" that are not of this computation\n");
    }
    printf("context     %zu tokens\nvocabulary  %zu tokens%s; %s tokenizer.json\n", c->context,
           c->vocabulary, c->tied ? ", head tied" : "", o->facts.tokenizer ? "with" : "no");
    printf("layers      %zu of width %zu", c->layers, c->width);
    if (c->dense_layers)
        printf(", the first %zu dense and %zu wide", c->dense_layers, c->dense_hidden);
    putchar('\n');
    print_attention(c);
    print_routing(c);
    if (o->measured)
        fm_inspect_print_compute(&o->compute);
}

static json_t *attention_json(const fm_decoder_config *c)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "kind",
                     c->attention == FM_ATTENTION_LATENT ? "latent" : "grouped", "heads",
                     (json_int_t)c->heads, "key_heads", (json_int_t)c->key_heads, "query_head",
                     (json_int_t)c->query_head, "value_head", (json_int_t)c->value_head, "rotary",
                     (json_int_t)c->rotary, "query_rank", (json_int_t)c->query_rank,
                     "key_value_rank", (json_int_t)c->key_value_rank, "scale", c->attention_scale,
                     "yarn_factor", c->rope.factor);
}

static json_t *routing_json(const fm_decoder_config *c)
{
    if (c->dense_layers == c->layers)
        return json_null();
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f}", "router", router_name(c),
                     "correction_bias", c->correction_bias, "experts", (json_int_t)c->experts,
                     "top_k", (json_int_t)c->top_k, "expert_hidden", (json_int_t)c->expert_hidden,
                     "shared_hidden", (json_int_t)c->shared_hidden, "groups",
                     (json_int_t)c->group_count, "groups_chosen", (json_int_t)c->groups_chosen,
                     "normalised", c->normalise_weights, "scale", c->routed_scale);
}

static json_t *sizes_json(const opened *o)
{
    return json_pack("{s:I, s:I, s:f, s:I, s:I, s:s, s:I, s:I, s:I, s:b}", "parameters",
                     (json_int_t)o->parameters, "active_parameters", (json_int_t)o->active,
                     "active_share", o->share, "bytes_on_disk", (json_int_t)o->facts.bytes,
                     "bytes_in_memory",
                     (json_int_t)(o->edge ? o->facts.bytes : o->parameters * sizeof(float)),
                     "dtype", o->facts.dtype, "shards", (json_int_t)o->facts.shards, "tensors",
                     (json_int_t)o->facts.tensors, "passed_tensors",
                     (json_int_t)o->facts.passed_tensors, "tokenizer", o->facts.tokenizer);
}

static fm_status print_json(const opened *o)
{
    const fm_decoder_config *c = o->c;
    json_t *root =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "class",
                  fm_decoder_class_name(c->family), "context", (json_int_t)c->context, "vocabulary",
                  (json_int_t)c->vocabulary, "layers", (json_int_t)c->layers, "dense_layers",
                  (json_int_t)c->dense_layers, "width", (json_int_t)c->width, "tied", c->tied,
                  "attention", attention_json(c), "routing", routing_json(c));
    json_t *sizes = sizes_json(o);
    fm_status st;

    if (!root || !sizes || json_object_update(root, sizes) ||
        (o->measured && json_object_set_new(root, "compute", fm_inspect_compute_json(&o->compute))))
        st = fm_fail(FM_ENOMEM, "out of memory");
    else
        st = fm_json_print(root);
    json_decref(sizes);
    json_decref(root);
    return st;
}

static fm_status print(const opened *o, bool json)
{
    if (json)
        return print_json(o);
    print_text(o);
    return FM_OK;
}

fm_status fm_inspect_folder(const char *dir, bool json, bool speed)
{
    opened o = { 0 };
    fm_status st = open_folder(dir, speed, &o);

    if (!st)
        st = print(&o, json);
    fm_decoder_folder_free(&o.folder);
    return st;
}

bool fm_inspect_is_int8(const char *path)
{
    fm_safetensors *file = NULL;
    const char *kind = NULL;
    bool is;

    if (fm_safetensors_open(path, &file) == FM_OK)
        kind = fm_safetensors_meta_get(file, FM_META_KIND);
    is = kind && strcmp(kind, FM_EDGE_KIND) == 0;
    fm_safetensors_free(&file);
    return is;
}

static fm_status open_int8(const char *path, bool speed, opened *o)
{
    fm_safetensors *file = NULL;
    fm_decoder_layout layout = { 0 };
    fm_status st;

    if ((st = fm_edge_model_open(path, &o->edge)) || (st = fm_safetensors_open(path, &file)))
        return st;
    o->c = fm_edge_model_config(o->edge);
    o->facts = (fm_decoder_folder_facts){ .bytes = fm_safetensors_bytes(file),
                                          .shards = 1,
                                          .tensors = fm_safetensors_count(file),
                                          .dtype = "I8 and F32",
                                          .tokenizer = fm_edge_model_tokenizer(o->edge) != NULL };
    fm_safetensors_free(&file);
    if ((st = fm_decoder_layout_make(o->c, &layout)))
        return st;
    o->parameters = layout.parameters;
    o->active = fm_decoder_active_parameters(o->c, &layout);
    o->share = (double)o->active / (double)o->parameters;
    fm_decoder_layout_free(&layout);
    o->measured = speed;
    return speed ? fm_compute_measure(&o->compute) : FM_OK;
}

fm_status fm_inspect_int8(const char *path, bool json, bool speed)
{
    opened o = { 0 };
    fm_status st = open_int8(path, speed, &o);

    if (!st)
        st = print(&o, json);
    fm_edge_model_free(&o.edge);
    return st;
}
