#include "tags.h"

#include "../common/util.h"
#include "../common/reference.h"

enum { page_size = 1000, max_tags = 10000 };

struct ro_tags {
  struct ro_tags **list, *next;
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  struct ro_client *client;
  berth_op op;
  struct pu_reference ref;
  json_t *tags;
  struct ro_call *call;
};

static void tags_end(struct ro_tags *t, enum berth_code code, const char *message) {
  PU_AUTO_JSON result = json_pack("{s:O}", "tags", t->tags);
  PU_AUTO_FREE text = pu_json_text(result);
  t->ops->finish(t->host, t->op, code, message, code == BERTH_OK ? text : NULL);
  struct ro_tags **at = t->list;
  while (*at != t)
    at = &(*at)->next;
  *at = t->next;
  json_decref(t->tags);
  pu_reference_free(&t->ref);
  free(t);
}

static void ask(struct ro_tags *t, const char *last);

static void on_page(void *arg, const struct ro_answer *a) {
  struct ro_tags *t = arg;
  if (a->code != BERTH_OK) {
    tags_end(t, a->code, a->message);
    return;
  }
  PU_AUTO_JSON page = pu_json_parse(a->body, a->len);
  const json_t *tags = pu_arr(page, "tags");
  const char *last = NULL;
  size_t i, before = json_array_size(t->tags);
  json_t *tag;
  json_array_foreach(tags, i, tag) {
    if (!json_is_string(tag) || json_string_length(tag) > 128 || json_array_size(t->tags) >= max_tags)
      continue;
    json_array_append(t->tags, tag);
    last = json_string_value(tag);
  }
  /* A registry that does not know of pages gives all at once; one that repeats itself is not asked for ever. */
  bool more = json_array_size(tags) >= page_size && json_array_size(tags) == json_array_size(t->tags) - before && last;
  if (more && json_array_size(t->tags) < max_tags)
    ask(t, last);
  else
    tags_end(t, BERTH_OK, NULL);
}

static void ask(struct ro_tags *t, const char *last) {
  const struct pu_reference *ref = &t->ref;
  PU_AUTO_BUF path = {0};
  pu_buf_addf(&path, "/v2/%s/tags/list?n=%d", ref->name, page_size);
  if (last) {
    pu_buf_adds(&path, "&last=");
    pu_url_add(&path, last, "");
  }
  PU_AUTO_FREE scope = pu_asprintf("repository:%s:pull", ref->name);
  PU_AUTO_FREE what = pu_asprintf("the tags of %s/%s", ref->registry, ref->name);
  struct ro_request request = {.registry = ref->registry,
                               .method = "GET",
                               .path = path.data,
                               .accept = "application/json",
                               .scope = scope,
                               .what = what,
                               .done = on_page,
                               .arg = t};
  ro_client_send(t->client, &request, &t->call);
}

void ro_tags_start(struct ro_tags **list, const struct berth_host *host, struct ro_client *client, berth_op op, const char *image) {
  struct ro_tags *t = pu_new(struct ro_tags);
  *t = (struct ro_tags){.list = list,
                        .next = *list,
                        .host = host,
                        .ops = host->service(host, BERTH_HOST_OPS),
                        .client = client,
                        .op = op,
                        .tags = json_array()};
  *list = t;
  if (image && pu_reference_parse(image, &t->ref))
    ask(t, NULL);
  else
    tags_end(t, BERTH_INVALID, "that is no image reference as registry/name:tag");
}

bool ro_tags_cancel(struct ro_tags *list, berth_op op) {
  for (struct ro_tags *t = list; t; t = t->next) {
    if (t->op != op)
      continue;
    ro_call_cancel(t->call);
    return true;
  }
  return false;
}
