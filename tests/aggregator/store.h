/* State and optimizer of a small model in a folder, and made-up rounds to finish. */
#ifndef FEDMOE_TESTS_AGGREGATOR_STORE_H
#define FEDMOE_TESTS_AGGREGATOR_STORE_H

#include "fedmoe/aggregator/state.h"
#include "yaml.h"

typedef struct {
    char dir[PATH_CAP - 64];
    fm_hash plan;
    fm_safetensors *like;
    fm_optimizer *o;
    fm_state *s;
    bool
        start; /* the first round is a statistics round; the model's last value is then the phase */
} store;

/** A fresh folder with a model; nothing is open. */
void store_make(store *t);
/** A new optimizer at the first weights, and the state brought to it. */
fm_status store_open(store *t);
void store_close(store *t);
void store_end(store *t);
/** The same gradient for the same number; the entry of a round that ended with these weights. */
void store_gradient(uint64_t number, float out[YAML_PARAMETERS]);
fm_transcript_entry store_entry(uint64_t round, const fm_optimizer *o);
/** The record of that round, as the checkpoint brings it along; of session number `session`. */
fm_buf store_record(const fm_transcript_entry *e, uint8_t session);
/** The roster of that session: any bytes. */
fm_status store_keep_roster(store *t, uint8_t session);
/** A number, a step with the gradient of fm_state_finished, and its end. */
fm_status store_finish_one(store *t, uint64_t *round);
/** The bytes of a file of the folder. */
fm_buf store_read(const store *t, const char *name);
void store_write(const store *t, const char *name, const void *data, size_t len);

#endif
