#include "check_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "records.h"

#define KEPT "check.json" /* beside node.yaml */
#define PROBLEMS_MOST ((size_t)1 << 20)

/** The plan's bound on the rows of one unit, unless one was given or none was offered. */
static fm_status find_bound(const fm_check_records *o, const fm_node_config *c, uint64_t *bound)
{
    json_t *plan = NULL;
    fm_status st;

    *bound = o->max_unit_rows;
    if (*bound || !fm_node_policy_unit_column(&c->policy))
        return FM_OK;
    st = fm_cmd_read_json(o->config_path, "plan.json", &plan);
    if (st == FM_OK && strcmp(fm_cmd_text(plan, "privacy_unit"), c->policy.unit) == 0)
        *bound = (uint64_t)fm_cmd_whole(plan, "max_unit_rows");
    json_decref(plan);
    return st == FM_ENOTFOUND ? FM_OK : st;
}

/** The schema given, else the one that is pinned, else that of the plan last offered, else none. */
static fm_status find_schema(const fm_check_records *o, const fm_node_config *c, fm_schema **out)
{
    json_t *plan = NULL;
    const char *text;
    fm_status st;

    if (o->schema_path || c->schema) {
        st = fm_schema_load(o->schema_path ? o->schema_path : c->schema, out);
        if (st == FM_ENOTFOUND && !o->schema_path)
            st = fm_fail(st, "%s; see data.schema in %s", fm_error_text(), o->config_path);
        return st;
    }
    st = fm_cmd_read_json(o->config_path, "plan.json", &plan);
    if (st == FM_OK) {
        text = fm_cmd_text(plan, "schema");
        st = fm_schema_parse("the schema of plan.json", text, strlen(text), out);
    } else if (st == FM_ENOTFOUND) {
        st = FM_OK;
    }
    json_decref(plan);
    return st;
}

void fm_check_readers(const fm_node_config *c, char *detail, size_t cap)
{
    const char *files[FM_NODE_MAX_FILES];
    const size_t count = fm_node_config_files(c, files);
    struct stat info;

    for (size_t i = 0; i < count; i++)
        if (stat(files[i], &info) == 0 && (info.st_mode & 0007)) {
            (void)snprintf(detail + strlen(detail), cap - strlen(detail),
                           "; every user of this machine may read them: chmod o= %s", files[i]);
            return;
        }
}

/* What there is: for the operator's own screen, and for nobody else. */
static void tell_counts(const fm_node_config *c, const fm_schema *s, const fm_survey *survey,
                        char *detail, size_t cap)
{
    uint64_t most = 0;
    const uint64_t units = fm_survey_units(survey, &most);
    const bool fit = !fm_survey_errors(survey);

    (void)snprintf(detail, cap, "%llu records %s the schema '%s' (%zu features)",
                   (unsigned long long)fm_survey_rows(survey), fit ? "fit" : "held against",
                   fm_schema_name(s), fm_schema_features(s));
    if (units)
        (void)snprintf(detail + strlen(detail), cap - strlen(detail),
                       "; %llu units by column %s, at most %llu records each",
                       (unsigned long long)units, c->policy.unit, (unsigned long long)most);
}

/* ---- drift ---- */

static fm_status compare(fm_say *say, const char *path, fm_survey *survey)
{
    char detail[256], when[32];
    json_t *kept = NULL;
    size_t compared = 0;
    fm_status st;

    if ((st = fm_file_check_private(path)) || (st = fm_json_read(path, &kept)) ||
        (st = fm_survey_drift(survey, path, kept, &compared)))
        goto done;
    fm_clock_format((int64_t)fm_cmd_whole(kept, "time"), when, sizeof when);
    (void)snprintf(detail, sizeof detail,
                   "%llu of %zu columns are not as in the check kept on %s (%lld records)",
                   (unsigned long long)fm_survey_count(survey, FM_FINDING_DRIFT), compared, when,
                   fm_cmd_whole(kept, "records"));
    fm_say_line(say, "drift", fm_survey_count(survey, FM_FINDING_DRIFT) ? FM_SAY_NOTE : FM_SAY_OK,
                detail);
done:
    json_decref(kept);
    return st;
}

/* Counts of the records: as private as they are. */
static fm_status keep(const char *path, const fm_survey *survey)
{
    json_t *summary = NULL;
    char *text = NULL;
    fm_status st = fm_survey_summary(survey, &summary);

    if (st == FM_OK &&
        json_object_set_new(summary, "time", json_integer((json_int_t)fm_clock_wall_s())) != 0)
        st = fm_fail(FM_ENOMEM, "no memory for %s", path);
    if (st == FM_OK && !(text = json_dumps(summary, JSON_INDENT(1))))
        st = fm_fail(FM_ENOMEM, "no memory for %s", path);
    if (st == FM_OK)
        st = fm_file_replace(path, text, strlen(text), 0600);
    free(text);
    json_decref(summary);
    return st;
}

static fm_status drift(fm_say *say, const fm_check_records *o, const fm_node_config *c,
                       fm_survey *survey)
{
    char *path = NULL, detail[256];
    fm_status st = fm_path_join(c->dir, KEPT, &path);

    if (st == FM_OK && fm_file_exists(path))
        st = compare(say, path, survey);
    if (st == FM_OK && o->keep && fm_survey_errors(survey))
        st = fm_fail(FM_EPERM, "records with problems are no measure for later ones: nothing was "
                               "kept");
    else if (st == FM_OK && o->keep && (st = keep(path, survey)) == FM_OK) {
        (void)snprintf(detail, sizeof detail,
                       "kept in %s, mode 0600: it counts records, and stays here", path);
        fm_say_line(say, "drift", FM_SAY_OK, detail);
    }
    if (st != FM_OK)
        fm_say_status(say, "drift", st, "");
    free(path);
    return FM_OK;
}

/* ---- all of it ---- */

/* What is wrong in a FHIR folder is listed here, and FM_OK then; of other records the survey has it. */
static fm_status load(fm_say *say, const fm_node_config *c, const fm_schema *s, fm_survey *survey)
{
    fm_buf problems = { 0 };
    const fm_table_options t = { .labels = fm_schema_has_label(s),
                                 .unit = fm_node_policy_unit_column(&c->policy),
                                 .survey = survey,
                                 .problems = c->database.fhir ? &problems : NULL };
    fm_table none = { 0 };
    fm_status st;

    fm_buf_init(&problems, PROBLEMS_MOST);
    st = fm_node_records_load(c, s, &t, &none);
    if (st == FM_EPARSE && problems.len > 0) {
        fm_say_lines(say, "records", (const char *)problems.data);
        st = FM_OK;
    }
    fm_buf_fini(&problems);
    return st;
}

static fm_status read_all(fm_say *say, const fm_check_records *o, const fm_node_config *c,
                          const fm_schema *s, fm_survey *survey)
{
    const uint64_t before = say->problems;
    char detail[512];
    fm_status st;

    if ((st = load(say, c, s, survey)) || say->problems > before ||
        (st = drift(say, o, c, survey)) || (st = fm_say_survey(say, s, survey)))
        return st;
    tell_counts(c, s, survey, detail, sizeof detail);
    fm_check_readers(c, detail, sizeof detail);
    fm_say_line(say, "records", fm_survey_errors(survey) ? FM_SAY_NOTE : FM_SAY_OK, detail);
    if (!fm_schema_has_label(s))
        fm_say_status(say, "schema",
                      fm_fail(FM_EINVAL,
                              "%s: no column is kind: label, so that there is nothing to train for",
                              o->schema_path ? o->schema_path
                              : c->schema    ? c->schema
                                             : "the schema of plan.json"),
                      "");
    if (o->columns)
        fm_say_columns(say, s, survey);
    return FM_OK;
}

static fm_status survey_records(fm_say *say, const fm_check_records *o, const fm_node_config *c,
                                const fm_schema *s)
{
    fm_survey_options options = { .max_rows = c->policy.max_rows, .ctx = say };
    fm_survey *survey = NULL;
    fm_status st;

    options.each = say->all ? fm_say_finding : NULL;
    if ((st = find_bound(o, c, &options.max_unit_rows)) == FM_OK &&
        (st = fm_survey_new(s, &options, &survey)) == FM_OK)
        st = read_all(say, o, c, s, survey);
    fm_survey_free(&survey);
    return st;
}

/** @return whether they are there; that they are not is said. */
static bool find_records(fm_say *say, const fm_check_records *o, const fm_node_config *c)
{
    fm_status st = fm_node_records_find(c);

    if (st == FM_ENOTFOUND)
        st = fm_fail(st, "%s is not there; see data.records in %s%s",
                     fm_node_config_records_name(c), o->config_path,
                     c->records_commented
                         ? ", where a # begins a comment: a path that holds ' #' needs quotes"
                         : "");
    if (st != FM_OK)
        fm_say_status(say, "records", st, "");
    return st == FM_OK;
}

static void say_there(fm_say *say, const fm_node_config *c, const char *then)
{
    char detail[512];

    (void)snprintf(detail, sizeof detail, "there; %s", then);
    fm_check_readers(c, detail, sizeof detail);
    fm_say_status(say, "records", FM_OK, detail);
}

void fm_check_records_without(fm_say *say, const fm_check_records *o, const fm_node_config *c)
{
    if (find_records(say, o, c))
        say_there(say, c, "every cell is checked when the schema is in order");
}

void fm_check_records_run(fm_say *say, const fm_check_records *o, const fm_node_config *c)
{
    fm_schema *s = NULL;
    fm_status st = find_schema(o, c, &s);

    if (st != FM_OK) {
        fm_say_status(say, "schema", st, "");
        fm_check_records_without(say, o, c);
    } else if (find_records(say, o, c)) {
        if (!s)
            say_there(say, c, "give --schema to check every cell");
        else if ((st = survey_records(say, o, c, s)) != FM_OK)
            fm_say_status(say, "records", st, "");
    }
    fm_schema_free(&s);
}
