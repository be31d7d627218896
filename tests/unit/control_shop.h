/* For tests of control's operations: the app "shop", short ways to apply it, and to look at its instances. */
#ifndef BT_TESTS_CONTROL_SHOP_H
#define BT_TESTS_CONTROL_SHOP_H

#include "control_kit.h"

#define NET ",'networks':{'default':{'name':'shop_default'}}"
#define APP(services) "{'app':'shop','model':{'name':'shop','services':{" services "}" NET "}}"
#define WEB(more) "'web':{'image':'web:1','restart':'always','networks':{'default':null}" more "}"
#define DB(more) "'db':{'image':'db:1','restart':'always'" more "}"

static inline struct kit fresh(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  return k;
}

static inline bool apply(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  bool fine = reply && reply->code == BT_OK;
  if (reply && !fine)
    printf("# apply: %s\n", reply->message);
  kit_resolve(k, "aa");
  return fine;
}

static inline void refused(struct kit *k, const char *op, const char *args, enum bt_code code, const char *words) {
  const struct bt_reply *reply = kit_request(k, op, args, false);
  ok(reply && reply->code == code, "%s is refused: %s", op, bt_code_name(code));
  ok(reply && reply->message && strstr(reply->message, words), "and says: %s", words);
  if (reply && reply->message && !strstr(reply->message, words))
    printf("# %s\n", reply->message);
  is_int(k->fx.batch.len, 0, "nothing was written");
}

/* The id of the n-th instance of a service. */
static inline char *id_of(struct kit *k, const char *service, size_t n) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service) && n-- == 0) return bt_strdup(bt_json_str(o, "instance"));
  return NULL;
}

static inline void reason_is(struct kit *k, const char *service, const char *want) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service)) {
    is_str(bt_json_str(o, "reason"), want, want ? want : "no reason to wait");
    return;
  }
  ok(false, "there is an instance of %s", service);
}

static inline void report_one(struct kit *k, const char *service, const char *state, bool ready, int exit_code) {
  BT_AUTO_FREE char *id = id_of(k, service, 0);
  kit_report(k, id, state, ready, exit_code);
}

#endif
