#include "stat.h"

#include <stdio.h>

enum { max_rows = 100000, max_columns = 256 };

/* ---------------------------------------------------------------- lines and cells */

/* The next line, not NUL-terminated; NULL at the end. */
static const char *next_line(const char **text, size_t *len) {
  const char *line = *text;
  if (!*line)
    return NULL;
  *len = strcspn(line, "\n");
  *text = line + *len + (line[*len] == '\n');
  return line;
}

struct cell {
  const char *at;
  size_t len;
};

/* A line cut at the separator; commas inside of double quotes do not cut. */
static size_t cut(const char *line, size_t len, char separator, struct cell cells[max_columns]) {
  size_t n = 0, start = 0;
  bool quoted = false;
  for (size_t i = 0; i <= len && n < max_columns; i++) {
    if (i < len && line[i] == '"')
      quoted = !quoted;
    if (i < len && (quoted || line[i] != separator))
      continue;
    cells[n++] = (struct cell){line + start, i - start};
    start = i + 1;
  }
  return n;
}

static bool is(const struct cell *c, const char *text) { return c->len == strlen(text) && memcmp(c->at, text, c->len) == 0; }

static uint64_t number(const struct cell *c) {
  uint64_t v = 0;
  for (size_t i = 0; i < c->len && i < 19; i++) {
    if (c->at[i] < '0' || c->at[i] > '9')
      return 0;
    v = v * 10 + (uint64_t)(c->at[i] - '0');
  }
  return v;
}

/* ---------------------------------------------------------------- show stat */

enum { C_PROXY, C_SERVER, C_STOT, C_REQ, C_SCUR, C_QCUR, C_BIN, C_BOUT, C_DREQ, C_EREQ, C_ECON, C_ERESP, C_5XX, C_RATE, C_COUNT };
static const char *const column_names[C_COUNT] = {"pxname", "svname", "stot", "req_tot", "scur", "qcur", "bin", "bout",
                                                  "dreq", "ereq", "econ", "eresp", "hrsp_5xx", "rate"};

/* Where each column stands; -1: this HAProxy does not have it. */
static bool read_head(const char *line, size_t len, int columns[C_COUNT]) {
  struct cell cells[max_columns];
  if (len < 2 || line[0] != '#')
    return false;
  size_t skip = line[1] == ' ' ? 2 : 1, n = cut(line + skip, len - skip, ',', cells);
  for (int c = 0; c < C_COUNT; c++) {
    columns[c] = -1;
    for (size_t i = 0; i < n; i++)
      if (is(&cells[i], column_names[c]))
        columns[c] = (int)i;
  }
  return columns[C_PROXY] >= 0 && columns[C_SERVER] >= 0;
}

static uint64_t value(const struct cell *cells, size_t n, const int columns[C_COUNT], int c) {
  return columns[c] >= 0 && (size_t)columns[c] < n ? number(&cells[columns[c]]) : 0;
}

static void add_row(struct lbh_rows *out, const struct cell *cells, size_t n, const int columns[C_COUNT]) {
  if ((size_t)columns[C_PROXY] >= n || (size_t)columns[C_SERVER] >= n || out->len >= max_rows)
    return;
  if (out->len == out->cap) {
    out->cap = out->cap ? out->cap * 2 : 64;
    out->items = realloc(out->items, out->cap * sizeof *out->items);
    if (!out->items)
      abort();
  }
  const struct cell *proxy = &cells[columns[C_PROXY]], *server = &cells[columns[C_SERVER]];
  out->items[out->len++] = (struct lbh_row){.proxy = pu_strndup(proxy->at, proxy->len),
                                            .server = pu_strndup(server->at, server->len),
                                            .sessions = value(cells, n, columns, C_STOT),
                                            .requests = value(cells, n, columns, C_REQ),
                                            .open = value(cells, n, columns, C_SCUR),
                                            .queued = value(cells, n, columns, C_QCUR),
                                            .bytes_in = value(cells, n, columns, C_BIN),
                                            .bytes_out = value(cells, n, columns, C_BOUT),
                                            .denied = value(cells, n, columns, C_DREQ),
                                            .errors = value(cells, n, columns, C_ECON) + value(cells, n, columns, C_ERESP),
                                            .answers_5xx = value(cells, n, columns, C_5XX),
                                            .rate = value(cells, n, columns, C_RATE)};
}

bool lbh_stat_parse(const char *csv, struct lbh_rows *out) {
  int columns[C_COUNT];
  size_t len;
  const char *line = next_line(&csv, &len);
  *out = (struct lbh_rows){0};
  if (!line || !read_head(line, len, columns))
    return false;
  struct cell cells[max_columns];
  while ((line = next_line(&csv, &len)))
    if (len && line[0] != '#') /* the answers to several questions follow each other */
      add_row(out, cells, cut(line, len, ',', cells), columns);
  return true;
}

static int by_proxy(const void *a, const void *b) {
  const struct lbh_row *x = a, *y = b;
  int proxy = strcmp(x->proxy, y->proxy);
  return proxy ? proxy : strcmp(x->server, y->server);
}

void lbh_rows_sort(struct lbh_rows *rows) {
  if (rows->len > 1)
    qsort(rows->items, rows->len, sizeof *rows->items, by_proxy);
}

const struct lbh_row *lbh_rows_of(const struct lbh_rows *sorted, const char *proxy, size_t *n) {
  size_t low = 0, high = sorted->len;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (strcmp(sorted->items[middle].proxy, proxy) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  for (high = low; high < sorted->len && strcmp(sorted->items[high].proxy, proxy) == 0;)
    high++;
  *n = high - low;
  return sorted->items + low;
}

void lbh_rows_free(struct lbh_rows *rows) {
  for (size_t i = 0; i < rows->len; i++) {
    free(rows->items[i].proxy);
    free(rows->items[i].server);
  }
  free(rows->items);
  *rows = (struct lbh_rows){0};
}

/* ---------------------------------------------------------------- show servers state */

/* Columns of version 1, as the management guide numbers them. */
enum { S_BACKEND = 1, S_NAME = 3, S_ADDRESS = 4, S_ADMIN = 6, S_WEIGHT = 7, S_PORT = 18, S_LEAST = 19 };

static char *text_of(const struct cell *c) { return pu_strndup(c->at, c->len); }

bool lbh_servers_parse(const char *text, struct lbh_table *out) {
  size_t len;
  const char *line = next_line(&text, &len);
  struct cell cells[max_columns];
  if (!line || len != 1 || line[0] != '1')
    return false;
  size_t rows = 0;
  while ((line = next_line(&text, &len)) && rows < max_rows) {
    size_t n = len && line[0] != '#' ? cut(line, len, ' ', cells) : 0;
    if (n < S_LEAST)
      continue;
    PU_AUTO_FREE backend = text_of(&cells[S_BACKEND]);
    lbh_backend_append(lbh_table_add(out, backend), (struct lbh_server){.name = text_of(&cells[S_NAME]),
                                                                        .address = text_of(&cells[S_ADDRESS]),
                                                                        .port = (int)number(&cells[S_PORT]),
                                                                        .weight = (int)number(&cells[S_WEIGHT]),
                                                                        .ready = number(&cells[S_ADMIN]) == 0});
    rows++;
  }
  for (size_t i = 0; i < out->len; i++) /* they come in the order in which they were added */
    lbh_backend_sort(&out->items[i]);
  return true;
}

/* ---------------------------------------------------------------- show info, show proc */

char *lbh_info(const char *text, const char *name) {
  size_t len, n = strlen(name);
  const char *line;
  while ((line = next_line(&text, &len)))
    if (len > n + 2 && memcmp(line, name, n) == 0 && line[n] == ':' && line[n + 1] == ' ')
      return pu_strndup(line + n + 2, len - n - 2);
  return NULL;
}

size_t lbh_proc_parse(const char *text, int *master, int *worker, int *old, size_t room) {
  size_t len, nold = 0;
  const char *line;
  bool leaving = false;
  *master = *worker = 0;
  while ((line = next_line(&text, &len))) {
    char row[160], type[32] = "";
    int pid = 0;
    snprintf(row, sizeof row, "%.*s", (int)(len < sizeof row - 1 ? len : sizeof row - 1), line);
    if (strstr(row, "# old workers"))
      leaving = true;
    else if (row[0] == '#' && strstr(row, "programs"))
      break;
    if (row[0] == '#' || sscanf(row, "%d %31s", &pid, type) != 2 || pid <= 0)
      continue;
    if (strcmp(type, "master") == 0)
      *master = pid;
    else if (strcmp(type, "worker") == 0 && !leaving)
      *worker = pid;
    else if (strcmp(type, "worker") == 0 && nold < room)
      old[nold++] = pid;
  }
  return nold;
}
