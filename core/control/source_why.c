/* Why an app is at the commit that it is at: what its source says, in words. */
#include "config.h"

#include "base/clock.h"
#include "control/internal.h"

/* "commit 0123456789ab ("Mend the till" by Ada)"; the caller frees. */
static char *found_words(const struct ctl_source *s) {
  const char *subject = bt_json_str(s->found, "subject"), *author = bt_json_str(s->found, "author");
  return bt_asprintf("commit %.12s%s%.100s%s%s%.60s%s", bt_json_str_or(s->found, "commit", "?"), subject ? " (\"" : "", subject ? subject : "",
                     subject ? "\"" : "", subject && author ? " by " : "", subject && author ? author : "", subject ? ")" : "");
}

static char *state_words(const struct bt_control *c, const struct ctl_source *s, const char *state) {
  const struct ctl_app *app = ctl_app_find(c, s->ns, s->app);
  const struct ctl_rev *latest = app ? ctl_rev_latest(app) : NULL;
  BT_AUTO_FREE char *found = found_words(s);
  if (bt_streq(state, "new") || !s->found)
    return bt_strdup("which was not read yet");
  if (bt_streq(state, "syncing"))
    return bt_asprintf("and is being brought to %s", found);
  if (bt_streq(state, "failed"))
    return bt_asprintf("but %s is not applied: %s", found, s->error ? s->error : "it was refused");
  if (bt_streq(state, "drifted"))
    return bt_asprintf("but was changed by hand: revision %d by %s is not what commit %.12s has", latest ? latest->number : 0,
                       latest && latest->actor ? latest->actor : "somebody", s->applied);
  if (bt_streq(state, "behind"))
    return s->applied ? bt_asprintf("and stands at commit %.12s, behind %s", s->applied, found) : bt_asprintf("and %s waits to be applied", found);
  return bt_asprintf("and is at its %s", found);
}

/* A look that failed, where that is not the state already. */
static char *failing_words(const struct bt_control *c, const struct ctl_source *s, int64_t now_ms) {
  if (!s->failures || !s->error)
    return NULL;
  int64_t wait = BT_MAX(ctl_to_wall(c, s->next_ms) - now_ms, (int64_t)0) / 1000;
  BT_AUTO_FREE char *next = s->call ? bt_strdup("it is being looked at now") : bt_asprintf("the next try is in %lld s", (long long)wait);
  return bt_asprintf("the last %d look%s at the repository failed: %s; %s", s->failures, s->failures == 1 ? "" : "s", s->error, next);
}

static char *next_words(const struct ctl_source *s, const char *state) {
  if (bt_streq(state, "behind") && !bt_json_bool(s->spec, "automatic", true))
    return bt_asprintf("to apply it: berth sync %s", s->app);
  if (bt_streq(state, "drifted"))
    return bt_json_bool(s->spec, "correct", false) ? NULL : bt_asprintf("to bring the commit back: berth sync %s; or commit the change", s->app);
  if (bt_streq(state, "failed") && s->refused)
    return bt_asprintf("mend it and push, or try it again: berth sync %s", s->app);
  return s->failures ? bt_asprintf("mend what it says, then look at once: berth sync %s", s->app) : NULL;
}

bool ctl_source_why(const struct bt_control *c, const char *ns, const char *app, int64_t now_ms, struct ctl_source_words *out) {
  const struct ctl_source *s = ctl_source_find(c, ns, app);
  *out = (struct ctl_source_words){0};
  if (!s)
    return false;
  const char *branch = bt_json_str(s->spec, "branch"), *path = bt_json_str(s->spec, "path");
  const char *state = ctl_source_state(c, s);
  BT_AUTO_FREE char *is = state_words(c, s, state);
  out->code = state;
  out->since_ms = bt_streq(state, "in-sync") || bt_streq(state, "drifted") ? s->synced_ms : s->looked_ms;
  out->text = bt_asprintf("%s follows %s%s%s%s of %s, %s", s->app, branch ? "" : "tags ", branch ? branch : bt_json_str_or(s->spec, "tag", "?"),
                          path && *path ? ", folder " : "", path ? path : "", bt_json_str_or(s->spec, "repository", "?"), is);
  out->failing = failing_words(c, s, now_ms);
  out->next = next_words(s, state);
  return true;
}

void ctl_source_words_free(struct ctl_source_words *w) {
  free(w->text);
  free(w->failing);
  free(w->next);
}
