/*
 * The page while the node runs: what the driver knows is published now and then; what visitors ask
 * for is done between two messages, while a batch is computed, and before an update leaves.
 */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/web/server.h"
#include "page.h"
#include "plan_words.h"
#include "policy_internal.h"
#include "run_internal.h"

#define EVERY_MS 1000u
#define WORDS_EVERY_MS 10000u /* they hold figures of the ledger */
#define SEEN FM_WEB_COORDINATOR

struct fm_node_web {
    fm_web *server;
    fm_buf words;
    uint64_t words_ms, published_ms;
    bool due;
};

fm_status fm_node_page_open(fm_node_driver *d)
{
    fm_web_options o = { .address = d->config.page };
    struct fm_node_web *w = NULL;
    char *links = NULL;
    void *p = NULL;
    fm_status st;

    if (!d->config.page)
        return FM_OK;
    if ((st = fm_alloc(1, sizeof *w, &p)) != FM_OK)
        return st;
    w = p;
    if ((st = fm_path_join(d->config.dir, FM_NODE_LINKS, &links)) == FM_OK) {
        o.links_path = links;
        st = fm_web_start(&o, &w->server);
    }
    free(links);
    if (st == FM_OK && ((st = fm_web_allow(w->server, "/pause", SEEN)) != FM_OK ||
                        (st = fm_web_allow(w->server, "/resume", SEEN)) != FM_OK))
        fm_web_stop(&w->server);
    if (st != FM_OK) {
        free(w);
        return fm_fail_context(st, "page.listen: ");
    }
    d->web = w;
    fm_log(FM_LOG_INFO, "the node's page is at http://%s/: 'fedmoe-node status --link' opens it",
           fm_web_address(w->server));
    return FM_OK;
}

const char *fm_node_page_address(const fm_node_driver *d)
{
    return d->web && !fm_node_driver_has_ended(d) ? fm_web_address(d->web->server) : "";
}

void fm_node_page_close(fm_node_driver *d)
{
    if (!d->web)
        return;
    fm_web_stop(&d->web->server);
    fm_buf_fini(&d->web->words);
    free(d->web);
    d->web = NULL;
}

/** plan.json in words, with the ledger's figures as they are now. */
static void refresh_words(fm_node_driver *d, uint64_t now_ms)
{
    struct fm_node_web *w = d->web;
    json_t *plan = NULL;
    fm_plan_means means;

    if (w->words.len > 0 && now_ms - w->words_ms < WORDS_EVERY_MS)
        return;
    w->words_ms = now_ms;
    if (fm_node_read_json(d->config.dir, "plan.json", &plan) != FM_OK)
        return;
    means = fm_plan_means_of(plan, d->o->config, false);
    fm_buf_clear(&w->words);
    if (fm_plan_words(plan, &means, &w->words) != FM_OK)
        fm_buf_clear(&w->words);
    json_decref(plan);
}

static fm_page page_of(const fm_node_driver *d)
{
    const fm_node_status *s = &d->status;
    const fm_cert_info *own = fm_identity_info(d->identity);
    fm_link_counters c = { 0 };

    if (d->link)
        c = fm_link_client_counters(d->link);
    return (fm_page){ .name = d->config.name,
                      .data_set = d->config.data_set,
                      .federation = own->federation,
                      .door = d->config.door,
                      .now_s = fm_clock_wall_s(),
                      .state = fm_node_driver_state(d),
                      .phase = s->phase,
                      .round = s->round,
                      .plan_rounds = d->plan.rounds,
                      .charged = d->plan.charged,
                      .paused = d->paused,
                      .in_round = fm_node_driver_is_in_round(d),
                      .paused_since = s->paused_since,
                      .reason = s->reason,
                      .reason_s = s->reason_s,
                      .refusals = s->refusals,
                      .policy = &d->config.policy,
                      .open = fm_node_policy_is_open(&d->config.policy),
                      .spent = s->epsilon_spent,
                      .records = fm_node_driver_records(d),
                      .bytes_sent = s->bytes_sent + c.bytes_sent,
                      .bytes_received = s->bytes_received + c.bytes_received,
                      .certificate_end_s = own->not_after_s,
                      .history = &d->history,
                      .plan_words = d->web->words.len > 0 ? (const char *)d->web->words.data : "" };
}

static fm_status publish_html(const fm_node_driver *d, const fm_page *p)
{
    fm_buf b = { .limit = FM_WEB_PAGE_MAX };
    fm_status st = fm_page_html(p, &b);

    if (st == FM_OK)
        st = fm_web_publish(d->web->server, "/", "text/html; charset=utf-8", SEEN, NULL, b.data,
                            b.len);
    fm_buf_fini(&b);
    return st;
}

static fm_status publish_metrics(const fm_node_driver *d, const fm_page *p)
{
    fm_buf b = { .limit = FM_WEB_PAGE_MAX };
    fm_status st = fm_page_metrics(p, &b);

    if (st == FM_OK)
        st = fm_web_publish(d->web->server, "/metrics", "text/plain; version=0.0.4; charset=utf-8",
                            SEEN | FM_WEB_SCRAPER, NULL, b.data, b.len);
    fm_buf_fini(&b);
    return st;
}

static fm_status publish_json(const fm_node_driver *d)
{
    json_t *j = fm_node_driver_status_json(d);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    fm_status st = text ? fm_web_publish(d->web->server, "/status.json", "application/json", SEEN,
                                         NULL, text, strlen(text))
                        : fm_fail(FM_ENOMEM, "no memory for the page");

    free(text);
    json_decref(j);
    return st;
}

static void publish(fm_node_driver *d, uint64_t now_ms)
{
    fm_page p;

    refresh_words(d, now_ms);
    p = page_of(d);
    if (publish_html(d, &p) != FM_OK || publish_metrics(d, &p) != FM_OK || publish_json(d) != FM_OK)
        fm_log(FM_LOG_WARN, "the node's page could not be renewed: %s", fm_error_text());
    d->web->published_ms = now_ms;
    d->web->due = false;
}

void fm_node_page_publish(fm_node_driver *d)
{
    const uint64_t now_ms = fm_clock_now_ms();

    if (!d->web)
        return;
    d->web->due = true;
    if (now_ms - d->web->published_ms >= EVERY_MS)
        publish(d, now_ms);
}

/** Whoever reads a page's words has said so: a request made by hand has to, too. */
static bool is_meant(const fm_web_action *a)
{
    char understood[8];

    return fm_web_field(a->body, a->body_bytes, "understood", understood, sizeof understood) &&
           strcmp(understood, "yes") == 0;
}

static void act(const fm_node_driver *d, const fm_web_action *a)
{
    const bool pause = strcmp(a->path, "/pause") == 0;
    fm_status st;

    if (!is_meant(a)) {
        fm_log(FM_LOG_WARN, "%s was asked for on the page without the confirmation: not done",
               a->path + 1);
        return;
    }
    st = pause ? fm_pause_order(d->config.dir) : fm_pause_lift(d->config.dir);
    if (st == FM_OK)
        fm_log(FM_LOG_INFO, "%s on the node's page", pause ? "paused" : "resumed");
    else
        fm_log(FM_LOG_ERROR, "%s was asked for on the page and failed: %s", a->path + 1,
               fm_error_text());
}

void fm_node_page_act(fm_node_driver *d)
{
    fm_web_action a;
    bool any = false;

    if (!d->web)
        return;
    for (; fm_web_next(d->web->server, &a); any = true)
        act(d, &a);
    if (any)
        (void)fm_node_driver_look_at_pause(d);
    if (any || (d->web->due && fm_clock_now_ms() - d->web->published_ms >= EVERY_MS))
        publish(d, fm_clock_now_ms());
}
