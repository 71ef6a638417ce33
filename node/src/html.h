/*
 * A tiny HTML writer. What is markup is a constant of this program; everything else, our own
 * figures too, goes in as text and is escaped, so that no name or purpose from outside can become
 * markup. The first failure sticks; look at it once, at the end. One writer, one thread.
 */
#ifndef FEDMOE_NODE_HTML_H
#define FEDMOE_NODE_HTML_H

#include "fedmoe/base/memory.h"

typedef struct {
    fm_buf *out;  /* borrowed, appended to */
    fm_status st; /* FM_OK, or the first failure */
} fm_html;

/** Markup: constants only, never anything from outside. */
void fm_html_raw(fm_html *h, const char *markup);
/** Markup with numbers in it (coordinates): the format may hold no %s. */
void fm_html_rawf(fm_html *h, const char *format, ...) FM_PRINTF(2, 3);

/**
 * Text, for between tags and within double-quoted attributes: & < > " ' become references; what is
 * not UTF-8, control characters and the marks that turn the direction of writing become U+FFFD.
 */
void fm_html_text(fm_html *h, const char *text);
void fm_html_textf(fm_html *h, const char *format, ...) FM_PRINTF(2, 3);

/** <name>text</name>, or with a class (NULL: none); name and class are constants. */
void fm_html_element(fm_html *h, const char *name, const char *class, const char *format, ...)
    FM_PRINTF(4, 5);

#endif
