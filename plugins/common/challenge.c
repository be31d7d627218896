#include "challenge.h"

#include <ctype.h>
#include <strings.h>

#include "util.h"

enum { max_header = 8192 };

static const char token_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";

static void skip_space(const char **p) { *p += strspn(*p, " \t"); }

static bool take_token(const char **p, char **out) {
  size_t n = strspn(*p, token_bytes);
  if (!n)
    return false;
  *out = pu_strndup(*p, n);
  *p += n;
  return true;
}

/* A token or a quoted string with its escapes taken out. */
static bool take_value(const char **p, char **out) {
  if (**p != '"')
    return take_token(p, out);
  PU_AUTO_BUF b = {0};
  const char *s = *p + 1;
  for (; *s && *s != '"'; s++) {
    if (*s == '\\' && s[1])
      s++;
    pu_buf_addc(&b, *s);
  }
  if (*s != '"')
    return false;
  *p = s + 1;
  *out = pu_buf_steal(&b);
  return true;
}

void pu_challenge_free(struct pu_challenge *c) {
  free(c->realm);
  free(c->service);
  free(c->scope);
  *c = (struct pu_challenge){0};
}

static void begin(struct pu_challenge *c, const char *scheme) {
  pu_challenge_free(c);
  if (strcasecmp(scheme, "bearer") == 0)
    c->scheme = PU_AUTH_BEARER;
  else if (strcasecmp(scheme, "basic") == 0)
    c->scheme = PU_AUTH_BASIC;
}

static void keep(struct pu_challenge *c, const char *name, char *value) {
  char **to = !strcasecmp(name, "realm")     ? &c->realm
              : !strcasecmp(name, "service") ? &c->service
              : !strcasecmp(name, "scope")   ? &c->scope
                                             : NULL;
  if (to && !*to)
    *to = value;
  else
    free(value);
}

/* The better of two, the worse freed. */
static void settle(struct pu_challenge *best, struct pu_challenge *c) {
  if (c->scheme > best->scheme) {
    pu_challenge_free(best);
    *best = *c;
    *c = (struct pu_challenge){0};
  }
  pu_challenge_free(c);
}

/* scheme SP name=value, name=value, scheme …: a token that no "=" follows begins a new challenge. */
void pu_challenge_parse(const char *header, struct pu_challenge *best) {
  struct pu_challenge c = {0};
  const char *p = header;
  if (strlen(header) > max_header)
    return;
  for (;;) {
    PU_AUTO_FREE word = NULL;
    p += strspn(p, " \t,");
    if (!take_token(&p, &word))
      break;
    skip_space(&p);
    if (*p != '=') {
      settle(best, &c);
      begin(&c, word);
      continue;
    }
    p++;
    skip_space(&p);
    char *value = NULL;
    if (!take_value(&p, &value))
      break;
    keep(&c, word, value);
  }
  settle(best, &c);
}
