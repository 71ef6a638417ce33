/* The two endpoints: refused at init, with their place, rather than at start by ZeroMQ. */
#include <string.h>

#include "config_internal.h"
#include "fedmoe/base/text.h"

#define SCHEME "tcp://"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define MAX_ENDPOINT 255 /* bytes; fm_aggregator_init_report.door, and the link's own */

typedef struct {
    const char *host; /* borrowed */
    size_t host_len;
    uint64_t port; /* 0: the system chooses */
} endpoint;

/* A name, an address, "*", an interface, or an IPv6 address in brackets. */
static bool is_host(const char *s, size_t len)
{
    if (len == 1 && *s == '*')
        return true;
    if (len > 2 && s[0] == '[' && s[len - 1] == ']')
        return strspn(s + 1, NAME_LETTERS ":%") == len - 2;
    return len > 0 && strspn(s, NAME_LETTERS) >= len;
}

static bool parse_port(const char *s, uint64_t *port)
{
    *port = 0;
    return strcmp(s, "*") == 0 || (fm_text_u64(s, port) && *port <= 65535);
}

static fm_status read_endpoint(const fm_yaml_node *listen, const char *key, char **text,
                               endpoint *out)
{
    const char *s = NULL, *colon;
    fm_status st = fm_yaml_get_string(listen, key, &s);
    const fm_yaml_node *at = fm_yaml_find(listen, key);

    if (st != FM_OK)
        return st;
    if (strlen(s) > MAX_ENDPOINT)
        return fm_yaml_fail(at, "%s is longer than %d bytes", key, MAX_ENDPOINT);
    colon = strrchr(s, ':');
    if (strncmp(s, SCHEME, strlen(SCHEME)) == 0 && colon >= s + strlen(SCHEME)) {
        out->host = s + strlen(SCHEME);
        out->host_len = (size_t)(colon - out->host);
    }
    if (!is_host(out->host, out->host_len))
        return fm_yaml_fail(at, "%s must read tcp://HOST:PORT, not '%s'", key, s);
    if (!parse_port(colon + 1, &out->port))
        return fm_yaml_fail(at,
                            "%s: the port must be between 1 and 65535 (or 0, to let the "
                            "system choose), not '%s'",
                            key, colon + 1);
    return fm_strdup(s, text);
}

static bool is_any(const endpoint *e)
{
    static const char *const any[] = { "*", "0.0.0.0", "[::]" };

    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++)
        if (strlen(any[i]) == e->host_len && memcmp(any[i], e->host, e->host_len) == 0)
            return true;
    return false;
}

static bool collide(const endpoint *a, const endpoint *b)
{
    return a->port == b->port && a->port != 0 &&
           (is_any(a) || is_any(b) ||
            (a->host_len == b->host_len && memcmp(a->host, b->host, a->host_len) == 0));
}

fm_status fm_config_read_listen(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "door", "session", NULL };
    const fm_yaml_node *listen = NULL;
    endpoint door = { 0 }, session = { 0 };
    fm_status st;

    if ((st = fm_yaml_get_map(root, "listen", &listen)) != FM_OK ||
        (st = fm_yaml_check_keys(listen, keys)) != FM_OK ||
        (st = read_endpoint(listen, "door", &c->door, &door)) != FM_OK ||
        (st = read_endpoint(listen, "session", &c->session, &session)) != FM_OK)
        return st;
    if (collide(&door, &session))
        return fm_yaml_fail(fm_yaml_find(listen, "session"),
                            "session %s is the door's port too; each needs its own", c->session);
    return FM_OK;
}
