/*
 * A file's expressions are Oniguruma's (Ruby syntax, UTF-8). What people write in them means the
 * same to PCRE2 but for some corners (\s and U+180E, \v, \h, classes within classes, `{,n}`), so
 * they are read here, written anew in forms of one meaning, and refused where that is not known.
 */
#include <stdio.h>

#include "tokenizer_pattern.h"

#define MAX_DEPTH 32
#define MAX_REPEAT 1000u

static void alternatives(fm_tk_reader *r);

static void group(fm_tk_reader *r)
{
    static const char *const known[] = { "?:", "?=", "?!", "?<=", "?<!", "?>", "?i:" };
    const bool fold = r->fold;
    size_t i = 0;

    if (++r->depth > MAX_DEPTH) {
        (void)fm_tk_re_refuse(r, "groups are nested too deep");
        return;
    }
    while (i < sizeof known / sizeof known[0] && !accept(r, known[i]))
        i++;
    if (i == sizeof known / sizeof known[0] && next_is(r, "?"))
        (void)fm_tk_re_refuse(r, "this kind of group is not known");
    put(r, "(");
    put(r, i < sizeof known / sizeof known[0] ? known[i] : "?:"); /* nothing refers to a group */
    r->fold = fold || (i < sizeof known / sizeof known[0] && strcmp(known[i], "?i:") == 0);
    r->last = 0;
    alternatives(r);
    r->fold = fold;
    r->last = 0;
    if (!accept(r, ")"))
        (void)fm_tk_re_refuse(r, "a group is not closed");
    put(r, ")");
    r->depth--;
}

static void literal(fm_tk_reader *r, uint32_t c)
{
    static const char *const folds[] = { "ss", "ff", "fi", "fl", "st" };

    if (r->fold && c >= 0x80)
        (void)fm_tk_re_refuse(r, "only ASCII is known within (?i:...)");
    if (r->fold && r->last) {
        /* One character that folds to two (as the sharp s) matches two in Oniguruma. */
        for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++)
            if ((r->last | 32) == (uint32_t)folds[i][0] && (c | 32) == (uint32_t)folds[i][1])
                (void)fm_tk_re_refuse(r, "'%s' within (?i:...) is not known", folds[i]);
    }
    r->last = c;
    member(r, c, c);
    put_char(r, c);
}

static void escape(fm_tk_reader *r)
{
    const uint32_t letter = take(r);
    uint32_t c;

    if (letter == FM_TK_RE_END) {
        (void)fm_tk_re_refuse(r, "it ends in a backslash");
        return;
    }
    if ((c = fm_tk_re_escaped(r, letter)) != 0) {
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
        fm_tk_re_property(r, letter == 'P');
        break;
    default:
        (void)fm_tk_re_refuse(r, "the escape \\%c is not known", (int)letter);
    }
}

/* One thing that can be repeated; false for an assertion, which cannot. */
static bool atom(fm_tk_reader *r)
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
        fm_tk_re_class(r);
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
        (void)fm_tk_re_refuse(r, "'%c' has nothing to repeat (write \\%c for the character)",
                              (int)c, (int)c);
        return false;
    default:
        literal(r, c);
        return true;
    }
}

static bool number(fm_tk_reader *r, uint32_t *out)
{
    uint32_t v = 0;
    const size_t begin = r->at;

    while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9' && v <= MAX_REPEAT)
        v = v * 10 + (uint32_t)(r->text[r->at++] - '0');
    if (v > MAX_REPEAT)
        (void)fm_tk_re_refuse(r, "more than %u repetitions", MAX_REPEAT);
    *out = v;
    return r->at > begin;
}

/* {n} {n,} {,m} {n,m}, and a ? where both have one meaning. */
static void braces(fm_tk_reader *r)
{
    uint32_t lo = 0, hi = 0;
    const bool low = number(r, &lo), comma = accept(r, ","), high = comma && number(r, &hi);
    char text[32];

    if (r->st || (!low && !high) || !accept(r, "}")) {
        (void)fm_tk_re_refuse(r, "braces that are no repetition must be written \\{");
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
        (void)fm_tk_re_refuse(r, "this repetition is not known");
    r->repeated = high && lo == 1 && !next_is(r, "?") ? 'm' : 'x';
    r->most = hi;
    if (accept(r, "?"))
        put(r, "?");
}

static void repetition(fm_tk_reader *r, bool repeatable)
{
    const uint8_t c = r->at < r->len ? r->text[r->at] : 0;
    const char text[2] = { (char)c, '\0' };

    r->repeated = '1';
    if (c != '?' && c != '*' && c != '+' && c != '{')
        return;
    r->at++;
    r->last = 0;
    if (!repeatable)
        (void)fm_tk_re_refuse(r, "an assertion is repeated");
    if (c == '{') {
        braces(r);
    } else {
        const char *const kind = accept(r, "?") ? "?" : accept(r, "+") ? "+" : "";

        put(r, text);
        put(r, kind);
        r->repeated = *kind || c == '*' ? 'x' : (char)c;
    }
    if (next_is(r, "?") || next_is(r, "*") || next_is(r, "+") || next_is(r, "{"))
        (void)fm_tk_re_refuse(r, "a repetition is repeated");
}

/* The first two things at the top: with them an expression may be at its end, and simple. */
static void remember(fm_tk_reader *r, bool bar)
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

static void alternatives(fm_tk_reader *r)
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
static void simplify(fm_tk_reader *r, fm_tk_runs *runs)
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
    fm_tk_reader r = { .where = where, .text = (const uint8_t *)text, .len = len, .out = out };

    if (len == 0 || len > FM_TK_MAX_PATTERN)
        return fm_fail(FM_EPROTO, "%s: an expression must have 1 to %zu bytes", where,
                       FM_TK_MAX_PATTERN);
    alternatives(&r);
    if (!r.st && r.at < r.len)
        (void)fm_tk_re_refuse(&r, "a ')' without '('");
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
