#define _GNU_SOURCE /* memmem */
#include "refs.h"

#include <ctype.h>

#include "../common/util.h"
#include "url.h"

/* ---------------------------------------------------------------- versions */

static bool digit(char c) { return isdigit((unsigned char)c); }

/* Two runs of digits of any length. Moves both behind them. */
static int compare_numbers(const char **a, const char **b) {
  while (**a == '0' && digit((*a)[1]))
    ++*a;
  while (**b == '0' && digit((*b)[1]))
    ++*b;
  size_t na = strspn(*a, "0123456789"), nb = strspn(*b, "0123456789");
  int by_text = strncmp(*a, *b, na);
  *a += na;
  *b += nb;
  return na != nb ? (na < nb ? -1 : 1) : by_text;
}

/* The end of a version is more than a pre-release of it, and less than another number behind it. */
static int at_end(const char *rest) { return *rest == '-' || *rest == '~' || isalpha((unsigned char)*rest) ? 1 : -1; }

int sg_version_compare(const char *a, const char *b) {
  if ((*a == 'v' || *a == 'V') && digit(a[1]))
    a++;
  if ((*b == 'v' || *b == 'V') && digit(b[1]))
    b++;
  while (*a && *b) {
    if (digit(*a) && digit(*b)) {
      int by_number = compare_numbers(&a, &b);
      if (by_number)
        return by_number;
    } else if (*a != *b) {
      if (*a == '-' || *b == '-')
        return *a == '-' ? -1 : 1;
      return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
    } else {
      a++;
      b++;
    }
  }
  if (!*a && !*b)
    return 0;
  return *a ? -at_end(a) : at_end(b);
}

/* ---------------------------------------------------------------- refs */

struct pick {
  char *commit, *ref;
};

static void take(struct pick *p, const char *commit, const char *ref) {
  pu_set(&p->commit, pu_strdup(commit));
  pu_set(&p->ref, pu_strdup(ref));
}

/* An annotated tag comes twice: as itself, and with "^{}" as the commit that it stands for. */
static void try_tag(struct pick *p, const char *commit, char *ref, const char *pattern) {
  char *peeled = strstr(ref, "^{}");
  if (peeled && !peeled[3])
    *peeled = '\0';
  else
    peeled = NULL;
  if (!pu_starts(ref, "refs/tags/") || !sg_is_ref(ref) || !pu_glob(pattern, ref + 10))
    return;
  int order = p->ref ? sg_version_compare(ref + 10, p->ref + 10) : 1;
  if (order > 0 || (peeled && pu_eq(ref, p->ref)))
    take(p, commit, ref);
}

bool sg_refs_pick(const char *text, size_t len, const char *branch, const char *tag, char **commit, char **ref) {
  struct pick p = {0};
  PU_AUTO_FREE wanted = branch ? pu_asprintf("refs/heads/%s", branch) : NULL;
  for (const char *line = text, *end = text + len; line < end;) {
    const char *eol = memchr(line, '\n', (size_t)(end - line));
    size_t n = eol ? (size_t)(eol - line) : (size_t)(end - line);
    PU_AUTO_FREE copy = pu_strndup(line, n);
    char *tab = strchr(copy, '\t');
    line += n + 1;
    if (!tab)
      continue;
    *tab = '\0';
    if (!sg_is_commit(copy))
      continue;
    if (wanted && pu_eq(tab + 1, wanted) && sg_is_ref(wanted))
      take(&p, copy, wanted);
    else if (tag)
      try_tag(&p, copy, tab + 1, tag);
  }
  *commit = p.commit;
  *ref = p.ref;
  return p.commit != NULL;
}

/* ---------------------------------------------------------------- commits */

/* "Ada Lovelace <ada@example> 1700000000 +0100" */
static json_t *person(const char *line, size_t n) {
  PU_AUTO_FREE copy = pu_strndup(line, n);
  char *open = strrchr(copy, '<'), *close = open ? strchr(open, '>') : NULL;
  json_t *o = json_object();
  if (!close)
    return o;
  long long time = strtoll(close + 1, NULL, 10);
  *close = '\0';
  size_t name = (size_t)(open - copy);
  while (name && copy[name - 1] == ' ')
    name--;
  copy[name] = '\0';
  json_object_set_new(o, "name", pu_json_string(copy));
  json_object_set_new(o, "email", pu_json_string(open + 1));
  json_object_set_new(o, "time", json_integer(time));
  return o;
}

static void header(json_t *o, const char *line, size_t n, const char **signature) {
  static const char *const people[] = {"author ", "committer "};
  for (size_t i = 0; i < PU_COUNT(people); i++) {
    size_t k = strlen(people[i]);
    if (n > k && strncmp(line, people[i], k) == 0) {
      PU_AUTO_FREE key = pu_strndup(people[i], k - 1);
      json_object_set_new(o, key, person(line + k, n - k));
    }
  }
  if (n > 7 && strncmp(line, "gpgsig", 6) == 0)
    *signature = memmem(line, n, "BEGIN SSH SIGNATURE", 19)   ? "ssh"
                 : memmem(line, n, "BEGIN PGP SIGNATURE", 19) ? "openpgp"
                                                              : "other";
}

json_t *sg_commit_read(const char *text, size_t len, const char **signature) {
  json_t *o = json_object();
  *signature = NULL;
  const char *line = text, *end = text + len;
  while (line < end && *line != '\n') {
    const char *eol = memchr(line, '\n', (size_t)(end - line));
    size_t n = eol ? (size_t)(eol - line) : (size_t)(end - line);
    header(o, line, n, signature);
    line += n + 1;
  }
  while (line < end && *line == '\n')
    line++;
  size_t n = line < end ? (size_t)(end - line) : 0;
  const char *eol = n ? memchr(line, '\n', n) : NULL;
  PU_AUTO_FREE subject = pu_strndup(n ? line : "", eol ? (size_t)(eol - line) : n);
  if (strlen(subject) > 200)
    subject[200] = '\0';
  json_object_set_new(o, "subject", pu_json_string(subject));
  return o;
}
