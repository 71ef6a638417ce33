/* federation.yaml: where the status page listens. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "fedmoe/base/text.h"

#define HTTPS "https://"
#define HTTP "http://"
#define MAX_NAME 253

static bool is_name(const char *s)
{
    uint8_t a[sizeof(struct in6_addr)];

    return inet_pton(AF_INET6, s, a) == 1 ||
           (*s != '\0' && strlen(s) <= MAX_NAME &&
            strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(s));
}

/* The address of "127.0.0.1:7390" or "[::1]:7390". */
static fm_status address_of(const char *listen, char **out)
{
    const char *colon = strrchr(listen, ':');
    const size_t len = colon ? (size_t)(colon - listen) : 0;
    const bool bracketed = len > 2 && listen[0] == '[' && listen[len - 1] == ']';

    *out = bracketed ? strndup(listen + 1, len - 2) : strndup(listen, len);
    return *out ? FM_OK : fm_fail(FM_ENOMEM, "no memory for an address");
}

static bool is_any(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static bool is_this_machine(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]:", 6) == 0;
}

static fm_status check_port(const fm_yaml_node *at, const char *listen)
{
    const char *colon = strrchr(listen, ':');
    uint64_t port = 0;

    if (colon && fm_text_u64(colon + 1, &port) && port <= UINT16_MAX)
        return FM_OK;
    return fm_yaml_fail(at, "listen: the port must be a number up to 65535, not '%.40s'",
                        colon ? colon + 1 : "");
}

/* The door's socket would be in the way. */
static fm_status check_door(const fm_yaml_node *m, const fm_page_config *p, const char *door)
{
    const char *const page_port = strrchr(p->listen, ':'), *const port = strrchr(door, ':');

    if (!port || strcmp(port, page_port) != 0 || strcmp(port, ":0") == 0)
        return FM_OK;
    return fm_yaml_fail(fm_yaml_find(m, "listen"),
                        "listen: port %s is the door's (listen.door); give the page another one",
                        port + 1);
}

static fm_status read_listen(const fm_yaml_node *m, fm_page_config *p)
{
    const fm_yaml_node *at = fm_yaml_find(m, "listen");
    const char *s = NULL, *address;
    fm_status st = fm_yaml_get_string(m, "listen", &s);

    if (st != FM_OK)
        return st;
    p->tls = strncmp(s, HTTPS, strlen(HTTPS)) == 0;
    if (!p->tls && strncmp(s, HTTP, strlen(HTTP)) != 0)
        return fm_yaml_fail(at,
                            "listen must read https://ADDRESS:PORT, or http:// for this "
                            "machine alone, not '%.100s'",
                            s);
    address = s + (p->tls ? strlen(HTTPS) : strlen(HTTP));
    if ((st = check_port(at, address)) != FM_OK)
        return st;
    if (!p->tls && !is_this_machine(address))
        return fm_yaml_fail(
            at,
            "%.100s is reached by other machines, so a page there needs TLS: write "
            "https:// (without files of your own it makes a certificate), or listen "
            "on 127.0.0.1",
            address);
    return fm_strdup(address, &p->listen);
}

static fm_status read_name(const fm_yaml_node *m, fm_page_config *p)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string_or(m, "name", NULL, &s);

    if (st == FM_OK)
        st = s ? fm_strdup(s, &p->name) : address_of(p->listen, &p->name);
    if (st != FM_OK)
        return st;
    if (is_any(p->name))
        return fm_yaml_fail(m, "listen is on all addresses: say in `name` by which one browsers "
                               "reach the page (agg.example, or an address)");
    return is_name(p->name) ? FM_OK
                            : fm_yaml_fail(m,
                                           "name must be a host's name in lower case, or an "
                                           "address, not '%.100s'",
                                           p->name);
}

static fm_status read_files(const fm_yaml_node *m, fm_page_config *p)
{
    const char *certificate = NULL, *key = NULL;
    fm_status st;

    if ((st = fm_yaml_get_string_or(m, "certificate", NULL, &certificate)) != FM_OK ||
        (st = fm_yaml_get_string_or(m, "key", NULL, &key)) != FM_OK)
        return st;
    if (!certificate != !key)
        return fm_yaml_fail(m, "certificate and key go together: give both files, or neither");
    if (certificate && !p->tls)
        return fm_yaml_fail(m, "a certificate has no use with http://; write https://");
    if (certificate && ((st = fm_strdup(certificate, &p->certificate)) != FM_OK ||
                        (st = fm_strdup(key, &p->key)) != FM_OK))
        return st;
    return FM_OK;
}

fm_status fm_config_read_page(const fm_yaml_node *root, const char *door, fm_page_config *out)
{
    static const char *const keys[] = { "listen", "name", "certificate", "key", NULL };
    const fm_yaml_node *m = NULL;
    fm_status st;

    if (!fm_yaml_find(root, "status"))
        return FM_OK;
    if ((st = fm_yaml_get_map(root, "status", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK || (st = read_listen(m, out)) != FM_OK ||
        (door && (st = check_door(m, out, door)) != FM_OK) || (st = read_name(m, out)) != FM_OK)
        return st;
    return read_files(m, out);
}

void fm_config_page_fini(fm_page_config *p)
{
    free(p->listen);
    free(p->name);
    free(p->certificate);
    free(p->key);
    memset(p, 0, sizeof *p);
}
