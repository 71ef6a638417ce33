/*
 * A file's expressions are Oniguruma's (Ruby syntax, UTF-8). What people write in them means the
 * same to PCRE2 but for some corners (\s and U+180E, \v, \h, classes within classes, `{,n}`), so
 * they are read here, written anew in forms of one meaning, and refused where that is not known.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tokenizer_internal.h"

#define MAX_DEPTH 32
#define MAX_REPEAT 1000u
#define END UINT32_MAX

typedef struct {
    const char *where;
    const uint8_t *text;
    size_t len, at;
    fm_buf *out;
    unsigned depth;
    bool fold;     /* within (?i: */
    uint32_t last; /* the literal just before, under fold; 0: none */
    fm_tk_set set; /* of the atom under way, where it is one character */
    bool single;   /* it is */
    char repeated; /* how: '1' not, '?', '+', 'm' {1,most}, 'x' in another way */
    uint32_t most;
    size_t items; /* read at the top, bars counted */
    struct {
        fm_tk_set set;
        char repeated; /* 0: not one character; '$' */
        uint32_t most;
    } top[2];
    fm_status st;
} reader;

static fm_status FM_PRINTF(2, 3) refuse(reader *r, const char *fmt, ...)
{
    char what[160];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (!r->st)
        r->st = fm_fail(FM_EPROTO, "%s: at byte %zu of the expression: %s", r->where, r->at, what);
    return r->st;
}

static void put(reader *r, const char *text)
{
    if (!r->st)
        r->st = fm_buf_append(r->out, text, strlen(text));
}

static void put_char(reader *r, uint32_t c)
{
    if (!r->st)
        r->st = fm_buf_printf(r->out, "\\x{%x}", c);
}

/* The next character, END at the end; advances. */
static uint32_t take(reader *r)
{
    size_t len;
    uint32_t c;

    if (r->at >= r->len)
        return END;
    c = fm_tk_decode(r->text + r->at, &len);
    r->at += len;
    return c;
}

static void member(reader *r, uint32_t lo, uint32_t hi)
{
    if (!r->st)
        r->st = fm_tk_set_add(&r->set, lo, hi);
}

/* White_Space. */
static void spaces(reader *r)
{
    r->set.categories |= fm_tk_categories("Z");
    member(r, 0x09, 0x0d);
    member(r, 0x85, 0x85);
}

static void categories(reader *r, const char *name, bool negative)
{
    const uint32_t bits = fm_tk_categories(name);

    r->set.categories |= negative ? ~bits & FM_TK_ALL_CATEGORIES : bits;
}

static bool next_is(const reader *r, const char *text)
{
    const size_t n = strlen(text);

    return r->len - r->at >= n && memcmp(r->text + r->at, text, n) == 0;
}

static bool accept(reader *r, const char *text)
{
    if (!next_is(r, text))
        return false;
    r->at += strlen(text);
    return true;
}

static bool is_ascii_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- Escapes ---- */

/* \p{...} and \P{...}: general categories by their short names. */
static void property(reader *r, bool negative)
{
    char name[4] = "", text[16];
    size_t n = 0;

    if (!accept(r, "{")) {
        (void)refuse(r, "\\p without {...}");
        return;
    }
    if (accept(r, "^"))
        negative = !negative;
    while (r->at < r->len && n < 3 && is_ascii_word(r->text[r->at]))
        name[n++] = (char)r->text[r->at++];
    if (!fm_tk_categories(name) || !accept(r, "}")) {
        (void)refuse(r, "only the general categories are known in \\p{...} (L, Lu, N, P, ...)");
        return;
    }
    categories(r, name, negative);
    (void)snprintf(text, sizeof text, "\\%c{%s}", negative ? 'P' : 'p', name);
    put(r, text);
}

/* Hexadecimal digits, at most `most`; END when there are none. */
static uint32_t hex(reader *r, size_t most)
{
    uint32_t v = 0;
    size_t n = 0;

    for (; n < most && r->at < r->len; n++, r->at++) {
        const uint8_t b = r->text[r->at];

        if (b >= '0' && b <= '9')
            v = v << 4 | (uint32_t)(b - '0');
        else if ((b | 32) >= 'a' && (b | 32) <= 'f')
            v = v << 4 | (uint32_t)((b | 32) - 'a' + 10);
        else
            break;
    }
    return n ? v : END;
}

/* An escape that stands for one character; 0 when it stands for something else (`letter`). */
static uint32_t escaped_char(reader *r, uint32_t letter)
{
    static const char from[] = "rnftvae", to[] = "\r\n\f\t\v\a\x1b";
    const char *known = letter < 0x80 && letter ? strchr(from, (int)letter) : NULL;
    uint32_t c;

    if (known)
        return (uint8_t)to[known - from];
    if (letter >= 0x80 || !is_ascii_word(letter))
        return letter;
    if (letter == 'x' && accept(r, "{")) {
        c = hex(r, 6);
        if (c == END || !accept(r, "}") || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || !c)
            (void)refuse(r, "not a character: \\x{...}");
        return c;
    }
    if (letter == 'x' || letter == 'u') {
        const size_t begin = r->at;

        c = hex(r, letter == 'x' ? 2 : 4);
        if (c == END || !c || (letter == 'x' && c >= 0x80) ||
            (letter == 'u' && (r->at - begin != 4 || (c >= 0xd800 && c <= 0xdfff))))
            (void)refuse(r, "not a character: \\%c", (int)letter);
        return c;
    }
    return 0;
}

/* ---- Classes ---- */

/* One member or end of a range; 0 when it was a set (\s, \p{...}), which is written at once. */
static uint32_t class_member(reader *r)
{
    uint32_t c = take(r);

    if (c == END) {
        (void)refuse(r, "a class is not closed");
    } else if (c == '[') {
        (void)refuse(r, "a '[' in a class must be written \\[ (classes in classes are not known)");
    } else if (c == '&' && next_is(r, "&")) {
        (void)refuse(r, "intersections of classes (&&) are not known");
    } else if (c == '\\') {
        const uint32_t letter = take(r), plain = letter == END ? 0 : escaped_char(r, letter);

        if (plain)
            return plain;
        if (letter == 's') {
            put(r, FM_TK_SPACES);
            spaces(r);
        } else if (letter == 'd' || letter == 'D') {
            put(r, letter == 'd' ? "\\p{Nd}" : "\\P{Nd}");
            categories(r, "Nd", letter == 'D');
        } else if (letter == 'p' || letter == 'P') {
            property(r, letter == 'P');
        } else {
            (void)refuse(r, "this escape is not known in a class");
        }
        return 0;
    } else if (r->fold && c >= 0x80) {
        (void)refuse(r, "only ASCII is known within (?i:...)");
    }
    return c;
}

static void class_(reader *r)
{
    size_t members = 0;
    uint32_t lo, hi;

    r->set.negated = accept(r, "^");
    put(r, r->set.negated ? "[^" : "[");
    if (next_is(r, "]"))
        (void)refuse(r, "an empty class");
    while (!r->st && !accept(r, "]")) {
        if (next_is(r, "-") && members && !next_is(r, "-]")) {
            (void)refuse(r, "a '-' that is no range must be first, last or \\-");
            break;
        }
        lo = hi = class_member(r);
        members++;
        if (r->st || !lo)
            continue;
        if (next_is(r, "-") && !next_is(r, "-]")) {
            r->at++;
            if (!(hi = class_member(r)) || hi < lo) {
                (void)refuse(r, "a range in a class is not in order");
                break;
            }
        }
        member(r, lo, hi);
        put_char(r, lo);
        if (hi != lo) {
            put(r, "-");
            put_char(r, hi);
        }
    }
    put(r, "]");
}

/* ---- Sequences ---- */

static void alternatives(reader *r);

static void group(reader *r)
{
    static const char *const known[] = { "?:", "?=", "?!", "?<=", "?<!", "?>", "?i:" };
    const bool fold = r->fold;
    size_t i = 0;

    if (++r->depth > MAX_DEPTH) {
        (void)refuse(r, "groups are nested too deep");
        return;
    }
    while (i < sizeof known / sizeof known[0] && !accept(r, known[i]))
        i++;
    if (i == sizeof known / sizeof known[0] && next_is(r, "?"))
        (void)refuse(r, "this kind of group is not known");
    put(r, "(");
    put(r, i < sizeof known / sizeof known[0] ? known[i] : "?:"); /* nothing refers to a group */
    r->fold = fold || (i < sizeof known / sizeof known[0] && strcmp(known[i], "?i:") == 0);
    r->last = 0;
    alternatives(r);
    r->fold = fold;
    r->last = 0;
    if (!accept(r, ")"))
        (void)refuse(r, "a group is not closed");
    put(r, ")");
    r->depth--;
}

static void literal(reader *r, uint32_t c)
{
    static const char *const folds[] = { "ss", "ff", "fi", "fl", "st" };

    if (r->fold && c >= 0x80)
        (void)refuse(r, "only ASCII is known within (?i:...)");
    if (r->fold && r->last) {
        /* One character that folds to two (as the sharp s) matches two in Oniguruma. */
        for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++)
            if ((r->last | 32) == (uint32_t)folds[i][0] && (c | 32) == (uint32_t)folds[i][1])
                (void)refuse(r, "'%s' within (?i:...) is not known", folds[i]);
    }
    r->last = c;
    member(r, c, c);
    put_char(r, c);
}

static void escape(reader *r)
{
    const uint32_t letter = take(r);
    uint32_t c;

    if (letter == END) {
        (void)refuse(r, "it ends in a backslash");
        return;
    }
    if ((c = escaped_char(r, letter)) != 0) {
        literal(r, c);
        return;
    }
    r->last = 0;
    switch (letter) {
    case 's':
    case 'S':
        put(r, letter == 's' ? "[" FM_TK_SPACES "]" : "[^" FM_TK_SPACES "]");
        spaces(r);
        r->set.negated = letter == 'S';
        break;
    case 'd':
    case 'D':
        put(r, letter == 'd' ? "\\p{Nd}" : "\\P{Nd}");
        categories(r, "Nd", letter == 'D');
        break;
    case 'p':
    case 'P':
        property(r, letter == 'P');
        break;
    default:
        (void)refuse(r, "the escape \\%c is not known", (int)letter);
    }
}

/* One thing that can be repeated; false for an assertion, which cannot. */
static bool atom(reader *r)
{
    const bool look = next_is(r, "(?=") || next_is(r, "(?!") || next_is(r, "(?<");
    const uint32_t c = take(r);

    fm_tk_set_fini(&r->set);
    r->single = c != '(' && c != '^' && c != '$';
    if (c != '\\' && (c < 0x80 && !is_ascii_word(c) && strchr(".[(^$", (int)c)))
        r->last = 0;
    switch (c) {
    case '(':
        group(r);
        r->single = false;
        return !look;
    case '[':
        class_(r);
        return true;
    case '\\':
        escape(r);
        return true;
    case '.':
        put(r, "[^\\n]");
        member(r, '\n', '\n');
        r->set.negated = true;
        return true;
    case '^':
    case '$':
        put(r, c == '^' ? "^" : "$"); /* at every line, as in Ruby: PCRE2_MULTILINE */
        return false;
    case '?':
    case '*':
    case '+':
    case '{':
        (void)refuse(r, "'%c' has nothing to repeat (write \\%c for the character)", (int)c,
                     (int)c);
        return false;
    default:
        literal(r, c);
        return true;
    }
}

static bool number(reader *r, uint32_t *out)
{
    uint32_t v = 0;
    const size_t begin = r->at;

    while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9' && v <= MAX_REPEAT)
        v = v * 10 + (uint32_t)(r->text[r->at++] - '0');
    if (v > MAX_REPEAT)
        (void)refuse(r, "more than %u repetitions", MAX_REPEAT);
    *out = v;
    return r->at > begin;
}

/* {n} {n,} {,m} {n,m}, and a ? where both have one meaning. */
static void braces(reader *r)
{
    uint32_t lo = 0, hi = 0;
    const bool low = number(r, &lo), comma = accept(r, ","), high = comma && number(r, &hi);
    char text[32];

    if (r->st || (!low && !high) || !accept(r, "}")) {
        (void)refuse(r, "braces that are no repetition must be written \\{");
        return;
    }
    if (!comma)
        (void)snprintf(text, sizeof text, "{%u}", lo);
    else if (high)
        (void)snprintf(text, sizeof text, "{%u,%u}", lo, hi);
    else
        (void)snprintf(text, sizeof text, "{%u,}", lo);
    put(r, text);
    if (next_is(r, "+") || next_is(r, "*") || (!comma && next_is(r, "?")) || (high && hi < lo))
        (void)refuse(r, "this repetition is not known");
    r->repeated = high && lo == 1 && !next_is(r, "?") ? 'm' : 'x';
    r->most = hi;
    if (accept(r, "?"))
        put(r, "?");
}

static void repetition(reader *r, bool repeatable)
{
    const uint8_t c = r->at < r->len ? r->text[r->at] : 0;
    const char text[2] = { (char)c, '\0' };

    r->repeated = '1';
    if (c != '?' && c != '*' && c != '+' && c != '{')
        return;
    r->at++;
    r->last = 0;
    if (!repeatable)
        (void)refuse(r, "an assertion is repeated");
    if (c == '{') {
        braces(r);
    } else {
        const char *const kind = accept(r, "?") ? "?" : accept(r, "+") ? "+" : "";

        put(r, text);
        put(r, kind);
        r->repeated = *kind || c == '*' ? 'x' : (char)c;
    }
    if (next_is(r, "?") || next_is(r, "*") || next_is(r, "+") || next_is(r, "{"))
        (void)refuse(r, "a repetition is repeated");
}

/* The first two things at the top: with them an expression may be at its end, and simple. */
static void remember(reader *r, bool bar)
{
    const size_t i = r->items++;

    if (i >= sizeof r->top / sizeof r->top[0])
        return;
    if (!bar && r->single) {
        r->top[i].repeated = r->repeated;
        r->top[i].most = r->most;
        r->top[i].set = r->set;
        r->set = (fm_tk_set){ 0 };
    } else if (!bar && r->text[r->at - 1] == '$') {
        r->top[i].repeated = '$';
    }
}

static void alternatives(reader *r)
{
    const bool top = r->depth == 0;

    r->last = 0;
    while (!r->st && r->at < r->len && !next_is(r, ")")) {
        const bool bar = accept(r, "|");

        if (bar) {
            put(r, "|");
            r->last = 0;
        } else {
            repetition(r, atom(r));
        }
        if (top)
            remember(r, bar);
    }
}

static bool is_run(char repeated)
{
    return repeated == '1' || repeated == '+' || repeated == 'm';
}

/* Move what was remembered to `runs` when it is all there was, and of a kind that is known. */
static void simplify(reader *r, fm_tk_runs *runs)
{
    const char a = r->top[0].repeated, b = r->top[1].repeated;

    runs->leads = r->items == 2 && a == '?' && is_run(b);
    runs->at_end = r->items == 2 && a == '+' && b == '$';
    runs->known = (r->items == 1 && is_run(a)) || runs->leads || runs->at_end;
    if (runs->known && !r->st) {
        const size_t body = runs->leads ? 1 : 0;
        const char how = r->top[body].repeated;

        runs->most = how == '1' ? 1 : how == 'm' ? r->top[body].most : SIZE_MAX;
        runs->body = r->top[body].set;
        r->top[body].set = (fm_tk_set){ 0 };
        if (runs->leads) {
            runs->lead = r->top[0].set;
            r->top[0].set = (fm_tk_set){ 0 };
        }
    }
    fm_tk_set_fini(&r->top[0].set);
    fm_tk_set_fini(&r->top[1].set);
    fm_tk_set_fini(&r->set);
}

fm_status fm_tk_pattern_translate(const char *where, const char *text, size_t len, fm_buf *out,
                                  fm_tk_runs *runs)
{
    reader r = { .where = where, .text = (const uint8_t *)text, .len = len, .out = out };

    if (len == 0 || len > FM_TK_MAX_PATTERN)
        return fm_fail(FM_EPROTO, "%s: an expression must have 1 to %zu bytes", where,
                       FM_TK_MAX_PATTERN);
    alternatives(&r);
    if (!r.st && r.at < r.len)
        (void)refuse(&r, "a ')' without '('");
    simplify(&r, runs);
    return r.st;
}

static fm_status library_failed(const char *where, int code)
{
    PCRE2_UCHAR text[128] = "";

    (void)pcre2_get_error_message(code, text, sizeof text);
    return fm_fail(FM_EPROTO, "%s: the expression cannot be used: %s", where, (const char *)text);
}

static fm_status compile(const char *where, PCRE2_SPTR text, size_t len, uint32_t options,
                         pcre2_code **out)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_SIZE at;
    int code;

    if (!context)
        return fm_fail(FM_ENOMEM, "no memory for an expression");
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *out = pcre2_compile(text, len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!*out)
        return library_failed(where, code);
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it: slower */
    return FM_OK;
}

fm_status fm_tk_pattern_compile(const char *where, const char *text, size_t len, bool literal,
                                pcre2_code **out, fm_tk_runs *runs)
{
    const fm_tk_classes *c;
    fm_buf pattern = { 0 };
    fm_status st;

    if (literal && len == 0)
        return fm_fail(FM_EPROTO, "%s: nothing to look for", where);
    if (literal)
        return compile(where, (PCRE2_SPTR)text, len,
                       PCRE2_UTF | PCRE2_LITERAL | PCRE2_USE_OFFSET_LIMIT, out);
    st = fm_tk_pattern_translate(where, text, len, &pattern, runs);
    if (!st && runs->known && (st = fm_tk_classes_get(&c)) == FM_OK) {
        fm_tk_set_close(&runs->body, c);
        fm_tk_set_close(&runs->lead, c);
    } else if (!st) {
        st = compile(where, pattern.data, pattern.len,
                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT, out);
    }
    fm_buf_fini(&pattern);
    return st;
}
