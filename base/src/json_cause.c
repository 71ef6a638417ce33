/* What people and their programs write in place of JSON, by what the parser stumbles over. */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/json.h"

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The last byte before `at` that is no blank; NUL: there is none. */
static char before(const char *text, size_t at)
{
    while (at > 0 && strchr(" \t\r", text[at - 1]))
        at--;
    return at > 0 ? text[at - 1] : '\0';
}

static const char *of_value(const char *token, char next)
{
    if (strcasecmp(token, "nan'") == 0 || begins(token, "Infinity") ||
        (*token == '-' && next == 'I'))
        return "NaN and Infinity are no JSON; leave the element out where there is no value";
    if (strcasecmp(token, "true'") == 0 || strcasecmp(token, "false'") == 0 ||
        strcasecmp(token, "null'") == 0 || begins(token, "None'"))
        return "JSON writes true, false and null, in lower case";
    if (*token == '+')
        return "a number has no + before it";
    if (*token == '.')
        return "a number has a digit before its point: 0.5";
    if (*token == '0' && is_digit(next))
        return "a number does not begin with 0: 25.5, not 025.5";
    if (is_digit(*token) && strstr(token, ".'"))
        return "a number has a digit behind its point";
    return NULL;
}

static const char *of_text(const char *token)
{
    if (*token == '\'' && token[1] == '\'')
        return "keys and texts stand in double quotes, not in single ones";
    if (begins(token, "\xe2\x80"))
        return "the quotes of a word processor; write \"straight\" ones";
    if (begins(token, "\xef\xbb\xbf"))
        return "a byte order mark within the file: were two files put together? Take it away";
    return NULL;
}

static const char *of_order(const char *wanted, const char *token, char last)
{
    if (begins(wanted, "string or '}'") && last == ',' && (*token == '}' || *token == ']'))
        return "a comma too many before the bracket";
    if (begins(wanted, "string or '}'") && is_digit(*token))
        return "a decimal comma; write a point: 24.5";
    if (begins(wanted, "string or '}'"))
        return "a key without double quotes";
    if ((begins(wanted, "'}'") || begins(wanted, "']'")) && *token == '"')
        return "a comma is missing before it";
    if (begins(wanted, "'}'") || begins(wanted, "']'"))
        return "a bracket that was opened before it is not closed";
    if (begins(wanted, "':'"))
        return "a colon is missing behind a key";
    return NULL;
}

const char *fm_json_cause(const char *text, size_t len, const json_error_t *e)
{
    const char *token = strstr(e->text, " near '"), *found = NULL;
    const size_t end = e->position > 0 ? (size_t)e->position : 0;
    size_t n, from;

    if (begins(e->text, "control character"))
        return "a control character in a text, such as a tab; write \\t, or \\n for the end of a "
               "line";
    if (begins(e->text, "invalid escape"))
        return "a backslash that begins no escape of JSON; write \\\\ for a backslash";
    if (json_error_code(e) == json_error_end_of_input_expected && before(text, len) == ',' &&
        end <= len && text[end + strspn(text + end, " \t\r")] == '\0')
        return "a comma at the end of the line, where nothing belongs: sed 's/,[[:space:]]*$//' "
               "FILE "
               ">NEW takes all of them away";
    if (json_error_code(e) == json_error_end_of_input_expected)
        return "something stands behind the object; each object has a line of its own";
    if (json_error_code(e) != json_error_invalid_syntax || !token || end > len)
        return fm_json_reason(e);
    token += strlen(" near '");
    n = strlen(token);
    n -= n > 0; /* its closing quote */
    from = end > n ? end - n : 0;
    if (!(found = of_text(token)) && !(found = of_value(token, end < len ? text[end] : '\0')))
        found = of_order(e->text, token, before(text, from));
    return found ? found : fm_json_reason(e);
}
