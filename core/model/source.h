/* What a source is: an app that follows a repository. Reads and completes its settings, and compares addresses of repositories. Pure; knows
 * nothing of how a repository is reached. */
#ifndef BT_MODEL_SOURCE_H
#define BT_MODEL_SOURCE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* Checks what a client sent and completes it. Keys (all but repository may be absent):
 *   repository  URL or user@host:path; no password in it
 *   branch, tag one of them: a branch's name ("main"), or a pattern of tags ("v1.*")
 *   path        folder of the repository in which the Compose files are; "" (the root)
 *   files       Compose files in it, in order; empty: compose.yaml and its relatives, with their override
 *   env, profiles, compat   as of "berth up"
 *   interval    text such as "1m": how often to look (1m; from 10s to 24h); becomes interval_ms
 *   automatic   deploy what is found (true), else only on request
 *   correct     bring the app back where somebody changed it by hand (false)
 *   webhook     look at once when the host tells of a push (true)
 *   report      tell the host what became of a commit (true)
 *   signers     public keys, one of which has to have signed each commit; absent: anybody
 *   signers_secret  in place of signers: a secret of the namespace that holds them
 * A new object, or NULL with BT_INVALID. */
json_t *bt_source_parse(const json_t *body, struct bt_err **err);

/* "host/path" of a repository's address: without scheme, user, port and ".git", the host in lower case. Equal for the ways in which one
 * repository is written. The caller frees; "" for what is no address. */
char *bt_source_repository_key(const char *url);
/* Does the source (as parsed) follow this ref ("refs/heads/main", "refs/tags/v1")? NULL: any. */
bool bt_source_follows(const json_t *spec, const char *ref);

#endif
