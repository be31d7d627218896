/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/scm.h>

#include "host.h"

static const struct berth_scm *scm;

static void resolve(const char *repository, const char *branch) {
  struct berth_scm_resolve request = {.size = sizeof request, .repository = repository, .branch = branch};
  scm->resolve(H.self, new_op(), &request);
}

int main(int argc, char **argv) {
  load(argc, argv);
  scm = methods_of(BERTH_SCM);
  if (!ok(scm && scm->size >= sizeof *scm, "it implements %s", BERTH_SCM))
    return done_testing();
  has(start_entry("{\"root\":\"srv\"}"), "absolute path", "a root that is no folder is refused");
  ok(!start_entry("{\"root\":\"/srv/git\"}"), "an entry starts");

  resolve("https://host.example/team/shop.git", "main");
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "another host's repository is left to another entry");
  resolve("file:///srv/git/../secret", "main");
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "a path out of the root is not its business");
  resolve("file:///srv/git/shop.git", "--upload-pack=x");
  ok(H.finished == 1 && H.code == BERTH_INVALID, "an option is no branch");

  resolve("file:///srv/git/shop.git", "main");
  ok(H.child_runs && !H.finished, "git is asked");
  has(H.command, "git ls-remote -- /srv/git/shop.git refs/heads/main", "for one ref");
  child_ends(0, "0123456789012345678901234567890123456789\trefs/heads/main\n", "");
  ok(H.finished == 1 && H.code == BERTH_OK, "its answer finishes the operation");
  has(H.result, "\"commit\":\"0123456789012345678901234567890123456789\"", "with the commit");

  resolve("file:///srv/git/shop.git", "none");
  child_ends(0, "", "");
  ok(H.finished == 1 && H.code == BERTH_NOT_FOUND, "a branch that is not there");
  resolve("file:///srv/git/shop.git", "main");
  H.plugin->cancel(H.self, H.op);
  ok(H.finished == 1 && H.code == BERTH_CANCELLED, "who gives up is answered");
  H.plugin->cancel(H.self, H.op);
  ok(H.finished == 1, "once");
  struct berth_scm_fetch fetch = {.size = sizeof fetch, .repository = "file:///srv/git/shop.git"};
  scm->fetch(H.self, new_op(), &fetch);
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "files are not read yet, and it says so");
  resolve("file:///srv/git/shop.git", "main");
  stop_entry();
  ok(H.finished == 1, "it stops while git runs");
  return done_testing();
}
