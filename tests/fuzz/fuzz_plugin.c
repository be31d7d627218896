/* Manifests and configurations of plug-ins. The input is lines, then JSON:
 *   id \n version \n interface ids \n needed services \n ABI and sizes "1 96 64" \n
 *   a field a line: name|type|flags|min|max|default \n … \n an empty line \n the configuration
 * flags: 1 required, 2 secret, 4 immutable. What is accepted must survive what the server does with it next. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>

#include <berth/chat.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "plugin/fields.h"
#include "plugin/loader.h"
#include "plugin/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { max_words = 40, max_fields = BT_MAX_FIELDS + 2 };

struct input {
  char *at; /* the rest of the text */
  struct berth_interface interfaces[max_words + 1];
  const char *needs[max_words + 1];
  struct berth_field fields[max_fields + 1];
};

static void no_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
}
static void no_stop(struct berth_instance *self) { (void)self; }
static void no_cancel(struct berth_instance *self, berth_op op) { (void)self, (void)op; }
static enum berth_code no_start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  (void)host, (void)config, (void)out, (void)why;
  return BERTH_INTERNAL;
}
static const struct berth_chat chat = {.size = sizeof chat, .send = no_send, .probe = no_cancel};

static char *line(struct input *in) {
  char *start = in->at, *end = strchr(start, '\n');
  in->at = end ? end + 1 : start + strlen(start);
  if (end)
    *end = '\0';
  return start;
}

static size_t words(char *text, const char **out) {
  size_t n = 0;
  for (char *save = NULL, *w = strtok_r(text, " ", &save); w && n < max_words; w = strtok_r(NULL, " ", &save))
    out[n++] = w;
  return n;
}

/* The next part of a line up to a bar; NULL where there is none. */
static char *part(char **text) {
  char *start = *text, *bar = start ? strchr(start, '|') : NULL;
  *text = bar ? bar + 1 : NULL;
  if (bar)
    *bar = '\0';
  return start;
}

static int64_t number(const char *text) { return text ? strtoll(text, NULL, 10) : 0; }

static void read_field(char *text, struct berth_field *f) {
  f->name = part(&text);
  f->type = (enum berth_type)number(part(&text));
  int64_t flags = number(part(&text));
  f->required = flags & 1;
  f->secret = flags & 2;
  f->immutable = flags & 4;
  f->min = number(part(&text));
  f->max = number(part(&text));
  f->fallback = part(&text);
  f->doc = "A field.";
}

static void use_config(const struct berth_field *fields, const char *text) {
  BT_AUTO_JSON config = bt_json_parse(text, strlen(text), 0, 0, "config", NULL);
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_JSON out = NULL;
  if (!config || bt_plugin_config_check(fields, config, NULL, &diags, &out) != 0)
    return;
  BT_AUTO_STRS names = {0};
  BT_AUTO_MAP values = bt_map_new(NULL);
  BT_AUTO_ERR err = NULL;
  char value[] = "value";
  bt_plugin_config_secrets(fields, out, &names);
  for (size_t i = 0; i < names.len; i++)
    bt_map_set(values, names.items[i], value);
  BT_AUTO_FREE char *checked = bt_json_text(out);
  if (!strstr(checked, "\"file\"") && bt_plugin_config_resolve(fields, out, values, &err) == 0) {
    BT_AUTO_STRS left = {0};
    bt_plugin_config_secrets(fields, out, &left);
    BT_ASSERT(left.len == 0); /* every reference was replaced */
  }
}

static void run(struct input *in) {
  const char *ids[max_words], *sizes[max_words];
  struct berth_manifest m = {.summary = "A plug-in.", .license = "MIT", .interfaces = in->interfaces, .needs = in->needs};
  m.id = line(in);
  m.version = line(in);
  size_t n = words(line(in), ids);
  for (size_t i = 0; i < n; i++)
    in->interfaces[i] = (struct berth_interface){ids[i], &chat};
  words(line(in), in->needs);
  n = words(line(in), sizes);
  m.abi = n > 0 ? (uint32_t)number(sizes[0]) : BERTH_ABI;
  m.size = n > 1 ? (size_t)number(sizes[1]) : sizeof m;
  struct berth_plugin plugin = {.size = n > 2 ? (size_t)number(sizes[2]) : sizeof plugin,
                                .manifest = &m,
                                .start = no_start,
                                .stop = no_stop,
                                .cancel = no_cancel};
  for (size_t i = 0; i < max_fields && *in->at; i++) {
    char *text = line(in);
    if (!*text)
      break;
    read_field(text, &in->fields[i]);
  }
  m.config = in->fields;
  BT_AUTO_ERR err = NULL;
  struct bt_manifest *own = bt_loader_check(&plugin, "fuzz", &err);
  if (!own)
    return;
  BT_AUTO_JSON schema = bt_plugin_fields_schema(own->m.config, m.id);
  BT_ASSERT(json_is_object(schema));
  use_config(own->m.config, in->at);
  /* What another process would read of it is the same manifest. */
  BT_AUTO_JSON json = bt_manifest_json(&own->m);
  struct bt_manifest *read = bt_manifest_read(json, "fuzz", &err);
  BT_ASSERT(read);
  BT_AUTO_JSON again = bt_manifest_json(&read->m);
  BT_ASSERT(bt_json_equal(json, again));
  bt_manifest_free(&read);
  bt_manifest_free(&own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  BT_AUTO_FREE char *text = bt_strndup((const char *)data, size);
  struct input *in = bt_new(struct input);
  in->at = text;
  run(in);
  free(in);
  return 0;
}
