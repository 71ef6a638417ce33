#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "cmd_generate.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "fedmoe/edge/utf8.h"

#define NS 1e9
#define MEGABYTE 1e6

typedef enum { STOP_LENGTH, STOP_END, STOP_CONTEXT, STOP_SIGNAL } stop;
static const char *const stops[] = { "length", "end", "context", "signal" };

/* What was written so far is recorded before a signal ends the program; the second one ends it at once. */
static volatile sig_atomic_t g_stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    g_stop = 1;
}

/* A reader who goes away is an error of write, so that the request is recorded, too. */
static void watch_signals(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction now, a = { .sa_handler = on_stop, .sa_flags = SA_RESTART | (int)SA_RESETHAND };

    g_stop = 0;
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < FM_CMD_COUNT(ends); i++)
        if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            (void)sigaction(ends[i], &a, NULL);
    a = (struct sigaction){ .sa_handler = SIG_IGN };
    sigemptyset(&a.sa_mask);
    (void)sigaction(SIGPIPE, &a, NULL);
}

typedef struct {
    const fm_cmd_generate_request *r;
    fm_cmd_generation *g;
    fm_edge_session *session;
    fm_sampler *sampler;
    fm_rng_seed state;
    fm_rng rng;
    float *logits; /* [vocabulary] */
    size_t context;
    fm_utf8 utf8;
    fm_buf piece, text; /* of one token; all, for --json */
    bool terminal;
    double read_s, write_s;
    stop why;
} run;

/* ---- what is written ---- */

/* A model's text is not the terminal's master: of control characters only line ends and tabs pass.
 */
static void tame(fm_buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        const uint8_t c = b->data[i];

        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            b->data[i] = '?';
        if (c == 0xc2 && i + 1 < b->len && b->data[i + 1] < 0xa0)
            b->data[i] = b->data[i + 1] = '?';
    }
}

static fm_status show(run *w)
{
    if (w->r->json)
        return fm_buf_append(&w->text, w->piece.data, w->piece.len);
    if (w->terminal)
        tame(&w->piece);
    if ((w->piece.len && fwrite(w->piece.data, 1, w->piece.len, stdout) != w->piece.len) ||
        fflush(stdout) != 0)
        return fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    return FM_OK;
}

/* One token's part of the text; without a tokenizer its number. */
static fm_status put(run *w, uint32_t token)
{
    fm_tokenizer_token about;
    fm_status st = FM_OK;

    fm_buf_clear(&w->piece);
    if (!w->g->tokenizer)
        st = fm_buf_printf(&w->piece, "%s%u", w->g->text.count > w->g->prompt ? "," : "",
                           (unsigned)token);
    else if (fm_tokenizer_get(w->g->tokenizer, token, &about) == FM_OK && !about.special)
        st = fm_utf8_take(&w->utf8, about.bytes, about.bytes_len, &w->piece);
    return st ? st : show(w);
}

static fm_status finish_text(run *w)
{
    fm_status st;

    fm_buf_clear(&w->piece);
    if ((st = fm_utf8_end(&w->utf8, &w->piece)) ||
        (!w->r->json && (st = fm_buf_append(&w->piece, "\n", 1))))
        return st;
    return show(w);
}

/* ---- reading and writing ---- */

static fm_status keep(fm_token_list *l, uint32_t token)
{
    uint32_t *fresh;
    const size_t cap = l->cap ? 2 * l->cap : 64;

    if (l->count == l->cap) {
        /* Not realloc: what is left behind would hold the text. */
        fm_token_list old = *l;
        fm_status st;

        if ((st = fm_alloc(cap, sizeof *fresh, (void **)&fresh)))
            return st;
        memcpy(fresh, l->ids, l->count * sizeof *fresh);
        *l = (fm_token_list){ .ids = fresh, .count = old.count, .cap = cap };
        fm_token_list_fini(&old);
    }
    l->ids[l->count++] = token;
    return FM_OK;
}

static fm_status read_prompt(run *w)
{
    const uint64_t from = fm_clock_now_ns();
    const fm_status st = fm_edge_read(w->session, w->g->text.ids, w->g->prompt, w->logits);

    w->read_s = (double)(fm_clock_now_ns() - from) / NS;
    return st;
}

static fm_status write_tokens(run *w)
{
    fm_cmd_generation *g = w->g;
    fm_status st;

    for (w->why = STOP_LENGTH; g->text.count - g->prompt < w->r->most;) {
        uint32_t token;

        if (g_stop) {
            w->why = STOP_SIGNAL;
            break;
        }
        if ((st = fm_sampler_next(w->sampler, g->text.ids, g->text.count, w->logits, &token)))
            return st;
        if (g->ends && token == g->end) {
            w->why = STOP_END;
            break;
        }
        if ((st = put(w, token)) || (st = keep(&g->text, token)))
            return st;
        if (g->text.count - g->prompt == w->r->most)
            break;
        if (fm_edge_position(w->session) == w->context) {
            w->why = STOP_CONTEXT;
            break;
        }
        if ((st = fm_edge_read(w->session, &token, 1, w->logits)))
            return st;
    }
    return finish_text(w);
}

/* ---- figures ---- */

static double rate(size_t tokens, double seconds)
{
    return seconds > 0.0 ? (double)tokens / seconds : 0.0;
}

static json_t *ids_json(const fm_token_list *l, size_t first)
{
    json_t *out = json_array();

    for (size_t i = first; out && i < l->count; i++)
        if (json_array_append_new(out, json_integer((json_int_t)l->ids[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static fm_status show_json(const run *w)
{
    const size_t written = w->g->text.count - w->g->prompt;
    const fm_edge_memory memory = fm_edge_session_memory(w->session);
    json_t *j =
        json_pack("{s:s%, s:o, s:I, s:s, s:f, s:f, s:{s:I, s:I, s:I}}", "text",
                  w->text.len ? (const char *)w->text.data : "", w->text.len, "tokens",
                  ids_json(&w->g->text, w->g->prompt), "prompt_tokens", (json_int_t)w->g->prompt,
                  "stopped", stops[w->why], "prompt_tokens_per_second",
                  rate(w->g->prompt, w->read_s), "tokens_per_second", rate(written, w->write_s),
                  "memory", "peak", (json_int_t)fm_cmd_generate_peak(), "cache",
                  (json_int_t)memory.cache, "session", (json_int_t)memory.rest);
    const fm_status st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the figures");

    json_decref(j);
    return st;
}

static fm_status report(const run *w)
{
    if (w->r->json)
        return show_json(w);
    (void)fprintf(
        stderr,
        "%zu tokens read at %.1f/s, %zu written at %.1f/s (stopped: %s); %.0f MB in memory "
        "at most\n",
        w->g->prompt, rate(w->g->prompt, w->read_s), w->g->text.count - w->g->prompt,
        rate(w->g->text.count - w->g->prompt, w->write_s), stops[w->why],
        (double)fm_cmd_generate_peak() / MEGABYTE);
    return FM_OK;
}

/* ---- before the first token ---- */

static fm_status cache_kind(const char *text, fm_edge_cache *out)
{
    *out = strcmp(text, "float") == 0 ? FM_CACHE_FLOAT : FM_CACHE_INT8;
    if (*out == FM_CACHE_INT8 && strcmp(text, "int8") != 0)
        return fm_fail(FM_EINVAL, "--cache: '%.40s'; int8 and float are possible", text);
    return FM_OK;
}

/* Room for the prompt and what is to be written, within the model's. The last token is not read. */
static fm_status plan_context(run *w)
{
    const size_t own = fm_edge_model_config(w->g->model)->context, prompt = w->g->prompt;
    const size_t wanted = prompt + (size_t)w->r->most - 1;

    if (w->r->context > own)
        return fm_fail(FM_EINVAL, "--context: %llu tokens; the model was made for %zu",
                       (unsigned long long)w->r->context, own);
    w->context = w->r->context ? (size_t)w->r->context : wanted < own ? wanted : own;
    if (prompt > w->context)
        return fm_fail(FM_EINVAL, "the prompt has %zu tokens; there is room for %zu (%s)", prompt,
                       w->context, w->r->context ? "--context" : "the model's context");
    return FM_OK;
}

static fm_status prepare(run *w)
{
    const fm_cmd_generate_request *r = w->r;
    const size_t vocabulary = fm_edge_model_config(w->g->model)->vocabulary;
    const fm_sample_options sampling = { .temperature = r->temperature,
                                         .top_k = (size_t)r->top_k,
                                         .top_p = r->top_p };
    fm_edge_options o = { .float_inputs = r->float_inputs };
    void *block = NULL;
    fm_status st;

    if (r->float_inputs && !fm_edge_model_is_int8(w->g->model))
        return fm_fail(FM_EINVAL, "--float-inputs: %s is in float32 already", r->model);
    w->rng = r->seed == FM_GENERATE_NO_SEED ? fm_rng_system() : fm_rng_public(&w->state, r->seed);
    if ((st = cache_kind(r->cache, &o.cache)) || (st = plan_context(w)))
        return st;
    o.context = w->context;
    if ((st = fm_edge_session_new(w->g->model, &o, &w->session)) ||
        (st = fm_sampler_new(vocabulary, &sampling, w->g->mark, &w->rng, &w->sampler)) ||
        (st = fm_alloc(vocabulary, sizeof *w->logits, &block)))
        return st;
    w->logits = block;
    return fm_cmd_generate_limit(r->memory, w->g->model, w->session);
}

fm_status fm_cmd_generate_run(const fm_cmd_generate_request *r, fm_cmd_generation *g)
{
    run w = { .r = r, .g = g, .terminal = isatty(STDOUT_FILENO) == 1 };
    uint64_t from;
    fm_status st;

    if (!(st = prepare(&w)) && !(st = read_prompt(&w))) {
        watch_signals();
        from = fm_clock_now_ns();
        st = write_tokens(&w);
        w.write_s = (double)(fm_clock_now_ns() - from) / NS;
    }
    if (!st)
        st = report(&w);
    if (!st && w.why == STOP_SIGNAL)
        st = fm_fail(FM_ESTATE, "stopped by a signal after %zu tokens", g->text.count - g->prompt);
    fm_edge_session_free(&w.session);
    fm_sampler_free(&w.sampler);
    fm_buf_fini(&w.piece);
    fm_buf_fini(&w.text);
    if (w.logits)
        sodium_memzero(w.logits, fm_edge_model_config(g->model)->vocabulary * sizeof *w.logits);
    free(w.logits);
    return st;
}
