#include "store.h"

#include <string.h>

#include "federation.h"
#include "fedmoe/base/file.h"
#include "fedmoe/proto/entry.h"

void store_make(store *t)
{
    float unused[YAML_PARAMETERS];
    char path[PATH_CAP];

    memset(t, 0, sizeof *t);
    store_gradient(0, unused); /* its warning once, not in every child */
    fm_test_tmpdir(t->dir, sizeof t->dir);
    yaml_write_model(t->dir, "model.safetensors");
    yaml_path(path, t->dir, "model.safetensors");
    need(fm_safetensors_load(path, 1 << 20, &t->like) == FM_OK, "model");
    t->plan = fm_hash_of("a plan", "x", 1);
}

fm_status store_open(store *t)
{
    fm_plan plan = { .optimizer = FM_OPTIMIZER_ADAM,
                     .rounds = 1000,
                     .sampling_rate = 1.0,
                     .expected_units = 10.0,
                     .learning_rate = 0.05,
                     .momentum = 0.9,
                     .beta2 = 0.999,
                     .adam_epsilon = 1e-3,
                     .encoding = FM_ENCODING_EXACT,
                     .schedule = FM_SCHEDULE_CONSTANT,
                     .averaging = 0.999 };
    float first[YAML_PARAMETERS];

    need(fm_safetensors_flat_read(t->like, first, YAML_PARAMETERS) == FM_OK, "weights");
    if (t->start) {
        plan.clip_norm = 1.0;
        plan.start_center = 6;
        plan.start_count = 4;
        plan.start_bias = 2;
        plan.start_scale = 0.5;
        first[YAML_PARAMETERS - 1] = 0.0f;
    }
    need(fm_replay_optimizer_new(&plan, first, YAML_PARAMETERS, &t->o) == FM_OK, "optimizer");
    return fm_state_open(t->dir, &t->plan, t->like, t->o, &t->s);
}

void store_close(store *t)
{
    fm_state_close(&t->s);
    fm_optimizer_free(&t->o);
}

void store_end(store *t)
{
    store_close(t);
    fm_safetensors_free(&t->like);
}

void store_gradient(uint64_t number, float out[YAML_PARAMETERS])
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, number);

    for (size_t i = 0; i < YAML_PARAMETERS; i++)
        out[i] = (float)fm_rng_normal(&rng);
}

fm_transcript_entry store_entry(uint64_t round, const fm_optimizer *o)
{
    return (fm_transcript_entry){
        .round = round,
        .commit_digest = fm_hash_of("a commit", &round, sizeof round),
        .model_after = fm_model_digest(o->weights, o->n * sizeof *o->weights),
    };
}

fm_status store_finish_one(store *t, uint64_t *round)
{
    float gradient[YAML_PARAMETERS];
    fm_transcript_entry e;
    fm_buf record;
    fm_status st;

    if ((st = fm_state_next_round(t->s, round)) != FM_OK)
        return st;
    store_gradient(fm_state_finished(t->s), gradient);
    need(fm_optimizer_step(t->o, gradient, YAML_PARAMETERS) == FM_OK, "step");
    e = store_entry(*round, t->o);
    record = store_record(&e, 1);
    st = fm_state_finish_round(t->s, &e, (fm_bytes){ record.data, record.len }, t->o);
    fm_buf_fini(&record);
    return st;
}

fm_buf store_record(const fm_transcript_entry *e, uint8_t session)
{
    static const uint8_t some[4] = "some";
    static const uint32_t nodes[] = { 0, 2 };
    static const fm_hash updates[2];
    static const fm_bytes signatures[2] = { { some, 4 }, { some, 4 } };
    const fm_entry entry = {
        .round = e->round,
        .session = { { session } },
        .model_after = e->model_after,
        .participants = nodes,
        .participant_count = 2,
        .survivors = nodes,
        .updates = updates,
        .update_signatures = signatures,
        .commit_signatures = signatures,
        .survivor_count = 2,
        .certificate = { some, 4 },
    };
    fm_buf b = { 0 };

    need(fm_entry_encode_body(&entry, &b) == FM_OK &&
             fm_entry_encode_signature(signatures[0], &b) == FM_OK,
         "record");
    return b;
}

fm_status store_keep_roster(store *t, uint8_t session)
{
    const fm_session s = { { session } };

    return fm_state_keep_roster(t->s, &s, (fm_bytes){ s.bytes, sizeof s.bytes });
}

fm_buf store_read(const store *t, const char *name)
{
    char path[PATH_CAP];
    fm_buf b = { 0 };

    yaml_path(path, t->dir, name);
    need(fm_file_read(path, 1 << 24, &b) == FM_OK, path);
    return b;
}

void store_write(const store *t, const char *name, const void *data, size_t len)
{
    char path[PATH_CAP];

    yaml_path(path, t->dir, name);
    need(fm_file_replace(path, data, len, 0600) == FM_OK, path);
}
