/* The status page of a run, when federation.yaml has `status`; without it nothing here does anything. */
#ifndef FEDMOE_AGGREGATOR_PAGE_H
#define FEDMOE_AGGREGATOR_PAGE_H

#include "fedmoe/certs/identity.h"

typedef struct fm_page fm_page;
struct fm_run;

#define FM_PAGE_LINKS "status.links" /* hashes of links and of the scraper's token */
#define FM_PAGE_KEY "status.key"
#define FM_PAGE_CERTIFICATE "status.crt"

/** After all else of the run is there. FM_OK also when there is no page. */
FM_NODISCARD fm_status fm_page_open(struct fm_run *r);
void fm_page_close(struct fm_run *r);
/** "https://agg.example:7390/"; NULL: none. */
const char *fm_page_url(const struct fm_run *r);
/** Whom its members' pages are for: the members that the run has now. */
void fm_page_members(struct fm_run *r);
/** Certificates are checked by this one from now on. */
void fm_page_set_trust(fm_page *p, const fm_trust *t);
/** A round has ended. */
void fm_page_round(struct fm_run *r, uint64_t round, bool finished, uint32_t survivors,
                   uint32_t participants);
/** A line of the log that the coordinator should see. */
void fm_page_event(struct fm_run *r, const char *text);
/** Writes it anew if the last time is a second ago, or at once. A failure is logged. */
void fm_page_refresh(struct fm_run *r, bool at_once);

/* ---- ways into it, for commands: page_link.c ---- */

#define FM_PAGE_FINGERPRINT_SIZE 96
/**
 * A link that opens the page once. @param member NULL: as the coordinator.
 * @param url          out, free; a secret until it is used.
 * @param fingerprint  out: of the page's own certificate; "" when there is none, or another's.
 * @return FM_OK; FM_ENOTFOUND no page, or it was never started; as fm_web_link_new.
 */
FM_NODISCARD fm_status fm_page_link(const char *dir, const char *member, uint32_t seconds,
                                    char **url, char fingerprint[FM_PAGE_FINGERPRINT_SIZE]);
/** A bearer token for /metrics, into `file` (0600); the one before ends. */
FM_NODISCARD fm_status fm_page_scraper(const char *dir, const char *file, uint32_t seconds);

#endif
