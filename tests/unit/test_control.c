/* The control core through its front door: requests and node messages in, effects and views out. */
#include "config.h"

#include "control_kit.h"

#define WEB(image, replicas)                                                                                                   \
  "{'app':'shop','model':{'name':'shop','services':{'web':{'image':'" image "','restart':'always','networks':{'default':null}," \
  "'deploy':{'replicas':" #replicas "}}},'networks':{'default':{'name':'shop_default'}}}}"

static void deploy(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  if (reply && reply->code != BT_OK)
    printf("# apply: %s\n", reply->message);
  kit_resolve(k, "aa");
}

static void test_first_app(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  ok(kit_sent(&k, "sync", 0), "hello is answered with a sync");
  const struct bt_reply *reply = kit_request(&k, "app.apply", WEB("busybox:1", 2), false);
  ok(reply && reply->code == BT_OK && bt_json_bool(reply->result, "changed", false), "an app is accepted");
  is_int(bt_json_int(reply->result, "revision", 0), 1, "as revision 1");
  is_int(k.fx.calls.len, 1, "its image is resolved once");
  is_int(k.fx.sends.len, 0, "nothing starts before");
  kit_resolve(&k, "aa");
  is_int(kit_count(&k, "network"), 1, "its network is made");
  is_int(kit_count(&k, "assign"), 2, "two instances are assigned");
  const json_t *a = bt_json_obj(kit_sent(&k, "assign", 0), "instance");
  is_str(bt_json_str(a, "image"), "busybox:1@sha256:aa", "pinned");
  ok(bt_starts(bt_json_str(a, "instance"), "shop-web-1-"), "named after app, service and slot");
  is_str(bt_json_str(bt_json_obj(bt_json_obj(a, "class"), "labels"), "berth.app"), "shop", "labelled");
  kit_is_state(&k, "shop", "deploying");
  kit_all_run(&k);
  kit_is_state(&k, "shop", "running");
  kit_reload(&k);
  kit_is_state(&k, "shop", "running");
  is_int(k.fx.sends.len, 0, "a start moves nothing");
  kit_hello_again(&k);
  is_int(k.fx.sends.len, 1, "nor does a node that has all it should");
  reply = kit_request(&k, "app.remove", "{'app':'shop'}", false);
  ok(reply && reply->code == BT_OK, "it is removed");
  is_int(kit_count(&k, "release"), 2, "its instances are released");
  kit_all_leave(&k);
  is_int(kit_count(&k, "network_drop"), 1, "then its network is dropped");
  kit_node(&k, "{'type':'dropped','kind':'network','name':'shop_default'}");
  BT_AUTO_JSON apps = kit_list(&k, "apps", NULL);
  is_int(json_array_size(apps), 0, "nothing is left");
  kit_end(&k);
}

static void test_update(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  deploy(&k, WEB("busybox:1", 3));
  kit_all_run(&k);
  deploy(&k, WEB("busybox:2", 3));
  is_int(kit_count(&k, "release"), 1, "stop-first, one at a time");
  for (int i = 0; i < 3; i++) {
    kit_all_leave(&k);
    kit_all_run(&k);
    kit_tick(&k, 2000);
  }
  kit_is_state(&k, "shop", "deploying");
  kit_tick(&k, 3000);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  is_str(bt_json_str(json_array_get(revs, 1), "state"), "deployed", "revision 2 is deployed");
  is_str(bt_json_str(json_array_get(revs, 0), "state"), "superseded", "revision 1 is not");
  const struct bt_reply *reply = kit_request(&k, "app.rollback", "{'app':'shop'}", false);
  ok(reply && reply->code == BT_OK, "back again");
  is_int(k.fx.calls.len, 0, "without asking the registry");
  is_int(kit_count(&k, "release"), 1, "in the same way");
  kit_end(&k);
}

static const json_t *in_sync(const json_t *sync, const char *id) {
  size_t i;
  json_t *a;
  json_array_foreach(bt_json_arr(sync, "instances"), i, a) if (bt_streq(bt_json_str(a, "instance"), id)) return a;
  return NULL;
}

/* One message written over the other says what the hello's answer says of the same instance; who keeps one keeps it as it was. */
static void test_written_over(void) {
  struct kit k;
  json_t *sent[6];
  char ids[6][64];
  struct bt_pen pen = {0};
  kit_start(&k);
  kit_hello(&k);
  deploy(&k, "{'app':'shop','model':{'name':'shop','services':{'web':{'image':'box:1','restart':'always','networks':{'default':null},'deploy':{'replicas':4}},"
             "'db':{'image':'box:1','container_name':'the-db','environment':{'A':'1'}},'task':{'image':'box:1','deploy':{'mode':'replicated-job'}}},"
             "'networks':{'default':{'name':'shop_default'}}}}");
  size_t n = 0, kept = 0, same = 0;
  const json_t *last = NULL;
  for (size_t i = 0; i < k.fx.sends.len; i++) {
    json_t *m = bt_send_message(&k.fx.sends.items[i], &pen);
    if (!bt_streq(bt_json_str(m, "type"), "assign")) {
      json_decref(m);
      continue;
    }
    same += m == last;
    last = m;
    BT_ASSERT(n < BT_COUNT(sent));
    snprintf(ids[n], sizeof ids[n], "%s", bt_json_str(bt_json_obj(m, "instance"), "instance"));
    sent[n] = n == 1 || n == 2 ? json_incref(m) : json_deep_copy(m);
    kept += n == 1 || n == 2;
    n++;
    json_decref(m);
  }
  bt_pen_free(&pen);
  is_int(n, 6, "six are assigned");
  ok(kept == 2 && same > 0, "some of them with a message that was sent before");
  kit_reload(&k);
  kit_hello(&k);
  const json_t *sync = kit_sent(&k, "sync", 0);
  for (size_t i = 0; i < n; i++) {
    const json_t *a = bt_json_obj(sent[i], "instance"), *b = in_sync(sync, ids[i]);
    BT_AUTO_FREE char *x = bt_json_text(a), *y = b ? bt_json_text(b) : NULL;
    is_str(x, y, "it is assigned as the sync says");
    json_decref(sent[i]);
  }
  kit_end(&k);
}

int main(void) {
  test_first_app();
  test_written_over();
  test_update();
  return done_testing();
}
