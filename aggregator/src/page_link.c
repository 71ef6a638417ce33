/* Ways into the status page, made on the aggregator's machine: by whoever can write its folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "config_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/web/server.h"
#include "page.h"

/* federation.yaml's `status`, without reading the model. */
static fm_status read_config(const char *dir, fm_page_config *out)
{
    fm_yaml *doc = NULL;
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(dir, "federation.yaml", &path)) == FM_OK &&
        (st = fm_yaml_load(path, &doc)) == FM_OK)
        st = fm_config_read_page(fm_yaml_root(doc), NULL, out);
    if (st == FM_OK && !out->listen)
        st = fm_fail(FM_ENOTFOUND,
                     "%s: there is no status page; add `status: {listen: \"https://...\"}` to it "
                     "and start again",
                     path);
    fm_yaml_free(&doc);
    free(path);
    return st;
}

/* Where the run says that it is: with the port that the system chose. */
static fm_status read_url(const char *dir, char **out)
{
    char *path = NULL;
    json_t *j = NULL;
    const char *url = NULL;
    fm_status st = fm_path_join(dir, "status.json", &path);

    if (st == FM_OK && fm_json_read(path, &j) == FM_OK)
        url = json_string_value(json_object_get(j, "page"));
    if (url)
        st = fm_strdup(url, out);
    else
        st = fm_fail(FM_ENOTFOUND,
                     "%s: does not say where the status page is; start the "
                     "federation first",
                     dir);
    json_decref(j);
    free(path);
    return st;
}

/* Of the certificate that the page shows, for the one look that a browser's warning deserves. */
static fm_status read_print(const char *dir, const fm_page_config *c,
                            char out[FM_WEB_FINGERPRINT_SIZE])
{
    char *path = NULL;
    fm_buf b = { 0 };
    fm_status st;

    *out = '\0';
    if (!c->tls || c->certificate)
        return FM_OK;
    if ((st = fm_path_join(dir, FM_PAGE_CERTIFICATE, &path)) == FM_OK &&
        (st = fm_file_read(path, 1u << 16, &b)) == FM_OK)
        st = fm_web_fingerprint((char *)b.data, out);
    fm_buf_fini(&b);
    free(path);
    return st;
}

fm_status fm_page_link(const char *dir, const char *member, uint32_t seconds, char **url,
                       char fingerprint[FM_PAGE_FINGERPRINT_SIZE])
{
    char *base = NULL, *links = NULL, token[FM_WEB_TOKEN_SIZE] = "";
    fm_page_config c = { 0 };
    fm_status st;

    if ((st = read_config(dir, &c)) != FM_OK || (st = read_url(dir, &base)) != FM_OK ||
        (st = read_print(dir, &c, fingerprint)) != FM_OK ||
        (st = fm_path_join(dir, FM_PAGE_LINKS, &links)) != FM_OK ||
        (st = fm_web_link_new(links, member ? FM_WEB_MEMBER : FM_WEB_COORDINATOR, member, seconds,
                              token)) != FM_OK)
        goto done;
    if (asprintf(url, "%slink/%s", base, token) < 0) {
        *url = NULL;
        st = fm_fail(FM_ENOMEM, "no memory for a link");
    }
done:
    sodium_memzero(token, sizeof token);
    fm_config_page_fini(&c);
    free(base);
    free(links);
    return st;
}

/* What is replaced is a token, and not somebody's key. */
static fm_status check_file(const char *file)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    fm_buf b = { 0 };
    fm_status st = fm_file_exists(file) ? fm_file_read(file, FM_WEB_TOKEN_SIZE - 1, &b) : FM_OK;

    if (st == FM_EPROTO || (st == FM_OK && b.data &&
                            (b.len != FM_WEB_TOKEN_SIZE - 1 ||
                             strspn((char *)b.data, letters) != FM_WEB_TOKEN_SIZE - 1)))
        st = fm_fail(FM_EEXIST, "%s is there, and no token: give another file, or remove it", file);
    fm_buf_fini(&b);
    return st;
}

fm_status fm_page_scraper(const char *dir, const char *file, uint32_t seconds)
{
    char *links = NULL, token[FM_WEB_TOKEN_SIZE] = "";
    fm_page_config c = { 0 };
    fm_status st;

    if ((st = check_file(file)) != FM_OK || (st = read_config(dir, &c)) != FM_OK ||
        (st = fm_path_join(dir, FM_PAGE_LINKS, &links)) != FM_OK ||
        (st = fm_web_link_new(links, FM_WEB_SCRAPER, NULL, seconds, token)) != FM_OK)
        goto done;
    st = fm_file_replace(file, token, strlen(token), 0600);
done:
    sodium_memzero(token, sizeof token);
    fm_config_page_fini(&c);
    free(links);
    return st;
}
