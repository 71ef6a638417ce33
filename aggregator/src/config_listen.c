/* The endpoint: refused at init, with its place, rather than at start by ZeroMQ. */
#include <string.h>

#include "config_internal.h"
#include "fedmoe/base/text.h"

#define SCHEME "tcp://"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define MAX_ENDPOINT 255 /* bytes; fm_aggregator_init_report.door, and the link's own */

/* A name, an address, "*", an interface, or an IPv6 address in brackets. */
static bool is_host(const char *s, size_t len)
{
    if (len == 1 && *s == '*')
        return true;
    if (len > 2 && s[0] == '[' && s[len - 1] == ']')
        return strspn(s + 1, NAME_LETTERS ":%") == len - 2;
    return len > 0 && strspn(s, NAME_LETTERS) >= len;
}

static bool is_port(const char *s)
{
    uint64_t port;

    return strcmp(s, "*") == 0 || (fm_text_u64(s, &port) && port <= 65535);
}

static fm_status read_endpoint(const fm_yaml_node *listen, const char *key, char **text)
{
    const char *s = NULL, *colon, *host = NULL;
    size_t host_len = 0;
    fm_status st = fm_yaml_get_string(listen, key, &s);
    const fm_yaml_node *at = fm_yaml_find(listen, key);

    if (st != FM_OK)
        return st;
    if (strlen(s) > MAX_ENDPOINT)
        return fm_yaml_fail(at, "%s is longer than %d bytes", key, MAX_ENDPOINT);
    colon = strrchr(s, ':');
    if (strncmp(s, SCHEME, strlen(SCHEME)) == 0 && colon >= s + strlen(SCHEME)) {
        host = s + strlen(SCHEME);
        host_len = (size_t)(colon - host);
    }
    if (!is_host(host, host_len))
        return fm_yaml_fail(at, "%s must read tcp://HOST:PORT, not '%s'", key, s);
    if (!is_port(colon + 1))
        return fm_yaml_fail(at,
                            "%s: the port must be between 1 and 65535 (or 0, to let the "
                            "system choose), not '%s'",
                            key, colon + 1);
    return fm_strdup(s, text);
}

fm_status fm_config_read_listen(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "door", NULL };
    const fm_yaml_node *listen = NULL, *old;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "listen", &listen)) != FM_OK)
        return st;
    if ((old = fm_yaml_find(listen, "session")) != NULL)
        return fm_yaml_fail(old, "there is one port now, the door's, and sessions are there, too: "
                                 "remove 'session'");
    if ((st = fm_yaml_check_keys(listen, keys)) != FM_OK)
        return st;
    return read_endpoint(listen, "door", &c->door);
}
