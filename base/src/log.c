#include "fedmoe/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/text.h"

#define NAME_BYTES 64
#define LINE_BYTES 2048

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static atomic_int g_level = -1; /* -1: not set yet, ask FEDMOE_LOG */
static pthread_mutex_t g_name_lock = PTHREAD_MUTEX_INITIALIZER;
static char g_name[NAME_BYTES];

static int level_from_environment(void)
{
    const char *wanted = getenv("FEDMOE_LOG");

    for (int i = 0; wanted && i <= FM_LOG_DEBUG; i++)
        if (strcmp(wanted, level_names[i]) == 0)
            return i;
    return FM_LOG_INFO;
}

void fm_log_set_level(fm_log_level level)
{
    atomic_store(&g_level, (int)level);
}

void fm_log_set_name(const char *name)
{
    pthread_mutex_lock(&g_name_lock);
    (void)snprintf(g_name, sizeof g_name, "%s", name ? name : "");
    pthread_mutex_unlock(&g_name_lock);
}

static int current_level(void)
{
    int level = atomic_load(&g_level);
    int unset = -1;

    if (level >= 0)
        return level;
    level = level_from_environment();
    /* A level that was set meanwhile wins. */
    return atomic_compare_exchange_strong(&g_level, &unset, level) ? level : unset;
}

static void write_all(const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to report it */
        p += n;
        len -= (size_t)n;
    }
}

static size_t put_prefix(char *line, size_t cap, const char *level)
{
    char name[NAME_BYTES];
    char when[32];
    int n;

    pthread_mutex_lock(&g_name_lock);
    memcpy(name, g_name, sizeof name);
    pthread_mutex_unlock(&g_name_lock);
    fm_clock_format(fm_clock_wall_s(), when, sizeof when);
    n = snprintf(line, cap, "%s %-5s %s%s", when, level, name, name[0] ? ": " : "");
    return n > 0 ? (size_t)n : 0;
}

void fm_log(fm_log_level level, const char *fmt, ...)
{
    char line[LINE_BYTES];
    int saved = errno;
    size_t len;
    va_list ap;

    if ((int)level < 0 || level > FM_LOG_DEBUG || (int)level > current_level())
        return;
    len = put_prefix(line, sizeof line - 1, level_names[level]);
    va_start(ap, fmt);
    if (vsnprintf(line + len, sizeof line - 1 - len, fmt, ap) < 0)
        line[len] = '\0';
    va_end(ap);
    fm_text_clean(line);
    len = strlen(line);
    line[len++] = '\n';
    write_all(line, len); /* one write, so that lines of several threads do not mix */
    errno = saved;
}

void fm_log_clock_set(fm_clock_seen *seen)
{
    const int64_t step = fm_clock_step_s(seen, fm_clock_wall_s(), fm_clock_now_ms());

    if (step != 0)
        fm_log(FM_LOG_WARN,
               "this machine's clock was set %s by %lld s; certificates are judged by it, and may "
               "be refused until it is right",
               step < 0 ? "back" : "forward", (long long)(step < 0 ? -step : step));
}
