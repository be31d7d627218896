/* The plug-in's configuration: what git may speak to, how it logs in, what hosts of repositories are told. Pure. */
#ifndef SG_SETTINGS_H
#define SG_SETTINGS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "url.h"

enum sg_kind { SG_PLAIN, SG_GITHUB, SG_GITEA, SG_GITLAB };

struct sg_host {
  char *name;                 /* "github.com", "git.example:3000", "github.com/team" */
  enum sg_kind kind;          /* SG_PLAIN: it has no API that is known */
  char *api;                  /* base of its API; NULL: the usual one */
  char *username, *password;  /* of https; NULL where none */
  char *token;                /* of its API; NULL where none */
  char *ssh_key, *known_hosts; /* texts; NULL where none */
  char *ca_file;
};

struct sg_settings {
  bool allowed[SG_SCHEMES];
  struct sg_host *hosts;
  size_t nhosts;
  char **roots;           /* folders that file:// may read */
  size_t nroots;
  char *cache; /* NULL: the usual place */
  char *git;
  char *webhook_secret;   /* NULL: no webhooks */
  int64_t timeout_ms, max_repository;
  int64_t parallel;
};

/* Reads the checked configuration. False with *why (a sentence; the caller frees). */
bool sg_settings_read(const char *config_json, struct sg_settings *out, char **why);
void sg_settings_free(struct sg_settings *s); /* wipes secrets */
const struct sg_host *sg_settings_host(const struct sg_settings *s, const struct sg_url *url); /* NULL where not listed */
/* May this repository be spoken to? NULL, or a sentence (the caller frees). */
char *sg_settings_refuse(const struct sg_settings *s, const struct sg_url *url);

#endif
