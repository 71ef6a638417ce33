/* Marks in weights: what they survive, and that they accuse nobody who had no copy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/provenance/card.h"
#include "fedmoe/provenance/fingerprint.h"
#include "world.h"

#define ROWS 96
#define COLUMNS 75 /* no multiple of 8 */
#define N ((size_t)ROWS * COLUMNS)
#define LEVEL 1e-6

static const char *const NAMES[] = { "northgate", "lakeside", "hillcrest", "riverside" };

typedef struct {
    char root[PATH_CAP], key_path[PATH_CAP], original[PATH_CAP], marked[PATH_CAP], leaked[PATH_CAP];
    fm_fingerprint_key *key;
    fm_rng_seed seed;
    fm_rng rng;
} desk;

static void write_f32(const char *path, const float *w, size_t rows, size_t columns)
{
    const fm_tensor_view v = { .name = "layer.weight",
                               .dtype = "F32",
                               .dims = 2,
                               .shape = { rows, columns },
                               .data = (const uint8_t *)w,
                               .bytes = rows * columns * sizeof *w };

    need(fm_safetensors_replace(path, 0600, &v, 1, NULL, 0) == FM_OK, "write");
}

static void read_f32(const char *path, float w[N])
{
    fm_safetensors *s = NULL;

    need(fm_safetensors_load(path, 1 << 20, &s) == FM_OK &&
             fm_safetensors_flat_read(s, w, N) == FM_OK,
         "read");
    fm_safetensors_free(&s);
}

static void desk_make(desk *d)
{
    float w[N];

    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->root, sizeof d->root - 64);
    make_path(d->key_path, d->root, "key");
    make_path(d->original, d->root, "original");
    make_path(d->marked, d->root, "marked");
    make_path(d->leaked, d->root, "leaked");
    d->rng = fm_rng_public(&d->seed, 7);
    for (size_t i = 0; i < N; i++)
        w[i] = (float)((1.0 + (double)(i / COLUMNS)) * 0.01 * fm_rng_normal(&d->rng));
    write_f32(d->original, w, ROWS, COLUMNS);
    need(fm_fingerprint_key_create(d->key_path) == FM_OK &&
             fm_fingerprint_key_load(d->key_path, &d->key) == FM_OK,
         "key");
}

static void desk_end(desk *d)
{
    fm_fingerprint_key_free(&d->key);
}

static void mark(const desk *d, const char *name, const char *output)
{
    fm_fingerprint_facts f = { 0 };

    (void)remove(output);
    need(fm_fingerprint_mark(d->key, name, FM_FINGERPRINT_STRENGTH, d->original, output, &f) ==
             FM_OK,
         "mark");
    CU_ASSERT_EQUAL(f.tensors, 1);
    CU_ASSERT_EQUAL(f.values, N);
}

/** A bit for each of NAMES that is named. @param what  printed with each z; NULL: nothing is. */
static unsigned named_after(const desk *d, const char *leaked, const char *what)
{
    fm_fingerprint_match m[4];
    fm_fingerprint_facts f;
    unsigned who = 0;

    CU_ASSERT_EQUAL_FATAL(fm_fingerprint_identify(d->key, NAMES, 4, FM_FINGERPRINT_STRENGTH,
                                                  d->original, leaked, m, &f),
                          FM_OK);
    for (unsigned i = 0; i < 4; i++)
        who |= m[i].p <= LEVEL ? 1u << i : 0u;
    if (what)
        printf("\n    %zu weights, %s: z %.1f %.1f %.1f %.1f", f.values, what, m[0].z, m[1].z,
               m[2].z, m[3].z);
    return who;
}

static unsigned named(const desk *d, const char *leaked)
{
    return named_after(d, leaked, NULL);
}

static float row_size(const float *row)
{
    double s = 0;

    for (size_t c = 0; c < COLUMNS; c++)
        s += (double)row[c] * row[c];
    return (float)sqrt(s / COLUMNS);
}

static void a_copy_names_its_recipient(void)
{
    desk d;

    desk_make(&d);
    for (unsigned i = 0; i < 4; i++) {
        mark(&d, NAMES[i], d.marked);
        CU_ASSERT_EQUAL(named(&d, d.marked), 1u << i);
    }
    CU_ASSERT_EQUAL(named(&d, d.original), 0);
    desk_end(&d);
}

static void the_mark_is_as_small_as_it_says(void)
{
    float a[N], b[N];
    desk d;

    desk_make(&d);
    mark(&d, NAMES[0], d.marked);
    read_f32(d.original, a);
    read_f32(d.marked, b);
    for (size_t r = 0; r < ROWS; r++) {
        const float size = row_size(a + r * COLUMNS);

        for (size_t c = 0; c < COLUMNS; c++) {
            const float by = fabsf(b[r * COLUMNS + c] - a[r * COLUMNS + c]) / size;

            CU_ASSERT(by > 0.0099f && by < 0.0101f);
        }
    }
    desk_end(&d);
}

/** What somebody does to the leaked copy. */
typedef void change(desk *d, float w[N]);

static void prune(desk *d, float w[N])
{
    (void)d;
    for (size_t r = 0; r < ROWS; r++) {
        const float size = row_size(w + r * COLUMNS);

        for (size_t c = 0; c < COLUMNS; c++) /* a fifth of normal values */
            if (fabsf(w[r * COLUMNS + c]) < 0.2533f * size)
                w[r * COLUMNS + c] = 0.0f;
    }
}

static void add_noise(desk *d, float w[N], double strength)
{
    for (size_t r = 0; r < ROWS; r++) {
        const double size = row_size(w + r * COLUMNS);

        for (size_t c = 0; c < COLUMNS; c++)
            w[r * COLUMNS + c] += (float)(strength * size * fm_rng_normal(&d->rng));
    }
}

static void noise_as_large(desk *d, float w[N])
{
    add_noise(d, w, FM_FINGERPRINT_STRENGTH);
}

static void noise_five_times_as_large(desk *d, float w[N])
{
    add_noise(d, w, 5 * FM_FINGERPRINT_STRENGTH);
}

static void a_hundredth_more(desk *d, float w[N])
{
    (void)d;
    for (size_t i = 0; i < N; i++)
        w[i] *= 1.01f;
}

static void some_are_no_numbers(desk *d, float w[N])
{
    (void)d;
    for (size_t i = 0; i < N; i += 10)
        w[i] = NAN;
}

static void the_mark_survives_changes(void)
{
    static const struct {
        change *run;
        const char *name;
    } changes[] = { { prune, "20 % pruned" },
                    { noise_as_large, "noise as large" },
                    { noise_five_times_as_large, "noise five times as large" },
                    { a_hundredth_more, "all 1 % larger" },
                    { some_are_no_numbers, "each tenth is no number" } };
    float w[N];
    desk d;

    desk_make(&d);
    mark(&d, NAMES[2], d.marked);
    for (size_t i = 0; i < FM_TEST_COUNT(changes); i++) {
        read_f32(d.marked, w);
        changes[i].run(&d, w);
        write_f32(d.leaked, w, ROWS, COLUMNS);
        CU_ASSERT_EQUAL(named_after(&d, d.leaked, changes[i].name), 1u << 2);
    }
    desk_end(&d);
}

/* The layout of fedmoe-model quantize: I8 and a scale for each row. */
static void the_mark_survives_8_bits(void)
{
    float w[N], scale[ROWS];
    int8_t q[N];
    fm_tensor_view v[2] = { { .name = "layer.weight_scale",
                              .dtype = "F32",
                              .dims = 1,
                              .shape = { ROWS },
                              .data = (const uint8_t *)scale,
                              .bytes = sizeof scale },
                            { .name = "layer.weight",
                              .dtype = "I8",
                              .dims = 2,
                              .shape = { ROWS, COLUMNS },
                              .data = (const uint8_t *)q,
                              .bytes = sizeof q } };
    fm_fingerprint_facts f;
    desk d;

    desk_make(&d);
    mark(&d, NAMES[1], d.marked);
    read_f32(d.marked, w);
    for (size_t r = 0; r < ROWS; r++) {
        float most = 0.0f;

        for (size_t c = 0; c < COLUMNS; c++)
            most = fmaxf(most, fabsf(w[r * COLUMNS + c]));
        scale[r] = most / 127.0f;
        for (size_t c = 0; c < COLUMNS; c++)
            q[r * COLUMNS + c] = (int8_t)nearbyintf(w[r * COLUMNS + c] / scale[r]);
    }
    need(fm_safetensors_replace(d.leaked, 0600, v, 2, NULL, 0) == FM_OK, "int8");
    CU_ASSERT_EQUAL(named_after(&d, d.leaked, "8 bits"), 1u << 1);
    CU_ASSERT_EQUAL(fm_fingerprint_mark(d.key, NAMES[0], 0.01, d.leaked, d.marked, &f), FM_EEXIST);
    (void)remove(d.marked);
    CU_ASSERT_EQUAL(fm_fingerprint_mark(d.key, NAMES[0], 0.01, d.leaked, d.marked, &f), FM_EINVAL);
    CU_ASSERT(says("before"));
    desk_end(&d);
}

/* Mounts it: two average their copies. */
static void two_who_mix_theirs_are_both_named(void)
{
    float a[N], b[N];
    desk d;

    desk_make(&d);
    mark(&d, NAMES[0], d.marked);
    mark(&d, NAMES[3], d.leaked);
    read_f32(d.marked, a);
    read_f32(d.leaked, b);
    for (size_t i = 0; i < N; i++)
        a[i] = 0.5f * (a[i] + b[i]);
    write_f32(d.leaked, a, ROWS, COLUMNS);
    CU_ASSERT_EQUAL(named_after(&d, d.leaked, "two averaged"), 1u | 1u << 3);
    /* And the ill-natured half: each weight from either. */
    read_f32(d.marked, a);
    for (size_t i = 0; i < N; i++)
        a[i] = fm_rng_below(&d.rng, 2) ? a[i] : b[i];
    write_f32(d.leaked, a, ROWS, COLUMNS);
    CU_ASSERT_EQUAL(named_after(&d, d.leaked, "two mixed"), 1u | 1u << 3);
    desk_end(&d);
}

#define MANY 10000

static size_t count_below(const fm_fingerprint_match *m, double level)
{
    size_t n = 0;

    for (size_t i = 0; i < MANY; i++)
        n += m[i].z > 0.0 && exp(-0.5 * m[i].z * m[i].z) <= level; /* of the name alone */
    return n;
}

/* 10,000 names that had no copy, against a model that was trained on. With a key by chance the bound lets
   one name below 1e-6 in a hundred such runs (a normal z, in 1400); the key is fixed, so this run is one of the others. */
static void a_model_that_was_never_marked_accuses_nobody(void)
{
    static char names[MANY][8];
    static const char *list[MANY];
    static fm_fingerprint_match m[MANY];
    fm_fingerprint_facts f;
    float w[N];
    double sum = 0, squares = 0;
    desk d;

    desk_make(&d);
    fm_fingerprint_key_free(&d.key);
    need(replace_file(d.root, "key",
                      "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef\n", 65,
                      0600) == FM_OK &&
             fm_fingerprint_key_load(d.key_path, &d.key) == FM_OK,
         "key");
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        list[i] = names[i];
    }
    read_f32(d.original, w);
    add_noise(&d, w, 0.02);
    write_f32(d.leaked, w, 12, 600); /* not even the shape */
    CU_ASSERT_EQUAL(fm_fingerprint_identify(d.key, list, MANY, 0.01, d.original, d.leaked, m, &f),
                    FM_EINVAL);
    write_f32(d.leaked, w, ROWS, COLUMNS);
    CU_ASSERT_EQUAL_FATAL(
        fm_fingerprint_identify(d.key, list, MANY, 0.01, d.original, d.leaked, m, &f), FM_OK);
    for (size_t i = 0; i < MANY; i++) {
        sum += m[i].z;
        squares += m[i].z * m[i].z;
    }
    printf("\n    of %d names: %zu below 1e-6, %zu below 1e-2; z has mean %.3f, variance %.3f\n",
           MANY, count_below(m, 1e-6), count_below(m, 1e-2), sum / MANY, squares / MANY);
    CU_ASSERT_EQUAL(count_below(m, 1e-6), 0);
    CU_ASSERT(count_below(m, 1e-2) <= MANY / 100);
    /* z is a sum of independent signs: mean 0, variance 1, each within five of its own deviations. */
    CU_ASSERT(fabs(sum / MANY) < 5.0 / sqrt(MANY));
    CU_ASSERT(fabs(squares / MANY - 1.0) < 5.0 * sqrt(2.0 / MANY));
    desk_end(&d);
}

static void another_key_sees_nothing(void)
{
    char other[PATH_CAP];
    fm_fingerprint_key *mine;
    desk d;

    desk_make(&d);
    mark(&d, NAMES[0], d.marked);
    make_path(other, d.root, "other");
    mine = d.key;
    need(fm_fingerprint_key_create(other) == FM_OK &&
             fm_fingerprint_key_load(other, &d.key) == FM_OK,
         "key");
    CU_ASSERT_EQUAL(named(&d, d.marked), 0);
    fm_fingerprint_key_free(&mine);
    desk_end(&d);
}

/* A folder in bfloat16 with a file beside the weights. */
static void a_folder_is_marked_whole(void)
{
    static uint16_t half[N];
    char dir[PATH_CAP], path[PATH_CAP], copy[PATH_CAP];
    fm_fingerprint_facts f = { 0 };
    fm_tensor_view v = { .name = "layer.weight",
                         .dtype = "BF16",
                         .dims = 2,
                         .shape = { ROWS, COLUMNS },
                         .data = (const uint8_t *)half,
                         .bytes = sizeof half };
    float w[N];
    desk d;

    desk_make(&d);
    read_f32(d.original, w);
    for (size_t i = 0; i < N; i++) {
        uint32_t bits;

        memcpy(&bits, &w[i], sizeof bits);
        half[i] = (uint16_t)(bits >> 16);
    }
    make_path(dir, d.root, "folder");
    make_path(copy, d.root, "copy");
    need(fm_dir_make(dir, 0700) == FM_OK &&
             replace_file(dir, "config.json", "{}", 2, 0600) == FM_OK,
         "folder");
    make_path(path, dir, "model.safetensors");
    need(fm_safetensors_replace(path, 0600, &v, 1, NULL, 0) == FM_OK, "weights");
    CU_ASSERT_EQUAL_FATAL(fm_fingerprint_mark(d.key, NAMES[1], 0.01, dir, copy, &f), FM_OK);
    CU_ASSERT_EQUAL(f.values, N);
    CU_ASSERT_EQUAL(count_files(copy), 2);
    (void)memcpy(d.original, dir, sizeof dir);
    CU_ASSERT_EQUAL(named(&d, copy), 1u << 1);
    CU_ASSERT_EQUAL(fm_fingerprint_mark(d.key, NAMES[1], 0.01, dir, copy, &f), FM_EEXIST);
    desk_end(&d);
}

static void a_tensor_of_two_files_counts_once(void)
{
    char dir[PATH_CAP], path[PATH_CAP];
    fm_fingerprint_match once, twice;
    fm_fingerprint_facts f = { 0 };
    float w[N];
    desk d;

    desk_make(&d);
    mark(&d, NAMES[0], d.leaked);
    read_f32(d.original, w);
    make_path(dir, d.root, "two");
    need(fm_dir_make(dir, 0700) == FM_OK, "folder");
    make_path(path, dir, "a.safetensors");
    write_f32(path, w, ROWS, COLUMNS);
    make_path(path, dir, "b.safetensors");
    write_f32(path, w, ROWS, COLUMNS);
    CU_ASSERT_EQUAL_FATAL(fm_fingerprint_identify(d.key, NAMES, 1, FM_FINGERPRINT_STRENGTH,
                                                  d.original, d.leaked, &once, &f),
                          FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_fingerprint_identify(d.key, NAMES, 1, FM_FINGERPRINT_STRENGTH, dir,
                                                  d.leaked, &twice, &f),
                          FM_OK);
    CU_ASSERT_EQUAL(f.values, N);
    CU_ASSERT_EQUAL(twice.z, once.z);
    desk_end(&d);
}

static void keys_and_lists_are_files_for_their_owner(void)
{
    fm_fingerprint_names n = { 0 };
    char list[PATH_CAP];
    fm_fingerprint_key *k = NULL;
    struct stat info;
    desk d;

    desk_make(&d);
    CU_ASSERT_EQUAL(fm_fingerprint_key_create(d.key_path), FM_EEXIST);
    CU_ASSERT(stat(d.key_path, &info) == 0 && (info.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(fm_fingerprint_names_load(d.key_path, &n), FM_OK);
    CU_ASSERT_EQUAL(n.count, 0);
    fm_fingerprint_names_fini(&n);
    CU_ASSERT_EQUAL(fm_fingerprint_names_add(d.key_path, "northgate"), FM_OK);
    CU_ASSERT_EQUAL(fm_fingerprint_names_add(d.key_path, "St. Mary's"), FM_OK);
    CU_ASSERT_EQUAL(fm_fingerprint_names_add(d.key_path, "northgate"), FM_OK);
    CU_ASSERT_EQUAL(fm_fingerprint_names_add(d.key_path, "two\nlines"), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_fingerprint_names_load(d.key_path, &n), FM_OK);
    CU_ASSERT_EQUAL_FATAL(n.count, 2);
    CU_ASSERT_STRING_EQUAL(n.names[1], "St. Mary's");
    fm_fingerprint_names_fini(&n);
    make_path(list, d.root, "key.recipients");
    CU_ASSERT(stat(list, &info) == 0 && (info.st_mode & 0777) == 0600);
    need(replace_file(d.root, "key.recipients", "a\n\nb\n", 5, 0600) == FM_OK, "damage");
    CU_ASSERT_EQUAL(fm_fingerprint_names_load(d.key_path, &n), FM_EPARSE);
    CU_ASSERT(says(":2:"));
    need(replace_file(d.root, "key", "00ff\n", 5, 0600) == FM_OK, "damage");
    CU_ASSERT_EQUAL(fm_fingerprint_key_load(d.key_path, &k), FM_EPARSE);
    need(chmod(d.key_path, 0644) == 0, "mode");
    CU_ASSERT_EQUAL(fm_fingerprint_key_load(d.key_path, &k), FM_EPERM);
    CU_ASSERT(k == NULL);
    desk_end(&d);
}

/* Whoever was given a copy stays on the list, however many are marked at once. */
static void marks_at_once_lose_no_name(void)
{
    fm_fingerprint_names n = { 0 };
    desk d;

    desk_make(&d);
    for (int p = 0; p < 6; p++) {
        const pid_t child = fork();

        need(child >= 0, "fork");
        for (int i = 0; child == 0 && i < 12; i++) {
            char name[48];

            (void)snprintf(name, sizeof name, "hospital %d %d", p, i);
            if (fm_fingerprint_names_add(d.key_path, name) != FM_OK)
                _exit(1);
        }
        if (child == 0)
            _exit(0);
    }
    for (int p = 0; p < 6; p++) {
        int status = 1;

        CU_ASSERT(wait(&status) > 0 && status == 0);
    }
    CU_ASSERT_EQUAL(fm_fingerprint_names_load(d.key_path, &n), FM_OK);
    CU_ASSERT_EQUAL(n.count, 6 * 12);
    fm_fingerprint_names_fini(&n);
    desk_end(&d);
}

static const fm_test tests[] = {
    { "a copy names its recipient", a_copy_names_its_recipient },
    { "the mark is as small as it says", the_mark_is_as_small_as_it_says },
    { "the mark survives changes", the_mark_survives_changes },
    { "the mark survives 8 bits", the_mark_survives_8_bits },
    { "two who mix theirs are both named", two_who_mix_theirs_are_both_named },
    { "a model that was never marked accuses nobody",
      a_model_that_was_never_marked_accuses_nobody },
    { "another key sees nothing", another_key_sees_nothing },
    { "a folder is marked whole", a_folder_is_marked_whole },
    { "a tensor of two files counts once", a_tensor_of_two_files_counts_once },
    { "keys and lists are files for their owner", keys_and_lists_are_files_for_their_owner },
    { "marks at once lose no name", marks_at_once_lose_no_name },
};
const fm_test_suite suite_fingerprint = { "provenance.fingerprint", tests, FM_TEST_COUNT(tests) };
