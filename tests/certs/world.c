#include "world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

const fm_key_type KEY_TYPES[2] = { FM_KEY_ED25519, FM_KEY_P256 };

void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cannot prepare the test: %s: %s\n", what, fm_error_text());
    exit(1);
}

void make_path(char out[PATH_CAP], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_CAP, "%s/%s", dir, name);

    need(n > 0 && n < PATH_CAP, "path too long");
}

fm_status issue(const char *ca, fm_role role, const char *name, fm_key_type type, unsigned days,
                const char *out_dir)
{
    fm_ca_request r = { .role = role, .name = name, .type = type, .days = days };

    return fm_ca_issue(ca, &r, out_dir);
}

void world_make(world *w, fm_key_type type)
{
    memset(w, 0, sizeof *w);
    fm_test_tmpdir(w->root, sizeof w->root - 64);
    make_path(w->ca, w->root, "ca");
    make_path(w->node, w->root, "alpha");
    make_path(w->aggregator, w->root, "hub");
    need(fm_ca_new(w->ca, "heart", type, 3650) == FM_OK, "ca new");
    need(issue(w->ca, FM_ROLE_NODE, "alpha", type, 30, w->node) == FM_OK, "issue node");
    need(issue(w->ca, FM_ROLE_AGGREGATOR, "hub", type, 30, w->aggregator) == FM_OK, "issue hub");
    need(fm_trust_load(w->node, &w->trust) == FM_OK, "trust");
    need(fm_identity_load(w->node, &w->node_id) == FM_OK, "node identity");
    need(fm_identity_load(w->aggregator, &w->aggregator_id) == FM_OK, "aggregator identity");
    w->now_s = fm_clock_wall_s();
}

void world_end(world *w)
{
    fm_trust_free(&w->trust);
    fm_identity_free(&w->node_id);
    fm_identity_free(&w->aggregator_id);
}

fm_status verify(const fm_trust *t, const fm_identity *id, fm_role role, int64_t now_s)
{
    const uint8_t *der;
    size_t len;
    fm_peer *p = NULL;
    fm_status st;

    fm_identity_der(id, &der, &len);
    st = fm_peer_verify(t, der, len, role, now_s, &p);
    need((st == FM_OK) == (p != NULL), "a peer is written on FM_OK only");
    fm_peer_free(&p);
    return st;
}

fm_status replace_file(const char *dir, const char *name, const void *data, size_t len,
                       unsigned mode)
{
    char path[PATH_CAP];

    make_path(path, dir, name);
    return fm_file_replace(path, data, len, mode);
}

void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    char from[PATH_CAP];
    fm_buf b;

    make_path(from, from_dir, name);
    need(fm_dir_make(to_dir, 0700) == FM_OK, "mkdir");
    need(fm_file_read(from, 1 << 20, &b) == FM_OK, "read");
    need(replace_file(to_dir, name, b.data, b.len, 0600) == FM_OK, "write");
    fm_buf_fini(&b);
}

size_t count_files(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(d);
    return n;
}

bool says(const char *word)
{
    if (strstr(fm_error_text(), word))
        return true;
    fprintf(stderr, "\n    error text without '%s': %s\n", word, fm_error_text());
    return false;
}
