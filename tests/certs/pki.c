#include "pki.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"

static void run(const char *dir, const char *lines, const char *command, va_list list)
{
    char words[1024], line[2048];

    (void)vsnprintf(words, sizeof words, command, list);
    (void)snprintf(line, sizeof line, "cd '%s' && MORE='%s' bash '%s/pki.sh' %s", dir, lines,
                   FEDMOE_PKI, words);
    need(system(line) == 0, words);
}

void pki(const char *dir, const char *command, ...)
{
    va_list list;

    va_start(list, command);
    run(dir, "", command, list);
    va_end(list);
}

void pki_more(const char *dir, const char *lines, const char *command, ...)
{
    va_list list;

    va_start(list, command);
    run(dir, lines, command, list);
    va_end(list);
}

void pki_request(const char *dir, fm_role role, const char *name, fm_key_type type)
{
    const fm_request_plan plan = { role, "heart", name, type, NULL };
    char folder[PATH_CAP];
    char *path = NULL;

    make_path(folder, dir, name);
    need(fm_request_write(folder, &plan, &path) == FM_OK, "request");
    free(path);
}

void pki_der(const char *dir, const char *file, fm_buf *out)
{
    char path[PATH_CAP];
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    FILE *f;

    make_path(path, dir, file);
    need((f = fopen(path, "r")) != NULL && PEM_read(f, &name, &header, &data, &len) == 1, path);
    fm_buf_init(out, (size_t)len);
    need(fm_buf_append(out, data, (size_t)len) == FM_OK, path);
    (void)fclose(f);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
}

void pki_join(const char *dir, const char *file, const char *const *parts)
{
    char path[PATH_CAP];
    fm_buf all = { 0 };

    for (; *parts; parts++) {
        fm_buf one;

        make_path(path, dir, *parts);
        need(fm_file_read(path, 1 << 20, &one) == FM_OK &&
                 fm_buf_append(&all, one.data, one.len) == FM_OK,
             path);
        fm_buf_fini(&one);
    }
    need(replace_file(dir, file, all.data, all.len, 0644) == FM_OK, file);
    fm_buf_fini(&all);
}

static const char *below(char out[PATH_CAP], const char *dir, const char *name)
{
    if (!name || !*name)
        return NULL;
    make_path(out, dir, name);
    return out;
}

fm_status pki_install(const char *dir, const char *name, const char *certificate, const char *chain,
                      const char *ca, const char *crls)
{
    char folder[PATH_CAP], paths[4][PATH_CAP];
    fm_adoption a = { .certificate = below(paths[0], dir, certificate),
                      .chain = below(paths[1], dir, chain),
                      .ca = below(paths[2], dir, ca) };

    make_path(folder, dir, name);
    if ((a.crls[0] = below(paths[3], dir, crls)))
        a.crl_count = 1;
    return fm_identity_adopt(folder, &a, fm_clock_wall_s());
}
