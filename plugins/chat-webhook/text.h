/* Texts for Slack-compatible webhooks: escaping, limits, templates. Pure. */
#ifndef CW_TEXT_H
#define CW_TEXT_H

#include <berth/host.h>

#include "../common/util.h"

/* Appends text as Slack wants it: & < > as entities, so that nothing in it is a link or a mention; a zero-width space takes
 * "@all", "@channel", "@here" and "@everyone" their force in products that read plain text. */
void cw_escape(struct pu_buf *out, const char *text);
/* Cuts text to at most limit bytes at the border of a character (and of an entity), with "…" at the end. */
void cw_cut(char *text, size_t limit);

struct cw_template;
/* "[{{severity}}] {{message}}": the text itself goes out as it is, values escaped. Names: type severity namespace app subject
 * message time revision, and data.NAME. NULL with *why (a sentence; the caller frees) where a name is unknown or a brace is open. */
struct cw_template *cw_template_new(const char *text, char **why);
void cw_template_free(struct cw_template **t);
char *cw_template_text(const struct cw_template *t, const struct berth_event *event); /* the caller frees */

/* 0 info, 1 warning, 2 error; -1 unknown. */
int cw_severity(const char *name);
/* Seconds of a Retry-After header, capped at an hour: a number, or an HTTP date against now (wall ms). -1 where it is neither. */
int64_t cw_retry_after(const char *value, int64_t now_ms);

#endif
