/* libfyaml's events to trees. The events come one at a time and the builder keeps its own stack of at most max_depth
 * frames, so neither a deep nor a wide text makes us recurse; aliases are copied, counted node by node. */
#include "config.h"

#include <libfyaml.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

enum { default_max_bytes = 3 << 20, default_max_nodes = 200000, default_max_depth = 64, hash_from = 16 };

struct frame {
  struct bt_yaml *node; /* the collection being filled */
  char *key;            /* a mapping's key whose value comes next */
  struct bt_loc key_loc;
};

struct builder {
  const char *file;
  struct bt_yaml_limits limits;
  struct bt_diags *diags;
  size_t nodes;
  struct bt_map *anchors; /* name -> struct bt_yaml *, borrowed */
  BT_VEC(struct frame) stack;
  BT_VEC(struct bt_yaml *) parked; /* taken out of the tree, but an anchor may still name them */
  BT_VEC(struct bt_yaml *) docs;
  struct bt_yaml *root;
  bool stop; /* an error after which going on makes no sense */
};

static int fatal(struct builder *b, struct bt_loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int fatal(struct builder *b, struct bt_loc loc, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  bt_diag_error(b->diags, loc, "%s", text);
  b->stop = true;
  return -1;
}

/* --- the bytes --- */

/* Length of the UTF-8 sequence at p (shortest form, no surrogates), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left) {
  if (p[0] < 0x80)
    return 1;
  size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
  if (!n || n > left)
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) ||
      (p[0] == 0xf4 && p[1] >= 0x90))
    return 0;
  return n;
}

static int check_bytes(struct builder *b, const char *text, size_t len) {
  struct bt_loc loc = {b->file, 1, 1};
  for (size_t i = 0; i < len;) {
    const unsigned char *p = (const unsigned char *)text + i;
    if (*p == 0)
      return fatal(b, loc, "there is a NUL byte here; YAML is text, save the file as UTF-8");
    size_t n = utf8_len(p, len - i);
    if (!n)
      return fatal(b, loc, "byte 0x%02x is no valid UTF-8 here; save the file as UTF-8", *p);
    i += n;
    loc.col++;
    if (*p == '\n') {
      loc.line++;
      loc.col = 1;
    }
  }
  return 0;
}

/* A cheap look before the parser sees the text, for what libfyaml takes badly. It understands neither quotes nor comments,
 * so its bounds are far above what people write; the builder's own counts are the exact ones. */
struct scan {
  struct builder *b;
  struct bt_loc loc;
  int open;        /* brackets that stay open */
  int dashes;      /* block indicators in a row: each nests one level */
  size_t marks;    /* characters of this line that may each be a token: the scanner keeps a line's tokens in memory */
  size_t blank;    /* empty lines in a row */
  size_t work;     /* sum of their squares: what they cost inside a scalar */
  size_t percents; /* lines that begin with "%": directives are kept until a document starts */
  bool empty;      /* nothing but blanks on this line yet */
};

static int scan_line_end(struct scan *s) {
  enum { max_work = 300 * 1000 * 1000 };
  s->blank = s->empty ? s->blank + 1 : 0;
  s->work += 2 * s->blank;
  if (s->work > max_work)
    return fatal(s->b, s->loc, "too many empty lines in a row; take them out");
  s->loc.line++;
  s->loc.col = 0;
  s->dashes = 0;
  s->marks = 0;
  s->empty = true;
  return 0;
}

static int scan_char(struct scan *s, char c, char next) {
  enum { deepest = 1000, max_marks = 100 * 1000, max_percents = 1000 };
  bool space = c == ' ' || c == '\t' || c == '\r';
  if (c == '%' && s->loc.col == 1)
    s->percents++;
  if (c == '[' || c == '{')
    s->open++;
  else if ((c == ']' || c == '}') && s->open > 0)
    s->open--;
  if ((c == '-' || c == '?' || c == ':') && strchr(" \t\r\n", next))
    s->dashes++;
  else if (!space)
    s->dashes = 0;
  if (strchr(",[]{}&!*?:'\"", c))
    s->marks++;
  s->empty = s->empty && space;
  if (s->open > deepest || s->dashes > deepest)
    return fatal(s->b, s->loc, "nested deeper than %d levels", s->b->limits.max_depth);
  if (s->marks > max_marks || s->percents > max_percents)
    return fatal(s->b, s->loc, "this line holds too much; break it into several");
  return 0;
}

static int check_shape(struct builder *b, const char *text, size_t len) {
  struct scan s = {.b = b, .loc = {b->file, 1, 1}, .empty = true};
  for (size_t i = 0; i < len; i++, s.loc.col++)
    if (text[i] == '\n' ? scan_line_end(&s) : scan_char(&s, text[i], i + 1 < len ? text[i + 1] : '\n'))
      return -1;
  return 0;
}

/* --- places and texts of events --- */

static struct bt_loc event_loc(struct builder *b, struct fy_event *e) {
  const struct fy_mark *mark = fy_event_start_mark(e);
  return (struct bt_loc){b->file, mark ? mark->line + 1 : 0, mark ? mark->column + 1 : 0};
}

/* The text of a scalar, an anchor or an alias; NULL where there is none. Chunk by chunk: fy_token_get_text of libfyaml
 * 0.7.12 loses (and leaks) quoted texts with many escapes. */
static char *token_text(struct fy_token *token) {
  if (!token)
    return NULL;
  struct fy_token_iter *it = fy_token_iter_create(token);
  BT_ASSERT(it);
  BT_AUTO_BUF b = {0};
  int failed = 0;
  for (const struct fy_iter_chunk *chunk = NULL; (chunk = fy_token_iter_chunk_next(it, chunk, &failed));)
    bt_buf_add(&b, chunk->str, chunk->len);
  fy_token_iter_destroy(it);
  return failed ? NULL : bt_buf_steal(&b);
}

/* A tag has no chunks; its text is made of its handle and its suffix. */
static char *tag_text(struct fy_token *token) {
  size_t len = 0;
  const char *text = token ? fy_token_get_text(token, &len) : NULL;
  return text ? bt_strndup(text, len) : NULL;
}

/* --- putting nodes into place --- */

/* Moves what a "<<" value holds under the keys that the mapping itself does not set; the first of several wins. */
static void merge_pairs(struct builder *b, struct bt_yaml *map, struct bt_map *keys, const struct bt_yaml *from) {
  if (from->kind != BT_YAML_MAP) {
    bt_diag_error(b->diags, from->loc, "\"<<\" wants a mapping or a sequence of mappings, this is a %s",
                  bt_yaml_kind_name(from->kind));
    return;
  }
  for (size_t i = 0; i < from->map.len; i++) {
    const struct bt_yaml_pair *p = &from->map.items[i];
    if (bt_map_get(keys, p->key))
      continue;
    bt_map_set(keys, p->key, map);
    struct bt_yaml_pair pair = {bt_strdup(p->key), p->loc, bt_yaml_copy(p->value)};
    bt_vec_push(&map->map, pair);
  }
}

static void resolve_merge_key(struct builder *b, struct bt_yaml *map) {
  struct bt_yaml *from = bt_yaml_take(map, "<<");
  if (!from)
    return;
  BT_AUTO_MAP keys = bt_map_new(NULL);
  bt_vec_each(&map->map, p)
    bt_map_set(keys, p->key, map);
  if (from->kind == BT_YAML_SEQ)
    for (size_t i = 0; i < from->seq.len; i++)
      merge_pairs(b, map, keys, from->seq.items[i]);
  else
    merge_pairs(b, map, keys, from);
  bt_vec_push(&b->parked, from);
}

static void check_duplicates(struct builder *b, const struct bt_yaml *map) {
  BT_AUTO_MAP seen = map->map.len > hash_from ? bt_map_new(NULL) : NULL;
  for (size_t i = 0; i < map->map.len; i++) {
    struct bt_yaml_pair *pair = &map->map.items[i], *first = NULL;
    if (seen)
      first = bt_map_get(seen, pair->key);
    else
      for (size_t j = 0; j < i && !first; j++)
        first = strcmp(map->map.items[j].key, pair->key) == 0 ? &map->map.items[j] : NULL;
    if (first)
      bt_diag_error(b->diags, pair->loc, "the key \"%s\" is set twice; it was set first at line %d", pair->key,
                    first->loc.line);
    else if (seen)
      bt_map_set(seen, pair->key, pair);
  }
}

/* Takes node as the next key of the mapping on top. */
static int take_key(struct builder *b, struct frame *top, struct bt_yaml *node, struct bt_loc loc) {
  top->key_loc = loc;
  bool merge = node->plain && bt_streq(node->text, "<<");
  if (!node->text)
    bt_diag_error(b->diags, loc, "a key must be a string, this is a %s", bt_yaml_kind_name(node->kind));
  else if (node->kind != BT_YAML_STR && !merge)
    bt_diag_error(b->diags, loc, "a key must be a string, %s is a %s; put it in quotes",
                  *node->text ? node->text : "an empty key", bt_yaml_kind_name(node->kind));
  top->key = bt_strdup(node->text ? node->text : "");
  bt_vec_push(&b->parked, node);
  return 0;
}

/* Owns node. loc: where it stands (an alias stands elsewhere than what it names). */
static int place(struct builder *b, struct bt_yaml *node, struct bt_loc loc) {
  if (!b->stack.len) {
    b->root = node;
    return 0;
  }
  struct frame *top = &b->stack.items[b->stack.len - 1];
  if (top->node->kind == BT_YAML_SEQ) {
    bt_yaml_push(top->node, node);
    return 0;
  }
  if (!top->key)
    return take_key(b, top, node, loc);
  struct bt_yaml_pair pair = {bt_steal(top->key), top->key_loc, node};
  bt_vec_push(&top->node->map, pair);
  return 0;
}

static int count(struct builder *b, size_t n, struct bt_loc loc) {
  b->nodes += n;
  if (b->nodes <= b->limits.max_nodes)
    return 0;
  return fatal(b, loc, "more than %zu values, aliases counted as often as they stand; the file is refused",
               b->limits.max_nodes);
}

/* --- events --- */

static void apply_tag(struct builder *b, struct bt_yaml *node, const char *tag) {
  const char *core = bt_starts(tag, "tag:yaml.org,2002:") ? tag + strlen("tag:yaml.org,2002:") : NULL;
  bool scalar = node->text != NULL;
  if (strcmp(tag, "!reset") == 0) {
    node->tag = BT_YAML_RESET;
  } else if (strcmp(tag, "!override") == 0) {
    node->tag = BT_YAML_OVERRIDE;
  } else if (scalar && (strcmp(tag, "!") == 0 || bt_streq(core, "str"))) {
    node->kind = BT_YAML_STR;
    node->plain = false;
  } else if (scalar && core) {
    static const struct { const char *name; enum bt_yaml_kind kind; } kinds[] = {
        {"null", BT_YAML_NULL}, {"bool", BT_YAML_BOOL}, {"int", BT_YAML_INT}, {"float", BT_YAML_FLOAT}};
    bt_yaml_resolve(node);
    for (size_t i = 0; i < BT_COUNT(kinds); i++)
      if (strcmp(core, kinds[i].name) == 0 && kinds[i].kind == node->kind)
        return;
    if (strcmp(core, "float") == 0 && node->kind == BT_YAML_INT) {
      node->real = (double)node->integer;
      node->kind = BT_YAML_FLOAT;
      return;
    }
    bt_diag_error(b->diags, node->loc, "\"%s\" cannot be read as !!%s", node->text, core);
  } else if (!(core && strcmp(core, node->kind == BT_YAML_MAP ? "map" : "seq") == 0)) {
    bt_diag_error(b->diags, node->loc, "the tag %s is not known here; known are !reset, !override and YAML's own",
                  tag);
  }
}

/* What an event's node carries beside its content. Tags and anchors both come from tokens. */
static int decorate(struct builder *b, struct bt_yaml *node, struct fy_token *tag, struct fy_token *anchor) {
  BT_AUTO_FREE char *full = tag_text(tag);
  if (full)
    apply_tag(b, node, full);
  else if (tag)
    bt_diag_error(b->diags, node->loc, "this tag cannot be read");
  BT_AUTO_FREE char *name = token_text(anchor);
  if (name)
    bt_map_set(b->anchors, name, node);
  return count(b, 1, node->loc);
}

/* libfyaml has a quoted text begin after its quote, and an absent value nowhere: then it is where its key is. */
static struct bt_loc scalar_loc(struct builder *b, struct fy_event *e) {
  struct bt_loc loc = event_loc(b, e);
  if (!loc.line && b->stack.len) {
    const struct frame *top = &b->stack.items[b->stack.len - 1];
    return top->key ? top->key_loc : top->node->loc;
  }
  enum fy_scalar_style style = e->scalar.value ? fy_token_scalar_style(e->scalar.value) : FYSS_PLAIN;
  if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && loc.col > 1)
    loc.col--;
  return loc;
}

static int on_scalar(struct builder *b, struct fy_event *e) {
  struct bt_loc loc = scalar_loc(b, e);
  struct bt_yaml *node = bt_yaml_new(BT_YAML_STR, loc);
  node->text = token_text(e->scalar.value);
  if (!node->text) {
    node->text = bt_strdup("");
    if (e->scalar.value)
      bt_diag_error(b->diags, loc, "this text cannot be read");
  }
  node->plain = !e->scalar.value || fy_token_scalar_style(e->scalar.value) == FYSS_PLAIN;
  if (node->plain)
    bt_yaml_resolve(node);
  int rc = decorate(b, node, e->scalar.tag, e->scalar.anchor);
  return place(b, node, loc) | rc;
}

static int on_start(struct builder *b, struct fy_event *e, enum bt_yaml_kind kind) {
  struct bt_loc loc = event_loc(b, e);
  struct fy_token *tag = kind == BT_YAML_SEQ ? e->sequence_start.tag : e->mapping_start.tag;
  struct fy_token *anchor = kind == BT_YAML_SEQ ? e->sequence_start.anchor : e->mapping_start.anchor;
  if (b->stack.len >= (size_t)b->limits.max_depth)
    return fatal(b, loc, "nested deeper than %d levels", b->limits.max_depth);
  struct frame frame = {.node = bt_yaml_new(kind, loc)};
  int rc = decorate(b, frame.node, tag, anchor);
  bt_vec_push(&b->stack, frame);
  return rc;
}

static int on_end(struct builder *b) {
  struct frame frame = b->stack.items[--b->stack.len];
  if (frame.node->kind == BT_YAML_MAP) {
    check_duplicates(b, frame.node);
    resolve_merge_key(b, frame.node);
  }
  return place(b, frame.node, frame.node->loc);
}

/* Nodes and depth of a finished tree; stops counting over the limits. */
static size_t measure(const struct bt_yaml *node, size_t max, int *depth) {
  size_t n = 1;
  int deepest = 0;
  size_t len = node->kind == BT_YAML_SEQ ? node->seq.len : node->kind == BT_YAML_MAP ? node->map.len : 0;
  for (size_t i = 0; i < len && n <= max; i++) {
    int below = 0;
    n += measure(node->kind == BT_YAML_SEQ ? node->seq.items[i] : node->map.items[i].value, max - n, &below);
    deepest = BT_MAX(deepest, below);
  }
  *depth = deepest + (node->kind >= BT_YAML_SEQ);
  return n;
}

static int on_alias(struct builder *b, struct fy_event *e) {
  struct bt_loc loc = event_loc(b, e);
  loc.col -= loc.col > 1; /* the mark stands behind the asterisk */
  BT_AUTO_FREE char *name = token_text(e->alias.anchor);
  struct bt_yaml *target = name ? bt_map_get(b->anchors, name) : NULL;
  if (!target) {
    bt_diag_error(b->diags, loc, "the alias *%s names no anchor that was set before it", name ? name : "");
    return place(b, bt_yaml_new(BT_YAML_NULL, loc), loc);
  }
  bt_vec_each(&b->stack, frame)
    if (frame->node == target)
      return fatal(b, loc, "the alias *%s stands inside the value it names; that would never end", name);
  int depth;
  size_t n = measure(target, b->limits.max_nodes, &depth);
  if (count(b, n, loc))
    return -1;
  if (b->stack.len + (size_t)depth > (size_t)b->limits.max_depth)
    return fatal(b, loc, "nested deeper than %d levels by the alias *%s", b->limits.max_depth, name);
  return place(b, bt_yaml_copy(target), loc);
}

static void on_document_end(struct builder *b, struct fy_event *e) {
  bt_vec_push(&b->docs, b->root ? b->root : bt_yaml_new(BT_YAML_NULL, event_loc(b, e)));
  b->root = NULL;
  bt_map_free(&b->anchors);
  b->anchors = bt_map_new(NULL);
}

static int on_event(struct builder *b, struct fy_event *e) {
  switch (e->type) {
    case FYET_SCALAR:
      return on_scalar(b, e);
    case FYET_ALIAS:
      return on_alias(b, e);
    case FYET_SEQUENCE_START:
      return on_start(b, e, BT_YAML_SEQ);
    case FYET_MAPPING_START:
      return on_start(b, e, BT_YAML_MAP);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
      return on_end(b);
    case FYET_DOCUMENT_END:
      on_document_end(b, e);
      return 0;
    default:
      return 0;
  }
}

/* --- the parser around it --- */

static void say_nothing(struct fy_diag *diag, void *user, const char *buf, size_t len) {
  (void)diag, (void)user, (void)buf, (void)len;
}

static void report(struct builder *b, struct fy_diag *diag) {
  size_t before = b->diags->errors;
  void *prev = NULL;
  for (struct fy_diag_error *e; diag && (e = fy_diag_errors_iterate(diag, &prev));) {
    struct bt_loc loc = {b->file, e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 1};
    bt_diag_error(b->diags, loc, "%s", e->msg && *e->msg ? e->msg : "this is no valid YAML");
  }
  if (before == b->diags->errors)
    bt_diag_error(b->diags, (struct bt_loc){b->file, 1, 1}, "this is no valid YAML");
}

static void run(struct builder *b, const char *text, size_t len) {
  struct fy_diag_cfg diag_cfg;
  fy_diag_cfg_default(&diag_cfg);
  diag_cfg.fp = NULL;
  diag_cfg.output_fn = say_nothing;
  struct fy_diag *diag = fy_diag_create(&diag_cfg);
  fy_diag_set_collect_errors(diag, true);
  struct fy_parse_cfg cfg = {.flags = FYPCF_SLOPPY_FLOW_INDENTATION, .diag = diag};
  struct fy_parser *parser = fy_parser_create(&cfg);
  BT_ASSERT(diag && parser);
  bool failed = fy_parser_set_string(parser, text, len) != 0;
  while (!failed && !b->stop) {
    struct fy_event *e = fy_parser_parse(parser);
    if (!e) {
      failed = fy_parser_get_stream_error(parser);
      break;
    }
    bool end = e->type == FYET_STREAM_END;
    (void)on_event(b, e); /* its errors are in diags; b->stop says whether to go on */
    fy_parser_event_free(parser, e);
    if (end)
      break;
  }
  if (failed && !b->stop)
    report(b, diag);
  fy_parser_destroy(parser);
  fy_diag_destroy(diag);
}

static void drop(struct builder *b, bool docs_too) {
  bt_vec_each(&b->stack, frame) {
    bt_yaml_free(&frame->node);
    free(frame->key);
  }
  bt_vec_each(&b->parked, node)
    bt_yaml_free(node);
  bt_yaml_free(&b->root);
  if (docs_too) {
    bt_vec_each(&b->docs, node)
      bt_yaml_free(node);
    bt_vec_free(&b->docs);
  }
  bt_vec_free(&b->stack);
  bt_vec_free(&b->parked);
  bt_map_free(&b->anchors);
}

int bt_yaml_parse(const char *text, size_t len, const char *file, const struct bt_yaml_limits *limits,
                  struct bt_yaml ***docs, size_t *ndocs, struct bt_diags *diags) {
  struct builder b = {.file = file, .diags = diags, .anchors = bt_map_new(NULL)};
  if (limits)
    b.limits = *limits;
  b.limits.max_bytes = b.limits.max_bytes ? b.limits.max_bytes : default_max_bytes;
  b.limits.max_nodes = b.limits.max_nodes ? b.limits.max_nodes : default_max_nodes;
  b.limits.max_depth = b.limits.max_depth ? b.limits.max_depth : default_max_depth;
  size_t before = diags->errors;
  *docs = NULL;
  *ndocs = 0;
  if (len > b.limits.max_bytes)
    (void)fatal(&b, (struct bt_loc){file, 1, 1}, "%zu bytes are more than the %zu that are read of one file", len,
                b.limits.max_bytes);
  else if (check_bytes(&b, text, len) == 0 && check_shape(&b, text, len) == 0)
    run(&b, text, len);
  bool failed = diags->errors > before;
  drop(&b, failed);
  if (failed)
    return -1;
  if (!b.docs.len)
    bt_vec_push(&b.docs, bt_yaml_new(BT_YAML_NULL, (struct bt_loc){file, 1, 1}));
  *docs = b.docs.items;
  *ndocs = b.docs.len;
  return 0;
}
