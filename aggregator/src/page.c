/* The status page: when something is new, it is written anew and handed to the server (web/). */
#include "page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "page_internal.h"

#define EVERY_MS 1000

/* ---- who a certificate is: in the server's thread ---- */

static fm_status verify(const fm_trust *t, const uint8_t *const *der, const size_t *der_bytes,
                        size_t count, fm_role role, char *name)
{
    fm_ca_path path = { 0 };
    fm_peer *peer = NULL;
    fm_status st;

    for (size_t i = 1; i < count && path.count < FM_INTERMEDIATES_MAX; i++) {
        path.der[path.count] = der[i];
        path.len[path.count++] = der_bytes[i];
    }
    st = fm_peer_verify_path(t, der[0], der_bytes[0], &path, role, fm_clock_wall_s(), &peer);
    if (st == FM_OK)
        (void)snprintf(name, FM_WEB_NAME_MAX + 1, "%s", fm_peer_info(peer)->name);
    fm_peer_free(&peer);
    return st;
}

static fm_status who(void *context, const uint8_t *const *der, const size_t *der_bytes,
                     size_t count, fm_web_role *role, char *name)
{
    fm_page *p = context;
    fm_status st;

    pthread_mutex_lock(&p->trust_lock);
    *role = FM_WEB_MEMBER;
    st = verify(p->trust, der, der_bytes, count, FM_ROLE_NODE, name);
    if (st == FM_EAUTH) {
        *role = FM_WEB_COORDINATOR;
        st = verify(p->trust, der, der_bytes, count, FM_ROLE_AGGREGATOR, name);
    }
    pthread_mutex_unlock(&p->trust_lock);
    return st;
}

/* A certificate of the same CA may be that of another federation's member: this run knows its own. */
static bool may(void *context, fm_web_role role, const char *name, uint64_t *right)
{
    fm_page *p = context;
    bool found = role != FM_WEB_MEMBER;

    *right = 1;
    pthread_mutex_lock(&p->trust_lock);
    for (size_t i = 0; !found && i < p->admitted_count; i++)
        if ((found = strcmp(p->admitted[i].name, name) == 0))
            *right = p->admitted[i].admission;
    pthread_mutex_unlock(&p->trust_lock);
    return found;
}

void fm_page_members(fm_run *r)
{
    fm_page *p = r->page;
    void *room = NULL;
    size_t n = 0;

    if (!p)
        return;
    if (r->member_count > 0 && fm_alloc(r->member_count, sizeof *p->admitted, &room) != FM_OK)
        fm_log(FM_LOG_WARN, "no memory for the status page's members: nobody of them is let in");
    pthread_mutex_lock(&p->trust_lock);
    free(p->admitted);
    p->admitted = room;
    for (size_t i = 0; room && i < r->member_count; i++) {
        if (!r->members[i].credential)
            continue;
        memcpy(p->admitted[n].name, r->members[i].name, sizeof p->admitted[n].name);
        p->admitted[n++].admission = r->members[i].admission;
    }
    p->admitted_count = n;
    pthread_mutex_unlock(&p->trust_lock);
}

void fm_page_set_trust(fm_page *p, const fm_trust *t)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->trust_lock);
    p->trust = t;
    pthread_mutex_unlock(&p->trust_lock);
}

/* ---- publishing ---- */

/* Only when something is new: who waits is not told twice. */
static fm_status publish_body(fm_run *r, bool all)
{
    fm_page *p = r->page;
    fm_buf body = { 0 }, whole = { 0 };
    fm_status st = page_html_body(r, all, &body);

    if (st == FM_OK &&
        (body.len != p->last[all].len || memcmp(body.data, p->last[all].data, body.len) != 0)) {
        if ((st = page_html_wrap(r, all, &body, &whole)) == FM_OK)
            st = fm_web_publish(p->web, "/", "text/html; charset=utf-8",
                                all ? FM_WEB_COORDINATOR : FM_WEB_MEMBER, NULL, whole.data,
                                whole.len);
        if (st == FM_OK) {
            fm_buf_fini(&p->last[all]);
            p->last[all] = body;
            body = (fm_buf){ 0 };
        }
    }
    fm_buf_fini(&body);
    fm_buf_fini(&whole);
    return st;
}

static fm_status publish_own(fm_run *r)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < r->member_count; i++) {
        fm_buf b = { 0 };

        if ((st = page_html_own(r, &r->members[i], &b)) == FM_OK)
            st = fm_web_publish_own(r->page->web, r->members[i].name, b.data, b.len);
        fm_buf_fini(&b);
    }
    return st;
}

static fm_status publish_metrics(fm_run *r)
{
    fm_buf b = { 0 };
    fm_status st = page_metrics(r, &b);

    if (st == FM_OK)
        st = fm_web_publish(r->page->web, "/metrics", "text/plain; version=0.0.4; charset=utf-8",
                            FM_WEB_COORDINATOR | FM_WEB_SCRAPER, NULL, b.data, b.len);
    fm_buf_fini(&b);
    return st;
}

void fm_page_refresh(fm_run *r, bool at_once)
{
    const uint64_t now_ms = fm_clock_now_ms();
    fm_page *p = r->page;
    if (!p || !r->coordinator || (!at_once && now_ms - p->refreshed_ms < EVERY_MS))
        return;
    p->refreshed_ms = now_ms;
    if (publish_own(r) != FM_OK || publish_body(r, false) != FM_OK ||
        publish_body(r, true) != FM_OK || publish_metrics(r) != FM_OK)
        fm_log(FM_LOG_WARN, "the status page stays as it was: %s", fm_error_text());
}

/* ---- its beginning and end ---- */

/* In federation.yaml's words, or the pair made here. */
static fm_status find_files(const fm_run *r, char **key, char **certificate)
{
    const fm_page_config *c = &r->config.page;
    const char *const hosts[] = { c->name };
    fm_status st;

    if ((st = fm_path_join(r->options->dir, c->key ? c->key : FM_PAGE_KEY, key)) != FM_OK ||
        (st = fm_path_join(r->options->dir, c->certificate ? c->certificate : FM_PAGE_CERTIFICATE,
                           certificate)) != FM_OK)
        return st;
    return c->key ? FM_OK : fm_web_self_signed(*key, *certificate, hosts, 1);
}

static fm_status start_tls(fm_run *r, fm_web_options *o)
{
    char *key_path = NULL, *crt_path = NULL, print[FM_WEB_FINGERPRINT_SIZE];
    fm_buf key = { 0 }, crt = { 0 }, cas = { 0 };
    fm_status st;

    if ((st = find_files(r, &key_path, &crt_path)) == FM_OK &&
        (st = fm_file_read_private(key_path, 1u << 16, &key)) == FM_OK &&
        (st = fm_file_read(crt_path, 1u << 18, &crt)) == FM_OK &&
        (st = fm_file_read(r->ca, 1u << 18, &cas)) == FM_OK &&
        (st = fm_web_fingerprint((char *)crt.data, print)) == FM_OK) {
        o->key_pem = (char *)key.data;
        o->certificate_pem = (char *)crt.data;
        o->trust_pem = (char *)cas.data;
        if ((st = fm_web_start(o, &r->page->web)) == FM_OK)
            fm_log(FM_LOG_INFO, "the status page's certificate: SHA-256 %s", print);
    }
    fm_buf_fini(&key);
    fm_buf_fini(&crt);
    fm_buf_fini(&cas);
    free(key_path);
    free(crt_path);
    return st;
}

static fm_status start_server(fm_run *r)
{
    const fm_page_config *c = &r->config.page;
    fm_page *p = r->page;
    char *links = NULL;
    fm_web_options o = {
        .address = c->listen, .who = who, .may = may, .who_context = p, .hosts = { c->name }
    };
    fm_status st = fm_path_join(r->options->dir, FM_PAGE_LINKS, &links);

    o.links_path = links;
    if (st == FM_OK)
        st = c->tls ? start_tls(r, &o) : fm_web_start(&o, &p->web);
    free(links);
    if (st != FM_OK)
        return fm_fail_context(st, "status page: ");
    if (asprintf(&p->url, strchr(c->name, ':') ? "%s://[%s]%s/" : "%s://%s%s/",
                 c->tls ? "https" : "http", c->name, strrchr(fm_web_address(p->web), ':')) < 0) {
        p->url = NULL;
        return fm_fail(FM_ENOMEM, "no memory for the status page's address");
    }
    fm_log(FM_LOG_INFO, "status page %s; a link for a browser: fedmoe-aggregator status --link",
           p->url);
    return FM_OK;
}

fm_status fm_page_open(fm_run *r)
{
    fm_page *p;
    fm_status st;

    if (!r->config.page.listen)
        return FM_OK;
    if ((st = fm_alloc(1, sizeof *p, (void **)&p)) != FM_OK)
        return st;
    r->page = p;
    p->trust = r->trust;
    p->started_s = fm_clock_wall_s();
    (void)pthread_mutex_init(&p->trust_lock, NULL);
    if ((st = fm_alloc(r->optimizer->n, sizeof *p->weights, (void **)&p->weights)) != FM_OK ||
        (st = start_server(r)) != FM_OK)
        return st;
    memcpy(p->weights, r->optimizer->weights, r->optimizer->n * sizeof *p->weights);
    page_start_reckoning(r);
    st = fm_web_publish(p->web, "/", "text/html; charset=utf-8", FM_WEB_ANYONE, NULL,
                        page_html_stranger, strlen(page_html_stranger));
    fm_page_refresh(r, true);
    return st;
}

const char *fm_page_url(const fm_run *r)
{
    return r->page ? r->page->url : NULL;
}

void fm_page_close(fm_run *r)
{
    fm_page *p = r->page;

    if (!p)
        return;
    fm_web_stop(&p->web);
    atomic_store(&p->stop, true);
    if (p->reckoning)
        (void)pthread_join(p->reckoner, NULL);
    (void)pthread_mutex_destroy(&p->trust_lock);
    free(p->admitted);
    fm_buf_fini(&p->last[0]);
    fm_buf_fini(&p->last[1]);
    free(p->weights);
    free(p->url);
    free(p);
    r->page = NULL;
}
