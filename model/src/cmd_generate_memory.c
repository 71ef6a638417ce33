#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_generate.h"
#include "fedmoe/base/text.h"

#define MEGABYTE 1e6
/* Pages of the program itself and of its libraries, and what the system rounds up. */
#define PROGRAM_BYTES ((uint64_t)12 << 20)

static fm_status parse(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    const size_t n = strlen(text);
    const char *unit = n ? strchr(units, text[n - 1]) : NULL;
    char number[24];
    uint64_t value = 0, by = 1;

    for (size_t i = 0; unit && i <= (size_t)(unit - units); i++)
        by *= 1000;
    (void)snprintf(number, sizeof number, "%.*s", (int)(unit ? n - 1 : n), text);
    if (n >= sizeof number || !fm_text_u64(number, &value) || !value || value > UINT64_MAX / by)
        return fm_fail(FM_EINVAL, "--memory: '%.40s' is no size; 500M and 2G are such", text);
    *out = value * by;
    return FM_OK;
}

/* Not getrusage's: of a program that a large one has started that is the large one's. */
uint64_t fm_cmd_generate_peak(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long long kb = 0;
    char line[160];

    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %llu kB", &kb) != 1)
        ;
    if (f)
        (void)fclose(f);
    return (uint64_t)kb * 1024;
}

/* What is in memory now, but for pages of files: /proc/self/statm, in pages. */
static fm_status own_bytes(uint64_t *out)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long long all, resident = 0, shared = 0;
    const int found = f ? fscanf(f, "%llu %llu %llu", &all, &resident, &shared) : 0;

    if (f)
        (void)fclose(f);
    if (found != 3 || shared > resident)
        return fm_fail(FM_EIO, "--memory: /proc/self/statm does not tell what is in use");
    *out = (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
    return FM_OK;
}

fm_status fm_cmd_generate_limit(const char *memory, fm_edge_model *m, const fm_edge_session *s)
{
    uint64_t limit, own, needed;
    fm_status st;

    if (!memory)
        return FM_OK;
    if ((st = parse(memory, &limit)) || (st = own_bytes(&own)))
        return st;
    /* The cache is in memory as far as the text has come. */
    needed = own + fm_edge_session_memory(s).cache + PROGRAM_BYTES;
    if (limit <= needed)
        return fm_fail(FM_EINVAL,
                       "--memory: tokenizer, session and a cache for this context take %.0f MB "
                       "alone; give more, or a shorter --context",
                       (double)needed / MEGABYTE);
    return fm_edge_model_limit(m, limit - needed);
}
