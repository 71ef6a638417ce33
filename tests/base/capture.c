#include "capture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "fedmoe/base/status.h"

static struct {
    FILE *file;
    int saved;
    char text[16384];
} g_captures[2];

static size_t which(FILE *stream)
{
    return stream == stderr;
}

void capture_begin(FILE *stream)
{
    size_t i = which(stream);

    fflush(stream);
    g_captures[i].file = tmpfile();
    g_captures[i].saved = dup(fileno(stream));
    if (!g_captures[i].file || g_captures[i].saved < 0 ||
        dup2(fileno(g_captures[i].file), fileno(stream)) < 0)
        abort();
}

const char *capture_end(FILE *stream)
{
    size_t i = which(stream);
    size_t n;

    fflush(stream);
    rewind(g_captures[i].file);
    n = fread(g_captures[i].text, 1, sizeof g_captures[i].text - 1, g_captures[i].file);
    g_captures[i].text[n] = '\0';
    if (dup2(g_captures[i].saved, fileno(stream)) < 0)
        abort();
    close(g_captures[i].saved);
    fclose(g_captures[i].file);
    return g_captures[i].text;
}

void assert_has(const char *text, const char *needle)
{
    int found = strstr(text, needle) != NULL;

    if (!found)
        printf("\n    missing: %s\n    in: %s\n", needle, text);
    CU_ASSERT(found);
}

void assert_lacks(const char *text, const char *needle)
{
    int found = strstr(text, needle) != NULL;

    if (found)
        printf("\n    unwanted: %s\n    in: %s\n", needle, text);
    CU_ASSERT(!found);
}

void assert_error_has(const char *needle)
{
    assert_has(fm_error_text(), needle);
}
