/* What people decided on plans, by whom, and whose signature stands under it. */
#include "fedmoe/base/clock.h"
#include "report.h"

static void write_one(fm_html *h, const fm_report *r, const fm_decision_entry *e)
{
    char when[32], key[17], hex[2 * FM_HASH_BYTES + 1];
    fm_buf words = { 0 };
    fm_status st = fm_decision_words(&e->d, &words);

    if (st != FM_OK && h->st == FM_OK)
        h->st = st;
    fm_clock_format(e->d.at_s, when, sizeof when);
    fm_public_key_name(&e->key, key);
    fm_hash_hex(&e->d.plan, hex);
    fm_html_raw(h, "<li>");
    fm_html_textf(h, "%llu. %s: %s. Plan %.12s, '%s', epsilon %g over %u rounds. By %s (%s), ",
                  (unsigned long long)e->d.number, when, words.len ? (const char *)words.data : "",
                  hex, e->d.purpose, e->d.plan_epsilon, e->d.plan_rounds, e->d.by, e->d.role);
    fm_html_textf(h, "signed with key %s%s.", key,
                  fm_decision_counts(e, &r->keys) ? ""
                                                  : ", which is NOT one whose decisions count");
    fm_html_raw(h, "</li>\n");
    fm_buf_fini(&words);
}

/** That earlier ones were declared lost is part of what was decided. */
static void write_voided(fm_html *h, const fm_journal_voided *v)
{
    char when[32];

    fm_clock_format(v->at_s, when, sizeof when);
    fm_html_element(
        h, "p", NULL,
        "On %s %s declared the decisions lost that there were (%llu of them, as far as "
        "the node had seen), and all of them void: '%s'. It was time %llu that this was done.",
        when, v->by, (unsigned long long)v->count, v->why, (unsigned long long)v->times);
}

void fm_report_decisions(fm_html *h, const fm_report *r)
{
    fm_html_raw(h, "<section>\n<h2>What was decided</h2>\n");
    for (size_t i = 0; i < r->voided_count; i++)
        write_voided(h, &r->voided[i]);
    if (r->decisions.count == 0) {
        fm_html_element(h, "p", NULL,
                        "No decision on a plan is on record: plans that kept within the limits of "
                        "node.yaml were accepted by these alone.");
    } else {
        fm_html_raw(h, "<ul>\n");
        for (size_t i = 0; i < r->decisions.count; i++)
            write_one(h, r, &r->decisions.entries[i]);
        fm_html_raw(h, "</ul>\n");
        fm_html_element(h, "p", NULL,
                        "Each signature was checked, each decision holds the hash of the one "
                        "before it, and none that the node has seen is missing. A decision by "
                        "'%s' is the node's own note that the limits of node.yaml held.",
                        FM_DECISION_BY_POLICY);
    }
    fm_html_raw(h, "</section>\n");
}
