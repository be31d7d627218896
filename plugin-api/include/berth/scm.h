/* berth/scm.h: berth.scm/1, hosts of repositories: which commit does a branch stand at, what is in its files, and how shall the
 * host show what became of it? Shaped with GitHub, Gitea and GitLab in hand; a repository is a URL, a commit is a hexadecimal id.
 *
 * Which entry speaks for a repository: the first one of the configuration whose resolve() does not end with UNSUPPORTED. The host
 * remembers it for fetch() and status() of that repository.
 *
 * Pushes: an entry that hears of one (a webhook that proved itself) publishes an event of type "scm.changed"
 * (berth.host.events/1) with the data {"repositories": [URL…], "ref": "refs/heads/main", "commit": id or null}. repositories are all
 * URLs under which the host knows the repository. The server then looks at once at every source that follows one of them: what
 * an event says is a hint and never believed; resolve() has the word. */
#ifndef BERTH_SCM_H
#define BERTH_SCM_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_SCM "berth.scm/1"

struct berth_scm_resolve {
  size_t size;
  const char *repository; /* as its user wrote it: "https://host/team/shop.git", "ssh://git@host/team/shop.git",
                             "git@host:team/shop.git", "file:///srv/shop.git". Never holds a password */
  const char *branch;     /* its name, "main"; NULL where tag is set */
  const char *tag;        /* a pattern of tags, where a star stands for any characters and "?" for one: the tag of the highest
                             version that fits is meant. NULL where branch is set */
};

struct berth_scm_fetch {
  size_t size;
  const char *repository;
  const char *commit;     /* the full id that resolve() gave */
  const char *ref;        /* the ref that resolve() gave, for hosts that give commits out by name only */
  const char *paths_json; /* ["deploy/compose.yaml", …]: at most 1,000 files, from the repository's root, with "/" and without
                             ".", ".." and empty parts */
  const char *signers;    /* public keys, one of which has to have signed the commit, as text of at most 64 KiB: lines as
                             ssh-keygen(1) has them under ALLOWED SIGNERS, armoured OpenPGP keys, or both. NULL: nobody asks */
};

/* A folder or file of a commit, for builds and mounts. */
struct berth_scm_tree {
  size_t size;
  const char *repository;
  const char *commit, *ref; /* as in fetch */
  const char *path;         /* from the repository's root; "" is the root itself */
  bool send;                /* false: only what it is, nothing is emitted */
};

/* Channel of berth_host_ops.emit. */
enum { BERTH_SCM_TREE = 1 /* tree: bytes of a tar (a folder) or of the file itself */ };

struct berth_scm_status {
  size_t size;
  const char *repository;
  const char *commit;
  const char *state;       /* "pending", "success" or "failure" */
  const char *context;     /* who says so: "berth/default/shop"; a later status of a context takes an earlier one's place */
  const char *description; /* a sentence of at most 140 characters */
  const char *url;         /* where to read more; NULL: nowhere */
};

struct berth_scm {
  size_t size;
  /* Result: {"commit": full id, "ref": "refs/heads/main" or "refs/tags/v1.2"}. Errors: UNSUPPORTED (another entry may speak for
   * this repository), NOT_FOUND (no such repository, branch or tag), INVALID (the URL or the pattern), UNAUTHENTICATED, DENIED,
   * UNAVAILABLE (the host is away; asked again later), DEADLINE. */
  void (*resolve)(struct berth_instance *self, berth_op op, const struct berth_scm_resolve *request);
  /* Result: {"files": {path: text, or {"base64": bytes}}, "commit", "author": {"name", "email", "time": seconds since 1970},
   * "committer": likewise, "subject": first line of the message, "signature": {"verdict": "good", "none", "unknown" (a key that is
   * not among signers) or "bad", "signer": whose key it is or null, "detail": a sentence}}. Paths that are not there are left out;
   * signature is there where signers was given. A link of the tree is followed as long as it stays within the tree.
   * Errors: NOT_FOUND (the commit is gone), INVALID (a path; a link that leads out of the tree), TOO_LARGE (a file over 1 MiB, all
   * of them over 2 MiB, a repository over the entry's own limit), and those of resolve(). */
  void (*fetch)(struct berth_instance *self, berth_op op, const struct berth_scm_fetch *request);
  /* Tells the host what became of a commit. Result: {}. Errors: UNSUPPORTED (the host has no such thing, or the entry no login for
   * it: not asked again for this commit and state), NOT_FOUND, UNAUTHENTICATED, DENIED, UNAVAILABLE (tried again later). */
  void (*status)(struct berth_instance *self, berth_op op, const struct berth_scm_status *request);
  /* Result: {"status": "ok" or another word, "detail": a sentence}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
  /* Gives a folder or a file of a commit out whole. Result: {"id": names its content: the same id means the same bytes, "kind": "folder"
   * or "file", "executable": of a file}. A folder is emitted as a tar
   * of what is in it, names from the folder on, byte for byte as it was committed; what a submodule points to is an empty folder. Files
   * of a large file storage are the pointers that were committed. A link at path is followed as long as it stays within the tree; links
   * in a folder are given as links. Errors: TOO_LARGE (the entry's own limit; a single file over 16 MiB), and those of fetch(). NULL where
   * an entry does not have it: its sources cannot build, nor mount what is theirs. */
  void (*tree)(struct berth_instance *self, berth_op op, const struct berth_scm_tree *request);
};

#ifdef __cplusplus
}
#endif

#endif
