#include "fedmoe/proto/plan.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe.pb-c.h"
#include "scratch_internal.h"
#include "wire_internal.h"

typedef Fedmoe__V1__Plan wire_plan;

/* Text that packing only reads. */
static char *unconst(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* As get_training. */
static void put_training(const fm_plan *p, wire_plan *w)
{
    w->encoding = (uint32_t)p->encoding;
    w->schedule = (uint32_t)p->schedule;
    w->warmup = p->warmup;
    w->final_rate = p->final_rate;
    w->load_groups = p->load_groups;
    w->load_experts = p->load_experts;
    w->load_share = p->load_share;
    w->balance_rate = p->balance_rate;
    w->clip_quantile = p->clip_quantile;
    w->clip_rate = p->clip_rate;
    w->clip_share = p->clip_share;
    w->start_center = p->start_center;
    w->start_count = p->start_count;
    w->start_bias = p->start_bias;
    w->start_scale = p->start_scale;
    w->model_clip_norm = p->model_clip_norm;
    w->word_bits = p->word_bits;
    w->mask_density = p->mask_density;
    w->held_share = p->held_share;
    w->held_bound = p->held_bound;
    w->patience = p->patience;
    w->robust_groups = p->robust_groups;
    w->robust_quorum = p->robust_quorum;
    w->robust_mean = (uint32_t)p->robust_mean;
    w->robust_trim = p->robust_trim;
    w->local_steps = p->local_steps;
    w->local_rate = p->local_rate;
    w->proximal = p->proximal;
    w->correction = (uint32_t)p->correction;
    w->held_bins = p->held_bins;
}

fm_status fm_plan_encode(const fm_plan *p, fm_buf *out)
{
    wire_plan w = FEDMOE__V1__PLAN__INIT;
    fm_status st = fm_plan_check(p);

    if (st != FM_OK)
        return st;
    if (!out)
        return fm_fail(FM_EINVAL, "fm_plan_encode: no buffer");
    w.version = FM_PROTO_VERSION;
    w.federation = unconst(p->federation);
    w.purpose = unconst(p->purpose);
    w.privacy_unit = unconst(p->privacy_unit);
    w.epsilon = p->epsilon;
    w.delta = p->delta;
    w.clip_norm = p->clip_norm;
    w.sampling_rate = p->sampling_rate;
    w.noise_multiplier = p->noise_multiplier;
    w.rounds = p->rounds;
    w.max_units = p->max_units;
    w.expected_units = p->expected_units;
    w.min_cohort = p->min_cohort;
    w.quorum = p->quorum;
    w.colluders = p->colluders;
    w.max_nodes = p->max_nodes;
    w.parameters = p->parameters;
    w.task = (uint32_t)p->task;
    w.noise = (uint32_t)p->noise;
    w.max_unit_rows = p->max_unit_rows;
    w.frozen = p->frozen;
    if (p->query_text)
        w.query_text = p->query_text;
    if (p->model_text)
        w.model_text = p->model_text;
    w.schema_text = p->schema_text;
    w.initial_model.data = (uint8_t *)(uintptr_t)p->initial_model.bytes;
    w.initial_model.len = FM_HASH_BYTES;
    w.optimizer = (uint32_t)p->optimizer;
    w.learning_rate = p->learning_rate;
    w.momentum = p->momentum;
    w.beta2 = p->beta2;
    w.averaging = p->averaging;
    w.adam_epsilon = p->adam_epsilon;
    put_training(p, &w);
    w.run.data = (uint8_t *)(uintptr_t)p->run;
    w.run.len = FM_SESSION_BYTES;
    if (protobuf_c_message_get_packed_size(&w.base) > FM_MAX_PLAN_BYTES)
        return fm_fail(FM_EINVAL, "plan: longer than %u bytes", FM_MAX_PLAN_BYTES);
    return fm_wire_pack(&w.base, out);
}

static fm_status get_text(const char *field, const char *in, char *out, size_t cap)
{
    size_t len = strlen(in);

    if (len >= cap)
        return fm_fail(FM_EPROTO, "plan: %s has %zu bytes, at most %zu", field, len, cap - 1);
    memcpy(out, in, len + 1);
    return FM_OK;
}

/* Absent and empty are the same on the wire. */
static fm_status get_long_text(const char *in, char **out)
{
    return *in ? fm_strdup(in, out) : FM_OK;
}

static void get_training(const wire_plan *w, fm_plan *p)
{
    p->encoding = w->encoding <= 2 ? (fm_encoding)w->encoding : (fm_encoding)0;
    p->schedule = w->schedule <= 3 ? (fm_schedule)w->schedule : (fm_schedule)0;
    p->warmup = w->warmup;
    p->final_rate = w->final_rate;
    p->load_groups = w->load_groups;
    p->load_experts = w->load_experts;
    p->load_share = w->load_share;
    p->balance_rate = w->balance_rate;
    p->clip_quantile = w->clip_quantile;
    p->clip_rate = w->clip_rate;
    p->clip_share = w->clip_share;
    p->start_center = w->start_center;
    p->start_count = w->start_count;
    p->start_bias = w->start_bias;
    p->start_scale = w->start_scale;
    p->model_clip_norm = w->model_clip_norm;
    p->word_bits = w->word_bits;
    p->mask_density = w->mask_density;
    p->held_share = w->held_share;
    p->held_bound = w->held_bound;
    p->patience = w->patience;
    p->robust_groups = w->robust_groups;
    p->robust_quorum = w->robust_quorum;
    p->robust_mean = w->robust_mean <= 3 ? (fm_robust_mean)w->robust_mean : (fm_robust_mean)4;
    p->robust_trim = w->robust_trim;
    p->local_steps = w->local_steps;
    p->local_rate = w->local_rate;
    p->proximal = w->proximal;
    p->correction = w->correction <= 1 ? (fm_correction)w->correction : (fm_correction)2;
    p->held_bins = w->held_bins;
}

/* Everything but the long texts. */
static fm_status get_fields(const wire_plan *w, fm_plan *p)
{
    fm_status st;

    if (w->version != FM_PROTO_VERSION)
        return fm_fail(FM_EPROTO, "plan: version is %u, must be %u", w->version, FM_PROTO_VERSION);
    if (w->initial_model.len != FM_HASH_BYTES)
        return fm_fail(FM_EPROTO, "plan: initial_model has %zu bytes, must be %d",
                       w->initial_model.len, FM_HASH_BYTES);
    if (w->run.len != FM_SESSION_BYTES)
        return fm_fail(FM_EPROTO, "plan: run has %zu bytes, must be %u", w->run.len,
                       FM_SESSION_BYTES);
    if ((st = get_text("federation", w->federation, p->federation, sizeof p->federation)) !=
            FM_OK ||
        (st = get_text("purpose", w->purpose, p->purpose, sizeof p->purpose)) != FM_OK ||
        (st = get_text("privacy_unit", w->privacy_unit, p->privacy_unit, sizeof p->privacy_unit)) !=
            FM_OK)
        return st;
    memcpy(p->initial_model.bytes, w->initial_model.data, FM_HASH_BYTES);
    memcpy(p->run, w->run.data, FM_SESSION_BYTES);
    p->epsilon = w->epsilon;
    p->delta = w->delta;
    p->clip_norm = w->clip_norm;
    p->sampling_rate = w->sampling_rate;
    p->noise_multiplier = w->noise_multiplier;
    p->rounds = w->rounds;
    p->max_units = w->max_units;
    p->expected_units = w->expected_units;
    p->min_cohort = w->min_cohort;
    p->quorum = w->quorum;
    p->colluders = w->colluders;
    p->max_nodes = w->max_nodes;
    p->parameters = w->parameters;
    p->optimizer = w->optimizer <= 4 ? (fm_optimizer_kind)w->optimizer : (fm_optimizer_kind)0;
    p->task = w->task <= 3 ? (fm_task)w->task : (fm_task)0;
    p->noise = w->noise <= 2 ? (fm_noise_mode)w->noise : (fm_noise_mode)0;
    p->max_unit_rows = w->max_unit_rows;
    p->frozen = w->frozen;
    p->learning_rate = w->learning_rate;
    p->momentum = w->momentum;
    p->beta2 = w->beta2;
    p->averaging = w->averaging;
    p->adam_epsilon = w->adam_epsilon;
    get_training(w, p);
    return FM_OK;
}

static fm_status get_plan(const wire_plan *w, fm_plan *p)
{
    fm_status st;

    if ((st = get_fields(w, p)) != FM_OK ||
        (st = get_long_text(w->model_text, &p->model_text)) != FM_OK ||
        (st = get_long_text(w->query_text, &p->query_text)) != FM_OK ||
        (st = get_long_text(w->schema_text, &p->schema_text)) != FM_OK)
        return st;
    return fm_plan_check(p) == FM_OK ? FM_OK : fm_fail(FM_EPROTO, "%s", fm_error_text());
}

fm_status fm_plan_decode(const uint8_t *data, size_t len, fm_plan *out)
{
    fm_status st = FM_EPROTO;
    fm_scratch scratch;
    fm_plan p = { .epsilon = 0 };
    const wire_plan *w;

    if (!data || !out)
        return fm_fail(FM_EINVAL, "fm_plan_decode: no data or no place for the plan");
    if (len < 1 || len > FM_MAX_PLAN_BYTES)
        return fm_fail(FM_EPROTO, "plan of %zu bytes, must be 1 to %u", len, FM_MAX_PLAN_BYTES);
    fm_scratch_init(&scratch, fm_scratch_ceiling(len));
    ProtobufCAllocator a = fm_scratch_allocator(&scratch);
    if (!(w = fedmoe__v1__plan__unpack(&a, len, data)))
        st = fm_fail(scratch.out_of_memory ? FM_ENOMEM : FM_EPROTO,
                     "plan of %zu bytes: not a protobuf Plan", len);
    else if (fm_wire_has_unknown(&w->base))
        st = fm_fail(FM_EPROTO, "plan: a field that is not known here");
    else if (!fm_wire_is_canonical(&w->base, data, len))
        st = fm_fail(FM_EPROTO, "plan: not in canonical encoding");
    else
        st = get_plan(w, &p);
    if (st == FM_OK)
        *out = p;
    else
        fm_plan_fini(&p);
    fm_scratch_fini(&scratch);
    return st;
}

void fm_plan_fini(fm_plan *p)
{
    if (!p)
        return;
    free(p->model_text);
    free(p->schema_text);
    free(p->query_text);
    p->query_text = NULL;
    p->model_text = NULL;
    p->schema_text = NULL;
}

fm_hash fm_plan_hash(const void *bytes, size_t len)
{
    return fm_hash_of("fedmoe plan v1", bytes, len);
}

#define WINDOWS_BYTES (16u << 20)
#define WINDOW_MIN_BYTES (64u << 10)
#define WINDOW_MAX_BYTES (4u << 20)
#define PIECE_MAX_BYTES FM_MAX_PIECE_BYTES
#define PIECES_OF_WINDOW 4u

uint32_t fm_plan_window_bytes(const fm_plan *p)
{
    const uint32_t share = WINDOWS_BYTES / p->max_nodes;

    if (share < WINDOW_MIN_BYTES)
        return WINDOW_MIN_BYTES;
    return share > WINDOW_MAX_BYTES ? WINDOW_MAX_BYTES : share;
}

uint32_t fm_plan_piece_bytes(const fm_plan *p)
{
    const uint32_t piece = fm_plan_window_bytes(p) / PIECES_OF_WINDOW;

    return piece > PIECE_MAX_BYTES ? PIECE_MAX_BYTES : piece;
}
