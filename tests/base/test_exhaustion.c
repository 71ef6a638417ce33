/*
 * Each operation is run with its first allocation failing, then its second, and so on until it
 * succeeds. Every failure must be a status, with outputs untouched; the sanitizers see leaks.
 * The linker's --wrap sends the allocations of the library (and jansson's) through here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "capture.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/base/yaml.h"
#include "suites.h"

static bool g_armed;
static size_t g_countdown; /* allocations that still succeed */
static bool g_failed;

static bool fails(void)
{
    if (!g_armed)
        return false;
    if (g_countdown > 0) {
        g_countdown--;
        return false;
    }
    g_failed = true;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **out, const char *fmt, ...) FM_PRINTF(2, 3);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : __real_aligned_alloc(align, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_asprintf(char **out, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (fails())
        return -1;
    va_start(ap, fmt);
    n = vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}

/* Run until it succeeds; `any`: jansson cannot always say why it failed. */
static void exhaust(fm_status (*run)(void), bool any)
{
    size_t n;
    fm_status st = FM_ENOMEM;

    for (n = 0; st != FM_OK && n < 1000; n++) {
        g_countdown = n;
        g_failed = false;
        g_armed = true;
        st = run();
        g_armed = false;
        CU_ASSERT((st == FM_OK) == !g_failed);
        if (st != FM_OK && st != FM_ENOMEM && !any)
            printf("\n    allocation %zu: %s: %s\n", n, fm_status_name(st), fm_error_text());
        CU_ASSERT(st == FM_OK || st == FM_ENOMEM || any);
    }
    CU_ASSERT_EQUAL(st, FM_OK);
    CU_ASSERT(n > 1);
}

static fm_status run_buffer(void)
{
    fm_buf b = { 0 };
    fm_status st = fm_buf_append(&b, "abc", 3);

    for (int i = 0; i < 3 && st == FM_OK; i++)
        st = fm_buf_printf(&b, "%300d", i);
    if (st != FM_OK && b.data) /* unchanged by the failure, and still text */
        CU_ASSERT_EQUAL(strlen((char *)b.data), b.len);
    fm_buf_fini(&b);
    return st;
}

static fm_status run_arena(void)
{
    fm_arena *a = NULL;
    fm_status st = fm_arena_new(1000, &a);

    CU_ASSERT((st == FM_OK) == (a != NULL));
    fm_arena_free(&a);
    return st;
}

static fm_status run_texts(void)
{
    void *p = NULL;
    char *s = NULL, *joined = NULL, *dir = NULL;
    fm_status st = fm_alloc(3, 7, &p);

    if (st == FM_OK)
        st = fm_strdup("x", &s);
    if (st == FM_OK)
        st = fm_path_join("a", "b", &joined);
    if (st == FM_OK)
        st = fm_path_dir("a/b", &dir);
    free(p);
    free(s);
    free(joined);
    free(dir);
    return st;
}

static char g_path[300];

static fm_status run_files(void)
{
    fm_buf b = { 0 };
    fm_status st = fm_file_replace(g_path, "text", 4, 0600);

    if (st == FM_OK)
        st = fm_file_read(g_path, 100, &b);
    fm_buf_fini(&b);
    return st;
}

static fm_status run_yaml(void)
{
    static const char text[] = "a: 1\nl: [1, 2, 3, 4, 5, 6]\nm: {x: y, z: {q: 1}}\n";
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_parse("t", text, sizeof text - 1, &doc);

    CU_ASSERT((st == FM_OK) == (doc != NULL));
    fm_yaml_free(&doc);
    return st;
}

static fm_status run_json(void)
{
    json_t *v = json_pack("{s:[i,s]}", "key", 1, "text");
    json_t *back = NULL;
    fm_status st = v ? fm_json_write(g_path, v, 0644) : FM_ENOMEM;

    if (st == FM_OK)
        st = fm_json_read(g_path, &back);
    CU_ASSERT((st == FM_OK) == (back != NULL));
    json_decref(v);
    json_decref(back);
    return st;
}

static fm_status run_safetensors(void)
{
    static const uint8_t data[16] = { 1 };
    const fm_tensor_view t[] = { { "a", "F32", 2, { 1, 2 }, data, 8 },
                                 { "b", "F32", 1, { 2 }, data + 8, 8 } };
    const fm_safetensors_meta meta[] = { { "k", "v" }, { "l", "w" } };
    float flat[4] = { 0.0f };
    fm_buf b = { 0 }, c = { 0 };
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_encode(t, 2, meta, 2, &b);

    CU_ASSERT(st == FM_OK || b.len == 0);
    if (st == FM_OK)
        st = fm_safetensors_parse("m", b.data, b.len, &s);
    if (st == FM_OK)
        st = fm_safetensors_encode_flat(s, flat, 4, meta, 2, &c);
    fm_safetensors_free(&s);
    fm_buf_fini(&b);
    fm_buf_fini(&c);
    return st;
}

static fm_status run_cli_list(void)
{
    fm_cli_list list = { 0 };
    const fm_cli_option o = {
        .name = "x", .kind = FM_CLI_LIST, .out = &list, .value = "X", .help = "h"
    };
    const fm_cli_spec s = { .program = "p", .summary = "s", .options = &o, .option_count = 1 };
    char words[3][8] = { "p", "--x=1", "--x=2" };
    char *argv[] = { words[0], words[1], words[2], NULL };
    fm_cli_result r;

    capture_begin(stderr);
    r = fm_cli_parse(&s, 3, argv, NULL);
    (void)capture_end(stderr);
    CU_ASSERT_EQUAL(list.count, r == FM_CLI_RUN ? 2 : 0);
    free(list.items);
    return r == FM_CLI_RUN ? FM_OK : FM_ENOMEM;
}

static void with_tmpdir(void)
{
    char dir[256];

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(g_path, sizeof g_path, "%s/f", dir);
}

static void buffers_and_arenas_survive_it(void)
{
    exhaust(run_buffer, false);
    exhaust(run_arena, false);
    exhaust(run_texts, false);
}

static void files_survive_it(void)
{
    with_tmpdir();
    exhaust(run_files, false);
}

static void yaml_survives_it(void)
{
    exhaust(run_yaml, false);
}

static void json_survives_it(void)
{
    with_tmpdir();
    json_set_alloc_funcs(__wrap_malloc, free);
    exhaust(run_json, true);
    json_set_alloc_funcs(malloc, free);
}

static void safetensors_survives_it(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    exhaust(run_safetensors, true);
    json_set_alloc_funcs(malloc, free);
}

static void command_lines_survive_it(void)
{
    exhaust(run_cli_list, false);
}

static const fm_test tests[] = {
    { "buffers and arenas survive it", buffers_and_arenas_survive_it },
    { "files survive it", files_survive_it },
    { "YAML survives it", yaml_survives_it },
    { "JSON survives it", json_survives_it },
    { "safetensors survives it", safetensors_survives_it },
    { "command lines survive it", command_lines_survive_it },
};
const fm_test_suite suite_exhaustion = { "base.exhaustion", tests, FM_TEST_COUNT(tests) };
