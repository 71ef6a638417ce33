/* What a file is, by its first bytes: people export the wrong thing, or name the wrong file. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/input.h"

#define UNPACK "unpack it, and name the file that is in it"
#define LOGIN "the download may have failed or want a login"
#define TEXT_AT ((size_t)512)
#define TAR_AT ((size_t)257)

typedef struct {
    const char *begins;
    size_t len;
    fm_input_other other;
} signature;

static const signature bytes[] = {
    { "\xff\xfe\0\0", 4, { "UTF-32 text", "save it in UTF-8", FM_INPUT_UTF16 } },
    { "\xff\xfe", 2, { "UTF-16 text", "save it in UTF-8", FM_INPUT_UTF16 } },
    { "\xfe\xff", 2, { "UTF-16 text", "save it in UTF-8", FM_INPUT_UTF16 } },
    { "\xd0\xcf\x11\xe0",
      4,
      { "an old Excel workbook", "export the sheet as CSV in UTF-8", FM_INPUT_BINARY } },
    { "\x1f\x8b", 2, { "packed (gzip)", "unpack it: gzip -d FILE", FM_INPUT_BINARY } },
    { "\xfd"
      "7zXZ",
      5,
      { "packed (xz)", "unpack it: xz -d FILE", FM_INPUT_BINARY } },
    { "\x28\xb5\x2f\xfd", 4, { "packed (zstd)", "unpack it: zstd -d FILE", FM_INPUT_BINARY } },
    { "BZh", 3, { "packed (bzip2)", "unpack it: bzip2 -d FILE", FM_INPUT_BINARY } },
    { "7z\xbc\xaf", 4, { "a 7z archive", UNPACK, FM_INPUT_BINARY } },
    { "Rar!", 4, { "a RAR archive", UNPACK, FM_INPUT_BINARY } },
    { "%PDF-", 5, { "a PDF", NULL, FM_INPUT_BINARY } },
    { "PAR1",
      4,
      { "a Parquet file",
        "make CSV of it: duckdb -c \"COPY (FROM 'FILE') TO 'records.csv' (HEADER)\"",
        FM_INPUT_BINARY } },
    { "ARROW1", 6, { "an Arrow (Feather) file", NULL, FM_INPUT_BINARY } },
    { "Obj\1", 4, { "an Avro file", NULL, FM_INPUT_BINARY } },
    { "ORC", 3, { "an ORC file", NULL, FM_INPUT_BINARY } },
    { "\x89HDF", 4, { "an HDF5 file", NULL, FM_INPUT_BINARY } },
    { "RDX3",
      4,
      { "an R workspace", "write it from R: write.csv(..., row.names = FALSE)", FM_INPUT_BINARY } },
    { "X\n\0\0\0",
      5,
      { "an R object (RDS)", "write it from R: write.csv(..., row.names = FALSE)",
        FM_INPUT_BINARY } },
    { "\x93NUMPY", 6, { "a NumPy array", NULL, FM_INPUT_BINARY } },
    { "$FL2", 4, { "a file of SPSS", NULL, FM_INPUT_BINARY } },
    { "<stata_dta>", 11, { "a file of Stata", NULL, FM_INPUT_BINARY } },
    { "HEADER RECORD*******LIBRARY", 27, { "a transport file of SAS", NULL, FM_INPUT_BINARY } },
    { "\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60",
      16,
      { "a data set of SAS", NULL, FM_INPUT_BINARY } },
    { "\x89PNG", 4, { "a picture", NULL, FM_INPUT_BINARY } },
    { "\xff\xd8\xff", 3, { "a picture", NULL, FM_INPUT_BINARY } },
    { "\x7f"
      "ELF",
      4,
      { "a program", NULL, FM_INPUT_BINARY } },
    { "-----BEGIN PGP MESSAGE",
      22,
      { "encrypted (PGP)", "decrypt it first: gpg -d FILE >NEW", FM_INPUT_BINARY } },
    { "-----BEGIN AGE ENCRYPTED",
      24,
      { "encrypted (age)", "decrypt it first: age -d FILE >NEW", FM_INPUT_BINARY } },
    { "age-encryption.org/",
      19,
      { "encrypted (age)", "decrypt it first: age -d FILE >NEW", FM_INPUT_BINARY } },
    { "Salted__",
      8,
      { "encrypted (openssl)", "decrypt it first: openssl enc -d", FM_INPUT_BINARY } },
    { "-----BEGIN ", 11, { "a key or certificate (PEM)", NULL, FM_INPUT_BINARY } },
};

/* After a byte order mark and white space, in any case of letters. */
static const signature texts[] = {
    { "<!doctype html", 14, { "a web page", LOGIN, FM_INPUT_BINARY } },
    { "<html", 5, { "a web page", LOGIN, FM_INPUT_BINARY } },
    { "<head", 5, { "a web page", LOGIN, FM_INPUT_BINARY } },
    { "<?xml", 5, { "XML", NULL, FM_INPUT_BINARY } },
    { "<Bundle", 7, { "XML", NULL, FM_INPUT_BINARY } },
    { "version https://git-lfs",
      23,
      { "a pointer of Git LFS to the file", "fetch the file itself: git lfs pull",
        FM_INPUT_BINARY } },
    { "{\\rtf", 5, { "a document of a word processor", NULL, FM_INPUT_BINARY } },
};

static bool holds(const char *first, size_t n, const char *what)
{
    return memmem(first, n < FM_INPUT_KIND_BYTES ? n : FM_INPUT_KIND_BYTES, what, strlen(what)) !=
           NULL;
}

/* Office files are zip archives, too. */
static const fm_input_other *zip_of(const char *first, size_t n)
{
    static const fm_input_other sheet = { "an Excel workbook", "export the sheet as CSV in UTF-8",
                                          FM_INPUT_BINARY },
                                open = { "a LibreOffice workbook",
                                         "export the sheet as CSV in UTF-8", FM_INPUT_BINARY },
                                document = { "a Word document", NULL, FM_INPUT_BINARY },
                                other = { "a zip archive", UNPACK, FM_INPUT_BINARY };

    if (holds(first, n, "opendocument.spreadsheet"))
        return &open;
    if (holds(first, n, "word/"))
        return &document;
    return holds(first, n, "[Content_Types].xml") || holds(first, n, "xl/") ||
                   holds(first, n, "docProps/")
               ? &sheet
               : &other;
}

/* Every second byte of Latin letters is NUL: UTF-16 without its mark. */
static bool is_bare_utf16(const uint8_t *b, size_t n)
{
    size_t pairs = n < 16 ? n / 2 : 8, low = 0, high = 0;

    for (size_t i = 0; i < pairs; i++) {
        low += b[2 * i] != 0 && b[2 * i + 1] == 0;
        high += b[2 * i] == 0 && b[2 * i + 1] != 0;
    }
    return pairs >= 4 && (low == pairs || high == pairs);
}

static const fm_input_other *text_of(const char *first, size_t n)
{
    static const fm_input_other json = { "JSON", NULL, FM_INPUT_JSON };
    const size_t mark = n >= 3 && memcmp(first, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *at = first + mark, *const end = first + n;

    while (at < end && strchr(" \t\r\n", *at) && *at)
        at++;
    n = (size_t)(end - at);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (n >= texts[i].len && strncasecmp(at, texts[i].begins, texts[i].len) == 0)
            return &texts[i].other;
    if (n > 1 && (*at == '{' || *at == '[')) {
        const char mark_of = *at++;

        while (at < end && strchr(" \t\r\n", *at) && *at)
            at++;
        if (at < end && (*at == '"' || (mark_of == '[' && *at == '{')))
            return &json;
    }
    return NULL;
}

static bool is_letters(const signature *s)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->begins[i] < 0x20 || s->begins[i] > 0x7e)
            return false;
    return true;
}

/* A header may begin with the letters of a signature: "ORCID,age". */
static bool is_printable(const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)b[i] < 0x20 && !strchr("\t\r\n", b[i] ? b[i] : 1))
            return false;
    return true;
}

const fm_input_other *fm_input_other_of(const void *data, size_t n)
{
    static const fm_input_other bare = { "UTF-16 text", "save it in UTF-8", FM_INPUT_UTF16 },
                                tar = { "a tar archive", UNPACK, FM_INPUT_BINARY },
                                sqlite = { "an SQLite database", NULL, FM_INPUT_SQLITE };
    const char *first = data;

    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        if (n >= bytes[i].len && memcmp(first, bytes[i].begins, bytes[i].len) == 0 &&
            (bytes[i].len > 4 || !is_letters(&bytes[i]) ||
             !is_printable(first, n < TEXT_AT ? n : TEXT_AT)))
            return &bytes[i].other;
    if (n >= 4 && memcmp(first, "PK\3\4", 4) == 0)
        return zip_of(first, n);
    if (n >= 15 && memcmp(first, "SQLite format 3", 15) == 0)
        return &sqlite;
    if (n >= TAR_AT + 5 && memcmp(first + TAR_AT, "ustar", 5) == 0)
        return &tar;
    return is_bare_utf16(data, n) ? &bare : text_of(first, n);
}
