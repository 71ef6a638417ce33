/* What was published last, and who may see it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web_internal.h"

#define FORMS_MAX 8 /* on one page */

static bool fits(const char *s, size_t max)
{
    return s && *s != '\0' && strlen(s) <= max;
}

static web_page *find_same(web_pages *p, const char *path, unsigned roles, const char *member)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->pages[i].path, path) == 0 && p->pages[i].roles == roles &&
            strcmp(p->pages[i].member, member) == 0)
            return &p->pages[i];
    return NULL;
}

/* Another place for the bytes, before anything is changed. */
static fm_status copy_of(const void *bytes, size_t n, uint8_t **out)
{
    if (n > FM_WEB_PAGE_MAX || (n > 0 && !bytes))
        return fm_fail(FM_EINVAL, "a page is longer than %d bytes", FM_WEB_PAGE_MAX);
    if (!(*out = malloc(n + 1)))
        return fm_fail(FM_ENOMEM, "no memory for a page");
    if (n > 0)
        memcpy(*out, bytes, n);
    (*out)[n] = 0;
    return FM_OK;
}

static fm_status add_page(web_pages *p, const char *path, unsigned roles, const char *member,
                          web_page **out)
{
    web_page *page;

    if (p->count == FM_WEB_PAGES_MAX)
        return fm_fail(FM_ENOMEM, "more than %d pages", FM_WEB_PAGES_MAX);
    page = &p->pages[p->count++];
    memset(page, 0, sizeof *page);
    (void)snprintf(page->path, sizeof page->path, "%s", path);
    (void)snprintf(page->member, sizeof page->member, "%s", member);
    page->roles = roles;
    *out = page;
    return FM_OK;
}

fm_status fm_web_publish(fm_web *w, const char *path, const char *media_type, unsigned roles,
                         const char *member, const void *bytes, size_t n)
{
    char policy[WEB_POLICY_SIZE];
    web_page *page;
    uint8_t *copy = NULL;
    fm_status st = FM_OK;

    if (!member)
        member = "";
    if (!w || !fits(path, FM_WEB_PATH_MAX) || path[0] != '/' ||
        !fits(media_type, sizeof page->media_type - 1) || roles == 0 ||
        strlen(member) > FM_WEB_NAME_MAX)
        return fm_fail(FM_EINVAL, "a page needs a path, a media type and roles");
    if ((st = copy_of(bytes, n, &copy)) != FM_OK ||
        (st = web_policy(media_type, copy, n, policy)) != FM_OK) {
        free(copy);
        return st;
    }
    pthread_mutex_lock(&w->pages.lock);
    if (!(page = find_same(&w->pages, path, roles, member)))
        st = add_page(&w->pages, path, roles, member, &page);
    if (st != FM_OK || (page->bytes && page->n == n && memcmp(page->bytes, copy, n) == 0)) {
        free(copy);
    } else {
        free(page->bytes);
        page->bytes = copy;
        page->n = n;
        page->version = ++w->pages.changes;
        (void)snprintf(page->media_type, sizeof page->media_type, "%s", media_type);
        memcpy(page->policy, policy, sizeof policy);
    }
    pthread_mutex_unlock(&w->pages.lock);
    web_wake(w);
    return st;
}

static web_own *find_own(const web_pages *p, const char *visitor)
{
    for (size_t i = 0; i < p->own_count; i++)
        if (strcmp(p->own[i].visitor, visitor) == 0)
            return &p->own[i];
    return NULL;
}

static web_own *add_own(web_pages *p, const char *visitor)
{
    web_own *grown = realloc(p->own, (p->own_count + 1) * sizeof *grown);

    if (!grown)
        return NULL;
    p->own = grown;
    grown += p->own_count++;
    memset(grown, 0, sizeof *grown);
    (void)snprintf(grown->visitor, sizeof grown->visitor, "%s", visitor);
    return grown;
}

fm_status fm_web_publish_own(fm_web *w, const char *visitor, const void *bytes, size_t n)
{
    uint8_t *copy = NULL;
    fm_status st;
    web_own *own;

    if (!w || !fits(visitor, FM_WEB_NAME_MAX))
        return fm_fail(FM_EINVAL, "a visitor's part needs a name");
    if ((st = copy_of(bytes, n, &copy)) != FM_OK)
        return st;
    pthread_mutex_lock(&w->pages.lock);
    if (!(own = find_own(&w->pages, visitor)) && !(own = add_own(&w->pages, visitor)))
        st = fm_fail(FM_ENOMEM, "no memory for a visitor's part");
    if (st != FM_OK || (own->bytes && own->n == n && memcmp(own->bytes, copy, n) == 0)) {
        free(copy);
    } else {
        free(own->bytes);
        own->bytes = copy;
        own->n = n;
        own->version = ++w->pages.changes;
    }
    pthread_mutex_unlock(&w->pages.lock);
    web_wake(w);
    return st;
}

fm_status fm_web_allow(fm_web *w, const char *path, unsigned roles)
{
    web_pages *p = &w->pages;
    fm_status st = FM_OK;

    if (!fits(path, FM_WEB_PATH_MAX) || path[0] != '/')
        return fm_fail(FM_EINVAL, "an action needs a path");
    pthread_mutex_lock(&p->lock);
    if (p->post_count == FM_WEB_PAGES_MAX) {
        st = fm_fail(FM_ENOMEM, "more than %d actions", FM_WEB_PAGES_MAX);
    } else {
        (void)snprintf(p->posts[p->post_count].path, sizeof p->posts[0].path, "%s", path);
        p->posts[p->post_count++].roles = roles;
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}

bool web_pages_takes_post(web_pages *p, const web_visitor *v, const char *path)
{
    bool found = false;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->post_count; i++)
        found |= strcmp(p->posts[i].path, path) == 0 && (p->posts[i].roles & v->role) != 0;
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* A page of one member is for it, and for a coordinator whom it is published for, too. */
static bool may_see(const web_page *page, const web_visitor *v)
{
    if ((page->roles & v->role) == 0)
        return false;
    return page->member[0] == '\0' || v->role == FM_WEB_COORDINATOR ||
           (v->role == FM_WEB_MEMBER && strcmp(page->member, v->name) == 0);
}

/* A member's own goes before one for all; for anybody else the one for all. */
static const web_page *find_for(const web_pages *p, const web_visitor *v, const char *path)
{
    const web_page *best = NULL;

    for (size_t i = 0; i < p->count; i++) {
        const web_page *page = &p->pages[i];
        const bool personal = page->member[0] != '\0';

        if (strcmp(page->path, path) == 0 && may_see(page, v) &&
            (!best || personal == (v->role == FM_WEB_MEMBER)))
            best = page;
    }
    return best;
}

static const web_own *own_for(const web_pages *p, const web_visitor *v)
{
    return v->role == FM_WEB_ANYONE ? NULL : find_own(p, v->name);
}

static void version_of(const web_page *page, const web_own *own, char out[WEB_VERSION_SIZE])
{
    (void)snprintf(out, WEB_VERSION_SIZE, "%" PRIu64 ".%" PRIu64, page->version,
                   own ? own->version : 0);
}

bool web_pages_version(web_pages *p, const web_visitor *v, const char *path,
                       char out[WEB_VERSION_SIZE])
{
    const web_page *page;

    pthread_mutex_lock(&p->lock);
    if ((page = find_for(p, v, path)) != NULL)
        version_of(page, own_for(p, v), out);
    pthread_mutex_unlock(&p->lock);
    return page != NULL;
}

/* The first `mark` in the text becomes `by`. */
static fm_status replace(fm_buf *b, const char *mark, const void *by, size_t n)
{
    const uint8_t *at = b->len > 0 ? memmem(b->data, b->len, mark, strlen(mark)) : NULL;
    const size_t before = at ? (size_t)(at - b->data) : 0;
    const size_t after = at ? b->len - before - strlen(mark) : 0;
    fm_buf out;
    fm_status st;

    if (!at)
        return FM_OK;
    fm_buf_init(&out, (size_t)4 * FM_WEB_PAGE_MAX);
    if ((st = fm_buf_append(&out, b->data, before)) != FM_OK ||
        (n > 0 && (st = fm_buf_append(&out, by, n)) != FM_OK) ||
        (st = fm_buf_append(&out, at + strlen(mark), after)) != FM_OK) {
        fm_buf_fini(&out);
        return st;
    }
    fm_buf_fini(b);
    *b = out;
    return FM_OK;
}

/* The part first: it may hold a form of its own. */
static fm_status fill(const web_pages *p, const web_page *page, const web_visitor *v,
                      const char *form_token, fm_buf *b)
{
    const web_own *own = own_for(p, v);
    char version[WEB_VERSION_SIZE];
    fm_status st;

    fm_buf_init(b, (size_t)4 * FM_WEB_PAGE_MAX);
    st = fm_buf_append(b, page->bytes, page->n);
    if (st != FM_OK || strncmp(page->media_type, "text/html", 9) != 0)
        return st;
    version_of(page, own, version);
    if ((st = replace(b, FM_WEB_OWN_PART, own ? own->bytes : NULL, own ? own->n : 0)) == FM_OK)
        st = replace(b, FM_WEB_VERSION, version, strlen(version));
    for (size_t i = 0; st == FM_OK && i < FORMS_MAX; i++)
        st = replace(b, FM_WEB_FORM_TOKEN, form_token, strlen(form_token));
    return st;
}

fm_status web_pages_copy(web_pages *p, const web_visitor *v, const char *path,
                         const char *form_token, web_copy *out)
{
    const web_page *page;
    fm_buf b = { 0 };
    fm_status st = FM_ENOTFOUND;

    pthread_mutex_lock(&p->lock);
    if ((page = find_for(p, v, path)) != NULL && (st = fill(p, page, v, form_token, &b)) == FM_OK) {
        memcpy(out->media_type, page->media_type, sizeof out->media_type);
        memcpy(out->policy, page->policy, sizeof out->policy);
        version_of(page, own_for(p, v), out->version);
        out->bytes = b.data; /* ownership moves */
        out->n = b.len;
    } else {
        fm_buf_fini(&b);
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}

void web_pages_fini(web_pages *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->pages[i].bytes);
    for (size_t i = 0; i < p->own_count; i++)
        free(p->own[i].bytes);
    free(p->own);
}
