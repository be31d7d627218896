#include "config.h"
#include "cli/out.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

bool bt_out_fancy(int fd) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int bt_out_width(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 0;
}

void bt_out_color(struct bt_buf *b, bool fancy, enum bt_color color, const char *text) {
  static const char *const codes[] = {
      [BT_PLAIN] = "", [BT_GREEN] = "32", [BT_YELLOW] = "33", [BT_RED] = "31", [BT_CYAN] = "36",
      [BT_MAGENTA] = "35", [BT_BLUE] = "34", [BT_DIM] = "2", [BT_BOLD] = "1",
  };
  if (fancy && color != BT_PLAIN)
    bt_buf_addf(b, "\033[%sm%s\033[0m", codes[color], text);
  else
    bt_buf_adds(b, text);
}

/* ---------------------------------------------------------------- characters */

/* Length in bytes of the UTF-8 sequence at s, and its code point; 1 and -1 where it is none. */
static size_t sequence(const char *s, long *point) {
  const unsigned char *u = (const unsigned char *)s;
  *point = u[0];
  if (u[0] < 0x80)
    return 1;
  size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 0;
  *point = n ? u[0] & (0x7f >> n) : 0;
  for (size_t i = 1; i < n; i++) {
    if ((u[i] & 0xc0) != 0x80)
      n = 0;
    *point = *point << 6 | (u[i] & 0x3f);
  }
  if (n)
    return n;
  *point = -1;
  return 1;
}

/* Wide and zero-width characters without a locale, which would cost reading its files: the ranges that names are made of. */
static size_t columns_of(long point) {
  if ((point >= 0x300 && point <= 0x36f) || (point >= 0x200b && point <= 0x200f) || (point >= 0xfe00 && point <= 0xfe0f))
    return 0;
  bool wide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
              (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
              (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
              (point >= 0x1f300 && point <= 0x1faff) || (point >= 0x20000 && point <= 0x3fffd);
  return wide ? 2 : 1;
}

size_t bt_out_columns(const char *text) {
  size_t columns = 0;
  for (long point; *text; columns += columns_of(point))
    text += sequence(text, &point);
  return columns;
}

void bt_out_clean(struct bt_buf *b, const char *text) {
  while (*text) {
    long point;
    size_t n = sequence(text, &point);
    if (point == '\n' || point == '\t' || point == '\r')
      bt_buf_addc(b, ' ');
    else if (point < 0 || point < 0x20 || (point >= 0x7f && point < 0xa0))
      bt_buf_addc(b, '?');
    else
      bt_buf_add(b, text, n);
    text += n;
  }
}

void bt_out_clean_lines(struct bt_buf *b, const char *text) {
  for (size_t n; *text; text += n) {
    n = strcspn(text, "\n\t");
    BT_AUTO_FREE char *piece = bt_strndup(text, n);
    bt_out_clean(b, piece);
    if (text[n])
      bt_buf_addc(b, text[n++]);
  }
}

/* The first bytes of text that fit into columns. */
static size_t fitting(const char *text, size_t columns) {
  size_t at = 0;
  while (text[at]) {
    long point;
    size_t n = sequence(text + at, &point), w = columns_of(point);
    if (w > columns)
      break;
    columns -= w;
    at += n;
  }
  return at;
}

enum bt_color bt_out_state_color(const char *word) {
  static const struct {
    const char *word;
    enum bt_color color;
  } colors[] = {
      {"running", BT_GREEN}, {"healthy", BT_GREEN}, {"ok", BT_GREEN}, {"ready", BT_GREEN}, {"completed", BT_GREEN},
      {"done", BT_GREEN}, {"deployed", BT_GREEN}, {"pending", BT_YELLOW}, {"pulling", BT_YELLOW},
      {"creating", BT_YELLOW}, {"starting", BT_YELLOW}, {"stopping", BT_YELLOW}, {"warning", BT_YELLOW},
      {"deploying", BT_YELLOW}, {"resolving", BT_YELLOW}, {"rolling-out", BT_YELLOW},
      {"rolling-back", BT_YELLOW}, {"removing", BT_YELLOW}, {"cordoned", BT_YELLOW}, {"draining", BT_YELLOW}, {"drained", BT_YELLOW}, {"lost", BT_RED}, {"paused", BT_YELLOW}, {"failed", BT_RED},
      {"unhealthy", BT_RED}, {"error", BT_RED}, {"broken", BT_RED}, {"degraded", BT_RED},
      {"unavailable", BT_RED}, {"disconnected", BT_RED}, {"critical", BT_RED}, {"exited", BT_DIM},
      {"superseded", BT_DIM}, {"serving", BT_GREEN}, {"maintenance", BT_YELLOW}, {"no-endpoint", BT_RED}, {"refused", BT_RED},
      {"unserved", BT_RED},
  };
  for (size_t i = 0; word && i < BT_COUNT(colors); i++)
    if (strcmp(colors[i].word, word) == 0)
      return colors[i].color;
  return BT_PLAIN;
}

/* ---------------------------------------------------------------- tables */

void bt_table_head(struct bt_table *table, size_t n, const char *const *names) {
  table->ncolumns = n;
  for (size_t i = 0; i < n; i++)
    bt_table_add(table, names[i], BT_PLAIN);
}

void bt_table_add(struct bt_table *table, const char *text, enum bt_color color) {
  BT_AUTO_BUF b = {0};
  bt_out_clean(&b, text ? text : "-");
  bt_vec_push(&table->cells, bt_buf_steal(&b));
  bt_vec_push(&table->colors, (unsigned char)color);
}

void bt_table_addf(struct bt_table *table, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  bt_table_add(table, text, BT_PLAIN);
}

static void widths(const struct bt_table *table, size_t *width) {
  for (size_t i = 0; i < table->cells.len; i++) {
    size_t w = bt_out_columns(table->cells.items[i]), column = i % table->ncolumns;
    width[column] = BT_MAX(width[column], w);
  }
}

static void render_row(const struct bt_table *table, size_t row, const size_t *width, int limit, bool fancy,
                       struct bt_buf *out) {
  size_t at = 0, last = table->ncolumns;
  char **cells = table->cells.items + row * table->ncolumns;
  while (last > 1 && !*cells[last - 1]) /* no blanks at the end of a line */
    last--;
  for (size_t c = 0; c < last; c++) {
    size_t room = limit > 0 ? (size_t)limit > at ? (size_t)limit - at : 0 : (size_t)-1;
    BT_AUTO_FREE char *cell = bt_strndup(cells[c], fitting(cells[c], room));
    bt_out_color(out, fancy, row == 0 ? BT_BOLD : (enum bt_color)table->colors.items[row * table->ncolumns + c], cell);
    at += width[c] + 2;
    if (c + 1 < last && (limit <= 0 || at < (size_t)limit))
      bt_buf_addf(out, "%*s", (int)(width[c] + 2 - bt_out_columns(cell)), "");
  }
  bt_buf_addc(out, '\n');
}

void bt_table_render(const struct bt_table *table, int width, bool fancy, struct bt_buf *out) {
  size_t rows = table->ncolumns ? table->cells.len / table->ncolumns : 0;
  BT_ASSERT(rows * table->ncolumns == table->cells.len);
  BT_AUTO_FREE size_t *columns = bt_newn(size_t, BT_MAX(table->ncolumns, 1));
  widths(table, columns);
  for (size_t row = 0; row < rows; row++)
    render_row(table, row, columns, width, fancy, out);
}

void bt_table_print(const struct bt_table *table) {
  BT_AUTO_BUF out = {0};
  bt_table_render(table, bt_out_width(STDOUT_FILENO), bt_out_fancy(STDOUT_FILENO), &out);
  bt_out_write(STDOUT_FILENO, &out);
}

void bt_table_free(struct bt_table *table) {
  bt_strs_free(&table->cells);
  bt_vec_free(&table->colors);
}

/* ---------------------------------------------------------------- the rest */

static int lost;

void bt_out_wrap(struct bt_buf *b, const char *text, size_t at, size_t indent, size_t width) {
  bool first = true; /* of its line */
  for (size_t n; *text; text += n + (text[n] == ' ')) {
    n = strcspn(text, " ");
    BT_AUTO_FREE char *word = bt_strndup(text, n);
    size_t columns = bt_out_columns(word);
    if (!first && at + 1 + columns > width) {
      bt_buf_addf(b, "\n%*s", (int)indent, "");
      at = indent;
      first = true;
    }
    bt_buf_addf(b, "%s%s", first ? "" : " ", word);
    at += columns + !first;
    first = false;
  }
  bt_buf_addc(b, '\n');
}

size_t bt_out_text_width(void) {
  int width = bt_out_width(STDOUT_FILENO);
  return width <= 0 ? 80 : (size_t)BT_MIN(BT_MAX(width, 60), 100);
}

void bt_out_write(int fd, const struct bt_buf *b) {
  for (size_t at = 0; at < b->len;) {
    ssize_t n = write(fd, b->data + at, b->len - at);
    if (n < 0 && errno == EPIPE)
      exit(BT_EXIT_PIPE); /* by exit(): a terminal in raw mode is set back */
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      lost = lost ? lost : errno;
      return;
    }
    at += n > 0 ? (size_t)n : 0;
  }
}

int bt_out_lost(void) {
  if (fflush(stdout) != 0 && !lost)
    lost = errno;
  return lost;
}

/* JSON escapes what is below a space; DEL and the control characters of two bytes, which terminals obey as well, it leaves. */
static void add_escaped(struct bt_buf *b, const char *json) {
  for (long point; *json;) {
    size_t n = sequence(json, &point);
    if (point >= 0x7f && point < 0xa0)
      bt_buf_addf(b, "\\u%04lx", (unsigned long)point);
    else
      bt_buf_add(b, json, n);
    json += n;
  }
}

void bt_out_json(const json_t *value) {
  BT_AUTO_FREE char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
  BT_AUTO_BUF b = {0};
  if (text)
    bt_json_shorten(text);
  add_escaped(&b, text ? text : "null");
  bt_buf_addc(&b, '\n');
  bt_out_write(STDOUT_FILENO, &b);
}

char *bt_out_bytes(long long bytes, char buf[32]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = (double)bytes;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < BT_COUNT(units); unit++)
    value /= 1024;
  snprintf(buf, 32, unit && value < 100 ? "%.1f%s" : "%.0f%s", value, units[unit]);
  return buf;
}

char *bt_out_age(long long since_ms, char buf[32]) {
  buf[0] = '\0';
  int64_t now = bt_clock_wall_ms();
  return since_ms > 0 ? bt_duration_human(now > since_ms ? now - since_ms : 0, buf) : buf;
}
