/* What strangers send to scm-git and registry-oci: the first byte chooses webhook bodies, headers, addresses of repositories, what git
 * prints of refs, commits and files; notifications; ranges of versions. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/common/util.h"
#include "../../plugins/registry-oci/notify.h"
#include "../../plugins/scm-git/fetch.h"
#include "../../plugins/scm-git/push.h"
#include "../../plugins/scm-git/refs.h"
#include "../../plugins/scm-git/url.h"
#include "../../plugins/scm-git/verify.h"
#include "model/semver.h"
#include "model/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void addresses(const char *text) {
  struct sg_url u;
  const char *why;
  free(bt_source_repository_key(text));
  if (!sg_url_parse(text, &u, &why))
    return;
  size_t word = strspn(u.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  if (u.text[0] == '-' || strncmp(u.text + word, "::", 2) == 0 || strchr(u.text, ' ') || strchr(u.text, '\n'))
    abort(); /* git must not get that */
  free(sg_url_project(&u));
  sg_url_free(&u);
}

/* Lines "name: value" up to an empty one, then the body. */
static void hooks(char *text) {
  struct berth_pair headers[16];
  struct sg_hook hook;
  size_t n = 0;
  char *line = text;
  while (n < 16 && *line && *line != '\n') {
    char *end = strchr(line, '\n'), *colon = strchr(line, ':');
    if (!end || !colon || colon > end)
      break;
    *end = *colon = 0;
    headers[n++] = (struct berth_pair){line, colon + 1};
    line = end + 1;
  }
  sg_hook_read(headers, n, line, strlen(line), "a-secret-of-some-length", 1700000000, &hook);
}

static void printed(const char *text, size_t len) {
  char *commit, *ref;
  const char *signature, *at = text;
  struct sg_blob blob;
  sg_refs_pick(text, len, NULL, "v*", &commit, &ref);
  if (commit && (!sg_is_commit(commit) || !sg_is_ref(ref)))
    abort();
  free(commit);
  free(ref);
  json_decref(sg_commit_read(text, len, &signature));
  while (sg_batch_next(&at, text + len, true, &blob))
    if (blob.data && blob.data + blob.size > text + len)
      abort();
  json_decref(sg_verdict(len & 1, 0, text, len));
}

static void versions(char *text) {
  char *other = strchr(text, '\n');
  if (other)
    *other++ = 0;
  bool fits = bt_semver_in(text, other ? other : "1.2.3");
  if (fits && bt_semver_check(text, NULL) < 0)
    abort();
  if (other && bt_semver_compare(text, other) != -bt_semver_compare(other, text))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 65536)
    return 0;
  char *text = pu_strndup((const char *)data + 1, size - 1);
  size_t len = size - 1;
  switch (data[0] % 6) {
  case 0:
    json_decref(sg_push_read(text, len));
    break;
  case 1:
    hooks(text);
    break;
  case 2:
    addresses(text);
    break;
  case 3:
    printed(text, len);
    break;
  case 4:
    json_decref(ro_notify_read(text, len));
    break;
  default:
    versions(text);
  }
  free(text);
  return 0;
}
