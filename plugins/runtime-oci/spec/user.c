#include "config.h"
#include "user.h"

#include "../../common/util.h"

enum { max_text = 1 << 20, max_fields = 8 };

/* The next line of *text cut at its colons; *text moves on. At most max_fields fields; the last has the rest. False at the end. */
static bool next_line(const char **text, const char *end, char **line, char *fields[max_fields], size_t *n) {
  free(*line);
  *line = NULL;
  if (!*text || *text >= end || !**text)
    return false;
  const char *stop = memchr(*text, '\n', (size_t)(end - *text));
  size_t len = stop ? (size_t)(stop - *text) : strnlen(*text, (size_t)(end - *text));
  *line = pu_strndup(*text, len);
  *text += len + (stop != NULL);
  *n = 0;
  for (char *p = *line; p && *n < max_fields;) {
    fields[(*n)++] = p;
    p = strchr(p, ':');
    if (p)
      *p++ = '\0';
  }
  return true;
}

static bool number(const char *text, uint32_t *out) {
  uint64_t v = 0;
  if (!text || !*text)
    return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9')
      return false;
    v = v * 10 + (uint64_t)(*text - '0');
    if (v > 2147483647) /* as Docker; and -1 means "unchanged" to the kernel */
      return false;
  }
  *out = (uint32_t)v;
  return true;
}

static const char *end_of(const char *text) { return text ? text + strnlen(text, max_text) : NULL; }

/* The line of passwd whose name, or else whose number, is the given one. *name is set where it was found; the caller frees. */
static bool passwd_find(const char *passwd, const char *who, uint32_t *uid, uint32_t *gid, char **name) {
  char *line = NULL, *f[max_fields];
  size_t n;
  uint32_t wanted = 0, u, g;
  bool by_number = number(who, &wanted), found = false;
  const char *p = passwd, *end = end_of(passwd);
  while (!found && next_line(&p, end, &line, f, &n)) {
    if (n < 4 || !number(f[2], &u) || !number(f[3], &g) || !(strcmp(f[0], who) == 0 || (by_number && u == wanted)))
      continue;
    *uid = u;
    *gid = g;
    *name = pu_strdup(f[0]);
    found = true;
  }
  free(line);
  return found;
}

static bool group_find(const char *group, const char *which, uint32_t *gid) {
  char *line = NULL, *f[max_fields];
  size_t n;
  bool found = false;
  const char *p = group, *end = end_of(group);
  while (!found && next_line(&p, end, &line, f, &n))
    found = n >= 3 && strcmp(f[0], which) == 0 && number(f[2], gid);
  free(line);
  return found || number(which, gid);
}

static void groups_add(struct ro_user *out, uint32_t gid) {
  for (int i = 0; i < out->ngroups; i++)
    if (out->groups[i] == gid)
      return;
  if (out->ngroups < RO_MAX_GROUPS)
    out->groups[out->ngroups++] = gid;
}

/* Is name one of "a,b,c"? */
static bool among(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
    if (strncmp(p, name, n) == 0 && (!p[n] || p[n] == ',' || p[n] == '\r'))
      return true;
  return false;
}

static void groups_of(const char *group, const char *name, struct ro_user *out) {
  char *line = NULL, *f[max_fields];
  size_t n;
  uint32_t gid;
  const char *p = group, *end = end_of(group);
  while (next_line(&p, end, &line, f, &n))
    if (n >= 4 && among(f[3], name) && number(f[2], &gid))
      groups_add(out, gid);
  free(line);
}

bool ro_user_find(const char *text, const json_t *more, const char *passwd, const char *group, struct ro_user *out, char **why) {
  *out = (struct ro_user){0};
  PU_AUTO_FREE user = pu_strdup(text ? text : "");
  PU_AUTO_FREE name = NULL;
  char *wanted_group = strchr(user, ':');
  if (wanted_group)
    *wanted_group++ = '\0';
  const char *who = *user ? user : "0";
  bool known = passwd_find(passwd, who, &out->uid, &out->gid, &name);
  if (!known && !number(who, &out->uid)) {
    *why = pu_asprintf("user: there is no user \"%s\" in the image's /etc/passwd; name one that is there, or give a number", who);
    return false;
  }
  if (wanted_group && *wanted_group && !group_find(group, wanted_group, &out->gid)) {
    *why = pu_asprintf("user: there is no group \"%s\" in the image's /etc/group; name one that is there, or give a number", wanted_group);
    return false;
  }
  groups_add(out, out->gid);
  if (known && !(wanted_group && *wanted_group))
    groups_of(group, name, out);
  size_t i;
  json_t *v;
  json_array_foreach(more, i, v) {
    uint32_t gid;
    if (!json_is_string(v) || !group_find(group, json_string_value(v), &gid)) {
      *why = pu_asprintf("group_add: there is no group \"%s\" in the image's /etc/group; name one that is there, or give a number",
                         json_is_string(v) ? json_string_value(v) : "");
      return false;
    }
    groups_add(out, gid);
  }
  return true;
}
