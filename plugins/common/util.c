#define _GNU_SOURCE /* vasprintf */
#include "util.h"

#include <stdio.h>

enum { max_depth = 64 };

void *pu_calloc(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size ? size : 1);
  if (!p)
    abort();
  return p;
}

char *pu_strdup(const char *s) { return s ? pu_strndup(s, strlen(s)) : NULL; }

char *pu_strndup(const char *s, size_t n) {
  char *p = pu_calloc(1, n + 1);
  memcpy(p, s, n);
  return p;
}

char *pu_vasprintf(const char *fmt, va_list ap) {
  char *s = NULL;
  if (vasprintf(&s, fmt, ap) < 0)
    abort();
  return s;
}

char *pu_asprintf(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s = pu_vasprintf(fmt, ap);
  va_end(ap);
  return s;
}

void pu_set(char **dst, char *owned) {
  free(*dst);
  *dst = owned;
}

void pu_wipe_free(char *secret) {
  if (secret)
    explicit_bzero(secret, strlen(secret));
  free(secret);
}

void pu_free_charp(char **p) {
  free(*p);
  *p = NULL;
}

bool pu_eq(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }
bool pu_starts(const char *s, const char *prefix) { return s && strncmp(s, prefix, strlen(prefix)) == 0; }

uint32_t pu_hash(const char *s) {
  uint32_t h = 2166136261u;
  for (; *s; s++)
    h = (h ^ (unsigned char)*s) * 16777619u;
  return h;
}

/* One star to go back to suffices: linear in pattern times text. */
bool pu_glob(const char *pattern, const char *text) {
  const char *star = NULL, *back = NULL;
  while (*text) {
    if (*pattern == '*') {
      star = pattern++;
      back = text;
    } else if (*pattern == '?' || *pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star + 1;
      text = ++back;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return !*pattern;
}

/* ---------------------------------------------------------------- bytes */

void pu_buf_add(struct pu_buf *b, const void *p, size_t n) {
  if (b->len + n + 1 > b->cap) {
    b->cap = (b->len + n + 1) * 2;
    char *old = b->data;
    b->data = b->secret ? malloc(b->cap) : realloc(old, b->cap);
    if (!b->data)
      abort();
    if (b->secret && old) {
      memcpy(b->data, old, b->len);
      explicit_bzero(old, b->len);
      free(old);
    }
  }
  if (n)
    memcpy(b->data + b->len, p, n);
  b->len += n;
  b->data[b->len] = '\0';
}

void pu_buf_adds(struct pu_buf *b, const char *s) { pu_buf_add(b, s, strlen(s)); }
void pu_buf_addc(struct pu_buf *b, char c) { pu_buf_add(b, &c, 1); }

void pu_buf_addf(struct pu_buf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE s = pu_vasprintf(fmt, ap);
  va_end(ap);
  pu_buf_adds(b, s);
}

char *pu_buf_steal(struct pu_buf *b) {
  pu_buf_add(b, "", 0);
  char *s = b->data;
  *b = (struct pu_buf){0};
  return s;
}

void pu_buf_free(struct pu_buf *b) {
  if (b->secret && b->data)
    explicit_bzero(b->data, b->len);
  free(b->data);
  *b = (struct pu_buf){0};
}

void pu_url_add(struct pu_buf *b, const char *s, const char *keep) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  for (; *s; s++) {
    if (strchr(plain, *s) || strchr(keep, *s))
      pu_buf_addc(b, *s);
    else
      pu_buf_addf(b, "%%%02X", (unsigned char)*s);
  }
}

/* ---------------------------------------------------------------- JSON */

void pu_json_decref(json_t **p) {
  json_decref(*p);
  *p = NULL;
}

/* jansson takes 2048 levels, and its recursion with them: count brackets outside of strings first. */
static bool too_deep(const char *s, size_t n) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < n; i++) {
    if (quoted && s[i] == '\\')
      i++;
    else if (s[i] == '"')
      quoted = !quoted;
    else if (!quoted && (s[i] == '{' || s[i] == '[') && ++depth > max_depth)
      return true;
    else if (!quoted && (s[i] == '}' || s[i] == ']'))
      depth--;
  }
  return false;
}

json_t *pu_json_load(const char *text, size_t len, size_t flags) {
  return text && !too_deep(text, len) ? json_loadb(text, len, flags, NULL) : NULL;
}

json_t *pu_json_parse(const char *text, size_t len) { return pu_json_load(text, len, JSON_REJECT_DUPLICATES); }

char *pu_json_text(const json_t *v) {
  char *s = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : pu_strdup("null");
  if (!s)
    abort();
  return s;
}

json_t *pu_json_string(const char *s) {
  json_t *v = json_string(s);
  if (v)
    return v;
  PU_AUTO_FREE clean = pu_strdup(s);
  for (char *p = clean; *p; p++)
    if ((unsigned char)*p >= 0x80)
      *p = '?';
  return json_string(clean);
}

const char *pu_str(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

const char *pu_str_or(const json_t *o, const char *key, const char *fallback) {
  const char *s = pu_str(o, key);
  return s ? s : fallback;
}

int64_t pu_int(const json_t *o, const char *key, int64_t fallback) {
  json_t *v = json_object_get(o, key);
  return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool pu_bool(const json_t *o, const char *key, bool fallback) {
  json_t *v = json_object_get(o, key);
  return json_is_boolean(v) ? json_is_true(v) : fallback;
}

json_t *pu_obj(const json_t *o, const char *key) {
  json_t *v = json_object_get(o, key);
  return json_is_object(v) ? v : NULL;
}

json_t *pu_arr(const json_t *o, const char *key) {
  json_t *v = json_object_get(o, key);
  return json_is_array(v) ? v : NULL;
}
