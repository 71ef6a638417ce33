/* Text from outside: UTF-8 (RFC 3629), no control characters. */
#ifndef FEDMOE_PROTO_UTF8_INTERNAL_H
#define FEDMOE_PROTO_UTF8_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/** Bytes of the well-formed character at s[0..len), 0 when there is none. */
size_t fm_utf8_length(const char *s, size_t len);
/** Whether the character that fm_utf8_length measured is a control character (U+0000.. 1F, 7F..9F).
 */
bool fm_utf8_is_control(const char *s);
/** All of s[0..len) well-formed and no control character but, with `lines`, tab, CR and LF. */
bool fm_utf8_is_text(const char *s, size_t len, bool lines);

#endif
