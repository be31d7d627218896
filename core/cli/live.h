/* Watches a revision of an app come up, instance by instance, until it is deployed, has failed or the person has seen enough. */
#ifndef BT_CLI_LIVE_H
#define BT_CLI_LIVE_H

#include "cli/cli.h"

struct bt_live_options {
  const char *app;
  long long revision;
  long long timeout_ms; /* 0: no end */
};

/* Shows progress: on a terminal as a table that redraws itself, else one line per change. Returns the exit code: 0 where all of
 * the revision is up and healthy, BT_EXIT_NO where it failed (the reasons and what to try next are on standard error), that
 * of BT_DEADLINE after timeout_ms, that of BT_CANCELLED after Ctrl-C, which leaves the server at work. */
int bt_live_follow(struct bt_cli *cli, const struct bt_live_options *options, struct bt_err **err) BT_CHECK;
/* Waits until the app is gone ("berth down"). */
int bt_live_gone(struct bt_cli *cli, const struct bt_live_options *options, struct bt_err **err) BT_CHECK;

/* What an instance is at, in words: "running (healthy)", "pulling  12 of 40 MiB", "failed: no such file". Pure. progress: last word of
 * its pull, or NULL. now_ms: the wall clock. The caller frees. */
char *bt_live_words(const json_t *instance, const char *progress, long long now_ms);
/* Is there nothing left to wait for: ready, or a job that ended well? */
bool bt_live_settled(const json_t *instance);

#endif
