/* Addresses of repositories: what may be handed to git, and what must not. Pure. */
#ifndef SG_URL_H
#define SG_URL_H

#include <stdbool.h>

enum sg_scheme { SG_HTTPS, SG_HTTP, SG_SSH, SG_GIT, SG_FILE, SG_SCHEMES };

struct sg_url {
  enum sg_scheme scheme;
  char *user;      /* NULL where none */
  char *host;      /* in lower case; "" for files */
  char *authority; /* "host" or "host:port", as settings name it; "" for files */
  char *path;      /* "/team/shop.git" */
  char *text;      /* the whole, in the one form that git gets */
};

/* Reads an address: a URL of a known scheme, or user@host:path. Everything else is refused, so that no option, no other
 * transport ("ext::…") and no password reaches git. False with *why (static). */
bool sg_url_parse(const char *text, struct sg_url *out, const char **why);
void sg_url_free(struct sg_url *url);
const char *sg_scheme_name(enum sg_scheme scheme);
/* "https" -> SG_HTTPS; SG_SCHEMES for an unknown name. */
enum sg_scheme sg_scheme_of(const char *name);
/* The path as hosts name a project: "team/shop". The caller frees. */
char *sg_url_project(const struct sg_url *url);
/* localhost, 127.0.0.0/8, [::1]. */
bool sg_url_is_loopback(const struct sg_url *url);

/* A full commit id: 40 or 64 hexadecimal digits in lower case. */
bool sg_is_commit(const char *text);
/* A ref as git has it, "refs/heads/…" or "refs/tags/…"; no part of it can be taken for an option or a range. */
bool sg_is_ref(const char *text);
/* A file within a tree: no "..", ".", empty part, line break or leading slash. */
bool sg_is_path(const char *text);

#endif
