#include "desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

#define NODES 4

bool says(const char *words)
{
    if (strstr(fm_error_text(), words))
        return true;
    printf("\n    not '%s' but: %s\n", words, fm_error_text());
    return false;
}

/* ---- pieces ---- */

static void add(pieces *p, fm_bundle_kind kind, const void *data, size_t len)
{
    piece *at = &p->pieces[p->count++];

    need(p->count <= MAX_SECTIONS, "pieces");
    at->kind = kind;
    fm_buf_init(&at->data, FM_MAX_MESSAGE_BYTES);
    need(fm_buf_append(&at->data, data, len) == FM_OK, "piece");
}

void pieces_copy(const pieces *from, pieces *to)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        add(to, from->pieces[i].kind, from->pieces[i].data.data, from->pieces[i].data.len);
}

void pieces_fini(pieces *p)
{
    while (p->count > 0)
        fm_buf_fini(&p->pieces[--p->count].data);
}

size_t piece_at(const pieces *p, fm_bundle_kind kind, size_t n)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->pieces[i].kind == kind && n-- == 0)
            return i;
    need(false, "no such piece");
    return 0;
}

void piece_remove(pieces *p, size_t at)
{
    fm_buf_fini(&p->pieces[at].data);
    memmove(&p->pieces[at], &p->pieces[at + 1], (--p->count - at) * sizeof p->pieces[0]);
}

void piece_swap(pieces *p, size_t a, size_t b)
{
    const piece t = p->pieces[a];

    p->pieces[a] = p->pieces[b];
    p->pieces[b] = t;
}

void piece_repeat(pieces *p, size_t at)
{
    const fm_buf *data = &p->pieces[at].data;

    add(p, p->pieces[at].kind, data->data, data->len);
    for (size_t i = p->count - 1; i > at + 1; i--)
        piece_swap(p, i, i - 1);
}

/* ---- what the coordinator gives away ---- */

static void put(fm_buf *b, const void *data, size_t len)
{
    need(fm_buf_append(b, data, len) == FM_OK, "keep");
}

static void keep_roster(void *ctx, const fm_msg_roster *r)
{
    desk *d = ctx;
    const fm_message m = { .type = FM_MSG_ROSTER, .roster = *r };

    fm_buf_clear(&d->roster);
    need(fm_message_encode(&m, &d->roster) == FM_OK, "roster");
    d->roster_new = true;
}

static void keep_update(void *ctx, uint64_t round, uint32_t index, fm_bytes masked)
{
    desk *d = ctx;

    if (round != d->round)
        d->f->wrong_s = d->shift_s;
    for (size_t i = 0; round != d->round && i < PEOPLE; i++) {
        fm_buf_clear(&d->updates[i]);
        fm_buf_clear(&d->seeds[i]);
    }
    d->round = round;
    put(&d->updates[index], masked.data, masked.len);
}

static void keep_release(void *ctx, uint32_t index, const fm_msg_release *r)
{
    fm_buf *to = &((desk *)ctx)->seeds[index];

    put(to, r->self_seed, FM_SEED_BYTES);
    for (uint32_t i = 0; i < r->lost_count; i++)
        put(to, r->pair_seeds[i], FM_SEED_BYTES);
    for (uint32_t i = 0; i < r->surplus_count; i++)
        put(to, r->surplus_seeds[i], FM_SEED_BYTES);
}

static void keep_finish(void *ctx, fm_bytes record)
{
    desk *d = ctx;

    if (d->roster_new)
        add(&d->all, FM_BUNDLE_ROSTER, d->roster.data, d->roster.len);
    d->roster_new = false;
    d->f->last_given += d->f->last_given == 1 ? d->skips : 0;
    add(&d->all, FM_BUNDLE_ENTRY, record.data, record.len);
    for (int seeds = 0; d->with_updates && seeds < 2; seeds++)
        for (size_t i = 0; i < PEOPLE; i++) {
            const fm_buf *b = seeds ? &d->seeds[i] : &d->updates[i];

            if (b->len > 0)
                add(&d->all, seeds ? FM_BUNDLE_SEEDS : FM_BUNDLE_UPDATE, b->data, b->len);
        }
}

/* ---- the run ---- */

static void put_front(desk *d)
{
    char path[PATH_CAP];
    fm_buf ca = { 0 };

    (void)snprintf(path, sizeof path, "%s/ca.crt", fed_ca());
    need(fm_file_read(path, 1 << 16, &ca) == FM_OK, "ca");
    add(&d->all, FM_BUNDLE_PLAN, d->f->plan_bytes.data, d->f->plan_bytes.len);
    add(&d->all, FM_BUNDLE_CA, ca.data, ca.len);
    add(&d->all, FM_BUNDLE_MODEL, d->f->optimizer->weights, PARAMETERS * sizeof(float));
    fm_buf_fini(&ca);
}

static void make_of(desk *d, const spec *s, uint32_t lost, bool with_updates, uint32_t skips,
                    int64_t shift_s)
{
    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->dir, sizeof d->dir);
    (void)snprintf(d->bundle, sizeof d->bundle, "%s/run.audit", d->dir);
    need((d->f = calloc(1, sizeof *d->f)) != NULL, "memory");
    d->with_updates = with_updates;
    d->skips = skips;
    d->shift_s = shift_s;
    d->keeper = (fed_keeper){ d, keep_roster, keep_update, keep_release, keep_finish };
    fed_make(d->f, s);
    d->f->keeper = &d->keeper;
    put_front(d);
    if (lost < s->max_nodes)
        d->f->nodes[lost].stop_at = FM_MSG_ROUND_START; /* its first update never comes */
    fed_join_all(d->f, s->max_nodes);
    fed_pump(d->f);
    if (lost < s->max_nodes) {
        fed_tick(d->f, PHASE_MS);
        d->f->nodes[lost].stop_at = 0;
        fed_clear_inbox(d->f, lost);
    }
    fed_pump(d->f);
    need(fed_phase(d->f) == FM_COORD_FINISHED && d->f->entry_count == s->rounds, "run");
    add(&d->all, FM_BUNDLE_SEAL, "", 0);
    forge_seal(&d->all); /* the honest aggregator's, too: its key and the same bytes */
}

static void make(desk *d, uint32_t rounds, uint32_t lost, bool with_updates, uint32_t skips,
                 int64_t shift_s)
{
    const spec s = {
        .max_nodes = NODES,
        .min_cohort = 2,
        .quorum = 3,
        .colluders = 1,
        .rounds = rounds,
        .word_bits = lost < NODES ? 16 : 32, /* both are replayed */
    };

    make_of(d, &s, lost, with_updates, skips, shift_s);
}

void desk_make_sparse(desk *d, uint32_t density)
{
    const spec s = { .max_nodes = PEOPLE,
                     .min_cohort = 21,
                     .quorum = 21,
                     .rounds = 1,
                     .max_units = 120,
                     .local_noise = true,
                     .mask_density = density };

    make_of(d, &s, PEOPLE - 1, true, 0, 0);
}

void desk_make(desk *d, uint32_t rounds, uint32_t lost, bool with_updates)
{
    make(d, rounds, lost, with_updates, 0, 0);
}

void desk_make_skipping(desk *d, uint32_t rounds, uint32_t skips)
{
    make(d, rounds, UINT32_MAX, false, skips, 0);
}

void desk_make_shifted(desk *d, int64_t shift_s)
{
    make(d, 1, UINT32_MAX, false, 0, shift_s);
}

void desk_end(desk *d)
{
    fed_end(d->f);
    free(d->f);
    pieces_fini(&d->all);
    fm_buf_fini(&d->roster);
    for (size_t i = 0; i < PEOPLE; i++) {
        fm_buf_fini(&d->updates[i]);
        fm_buf_fini(&d->seeds[i]);
    }
}

/* ---- checking ---- */

void pieces_encode(const pieces *p, fm_buf *out, fm_hash *before_last)
{
    static const char *const tags[] = { "",     "plan", "ca  ", "modl", "rost",
                                        "entr", "updt", "seed", "seal" };
    fm_hash mark = { { 0 } };

    put(out, "fedmoe audit bundle 1\n", 22);
    for (size_t i = 0; i < p->count; i++) {
        const piece *at = &p->pieces[i];
        uint8_t len[8];
        fm_hasher h;

        *before_last = mark;
        fm_put_u64le(len, at->data.len);
        fm_hasher_begin(&h, "fedmoe bundle v1");
        fm_hasher_add(&h, mark.bytes, FM_HASH_BYTES);
        fm_hasher_add(&h, tags[at->kind], 4);
        fm_hasher_add(&h, len, sizeof len);
        fm_hasher_add(&h, at->data.data, at->data.len);
        mark = fm_hasher_end(&h);
        put(out, tags[at->kind], 4);
        put(out, len, sizeof len);
        put(out, at->data.data, at->data.len);
        put(out, mark.bytes, FM_HASH_BYTES);
    }
}

void desk_store(const desk *d, const void *data, size_t len)
{
    FILE *f = fopen(d->bundle, "wb");

    need(f && fwrite(data, 1, len, f) == len && fclose(f) == 0, d->bundle);
}

void desk_write(const desk *d, const pieces *p)
{
    fm_buf bytes = { 0 };
    fm_hash unused;

    pieces_encode(p, &bytes, &unused);
    desk_store(d, bytes.data, bytes.len);
    fm_buf_fini(&bytes);
}

fm_status desk_verify(const desk *d, fm_verify_report *out)
{
    const fm_verify_options o = { .bundle = d->bundle, .trust = fed_ca() };
    fm_verify_report r = { 0 };
    fm_status st = fm_verify_bundle(&o, &r);

    if (st == FM_OK && out)
        *out = r;
    else
        fm_verify_report_fini(&r);
    return st;
}

bool desk_refuses(const desk *d, const pieces *p, const char *words)
{
    desk_write(d, p);
    if (desk_verify(d, NULL) == FM_OK) {
        printf("\n    accepted, not refused for '%s'\n", words);
        return false;
    }
    return says(words) && says(d->bundle);
}
