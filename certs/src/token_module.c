/* PKCS#11 modules in this process: one C_Initialize for each, whoever uses it. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "token_internal.h"

struct fm_token_module {
    char *path;
    void *handle;
    CK_FUNCTION_LIST *f;
    bool ours; /* initialised here, to be finalised here */
    size_t users;
    fm_token_module *next;
};

static fm_token_module *g_modules;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

static void unload(fm_token_module *m)
{
    if (m->ours)
        (void)m->f->C_Finalize(NULL);
    if (m->handle)
        (void)dlclose(m->handle);
    free(m->path);
    free(m);
}

static fm_status start(fm_token_module *m)
{
    CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
    CK_C_GetFunctionList list = NULL;
    void *symbol;
    CK_RV rv;

    if (!(m->handle = dlopen(m->path, RTLD_NOW | RTLD_LOCAL)))
        return fm_fail(FM_EIO, "the PKCS#11 module cannot be loaded: %s", dlerror());
    if (!(symbol = dlsym(m->handle, "C_GetFunctionList")))
        return fm_fail(FM_EIO, "%s: no PKCS#11 module: it has no C_GetFunctionList", m->path);
    memcpy(&list, &symbol, sizeof list); /* ISO C knows no other way from object to function */
    if (list(&m->f) != CKR_OK || !m->f)
        return fm_fail(FM_EIO, "%s: the PKCS#11 module gives no functions", m->path);
    rv = m->f->C_Initialize(&args);
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        return fm_fail(FM_EIO,
                       "%s: the PKCS#11 module does not start (0x%lx); its own configuration and "
                       "log may say why",
                       m->path, rv);
    m->ours = rv == CKR_OK;
    return FM_OK;
}

static fm_status load(const char *path, fm_token_module **out)
{
    fm_token_module *m = NULL;
    fm_status st = fm_alloc(1, sizeof *m, (void **)&m);

    if (st != FM_OK)
        return st;
    if ((st = fm_strdup(path, &m->path)) != FM_OK || (st = start(m)) != FM_OK) {
        unload(m);
        return st;
    }
    m->next = g_modules;
    g_modules = m;
    *out = m;
    return FM_OK;
}

fm_status fm_token_module_take(const char *path, fm_token_module **out, CK_FUNCTION_LIST **f)
{
    fm_token_module *m;
    fm_status st = FM_OK;

    (void)pthread_mutex_lock(&g_lock);
    for (m = g_modules; m && strcmp(m->path, path) != 0;)
        m = m->next;
    if (!m)
        st = load(path, &m);
    if (st == FM_OK) {
        m->users++;
        *out = m;
        *f = m->f;
    }
    (void)pthread_mutex_unlock(&g_lock);
    return st;
}

void fm_token_module_give(fm_token_module **m)
{
    fm_token_module **at;

    if (!*m)
        return;
    (void)pthread_mutex_lock(&g_lock);
    if (--(*m)->users == 0) {
        for (at = &g_modules; *at != *m;)
            at = &(*at)->next;
        *at = (*m)->next;
        unload(*m);
    }
    (void)pthread_mutex_unlock(&g_lock);
    *m = NULL;
}
