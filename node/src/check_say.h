/* What check says: to a person in groups, or to a script as JSON, one object a line. One thread. */
#ifndef FEDMOE_NODE_CHECK_SAY_H
#define FEDMOE_NODE_CHECK_SAY_H

#include "fedmoe/base/memory.h"
#include "fedmoe/model/survey.h"

typedef enum { FM_SAY_OK, FM_SAY_NOTE, FM_SAY_WARNING, FM_SAY_PROBLEM } fm_say_level;

typedef struct {
    bool json;
    bool all; /* every finding, when it is found */
    uint64_t problems, warnings;
} fm_say;

/** One thing that was looked at. @param text of one or more lines. */
void fm_say_line(fm_say *s, const char *what, fm_say_level level, const char *text);
/** FM_OK: `detail`; else a problem, with the thread's error text. */
void fm_say_status(fm_say *s, const char *what, fm_status st, const char *detail);
/** Lines that are problems each, the first 20 of them or all. */
void fm_say_lines(fm_say *s, const char *what, const char *lines);
/** fm_survey_options.each of --all. @param say fm_say *. */
fm_status fm_say_finding(void *say, const fm_finding *f);
/** All that a survey found, each kind with what to do about it. Counts them. */
FM_NODISCARD fm_status fm_say_survey(fm_say *s, const fm_schema *schema, const fm_survey *survey);
/** A table of all columns, or an object for each. */
void fm_say_columns(const fm_say *s, const fm_schema *schema, const fm_survey *survey);
/** The last line of JSON: the counts. */
void fm_say_end(const fm_say *s);

#endif
