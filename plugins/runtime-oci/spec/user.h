/* A user and groups by name, as an image's /etc/passwd and /etc/group have them. Pure; what is wrong in those files is skipped. */
#ifndef RO_USER_H
#define RO_USER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { RO_MAX_GROUPS = 1024 };
struct ro_user {
  uint32_t uid, gid;
  uint32_t groups[RO_MAX_GROUPS]; /* supplementary, gid first; each once */
  int ngroups;
};

/* text: "", "USER", "USER:GROUP", each a name or a number. more: names or numbers of further groups; NULL: none. passwd, group: texts of which
 * the first 1 MiB counts; NULL: absent. False with a sentence (the caller frees) where a name is not there or a number is none. */
bool ro_user_find(const char *text, const json_t *more, const char *passwd, const char *group, struct ro_user *out, char **why);

#endif
