/* Which devices an instance is given: by hand, and against one that tries everything. */
#include "config.h"

#include "base/json.h"
#include "base/mem.h"
#include "plan/devices.h"
#include "tap.h"

static struct bt_devices want_of(const char *requests, json_t **keep) {
  struct bt_devices want = {0};
  BT_AUTO_FREE char *text = bt_asprintf("{\"deploy\":{\"resources\":{\"reservations\":{\"devices\":%s}}}}", requests);
  for (char *p = text; *p; p++)
    if (*p == '\'')
      *p = '"';
  *keep = json_loads(text, 0, NULL);
  if (!*keep || bt_devices_parse("s", *keep, &want, NULL))
    printf("# no requests: %s\n", text);
  return want;
}

/* The numbers of the requests, device by device, as a text; "no" where there is no answer. */
static const char *picked(const struct bt_device *d, size_t n, const char *requests) {
  static char out[80];
  uint32_t request[64];
  json_t *keep;
  struct bt_devices want = want_of(requests, &keep);
  size_t len = 0;
  if (!bt_devices_pick(d, n, &want, request))
    len += (size_t)snprintf(out, sizeof out, "no");
  else
    for (size_t i = 0; i < n; i++)
      len += (size_t)snprintf(out + len, sizeof out - len, "%u", request[i]);
  bt_devices_free(&want);
  json_decref(keep);
  return out;
}

static void test_by_hand(void) {
  json_t *caps = json_pack("[s,s]", "utility", "fast");
  struct bt_device d[] = {{.kind = "gpu", .driver = "nvidia", .id = "0", .capabilities = caps}, {.kind = "gpu", .driver = "nvidia", .model = "a100", .id = "1"}, {.kind = "tpu", .id = "0"}};
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'count':1}]"), "100", "the first of its kind");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'count':2}]"), "110", "two");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'count':3}]"), "no", "three are not there");
  is_str(picked(d, 3, "[{'capabilities':['gpu']}]"), "110", "all of its kind");
  is_str(picked(d, 3, "[{'capabilities':['gpu','A100'],'count':1}]"), "010", "a model is asked for as a capability");
  is_str(picked(d, 3, "[{'capabilities':['gpu','fast'],'count':1}]"), "100", "a capability that a device has");
  is_str(picked(d, 3, "[{'capabilities':['gpu','graphics'],'count':1}]"), "010", "who says nothing can what is usual");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'device_ids':['1']}]"), "010", "by id");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'device_ids':['7']}]"), "no", "an id that is not there");
  is_str(picked(d, 3, "[{'capabilities':['tpu'],'count':1},{'capabilities':['gpu'],'count':1}]"), "201", "of two kinds");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'count':1},{'capabilities':['gpu','fast'],'count':1}]"), "210", "who has a choice moves");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'driver':'cdi','count':1}]"), "no", "of another driver");
  d[1].taken = true;
  is_str(picked(d, 3, "[{'capabilities':['gpu']}]"), "no", "all of them means that nobody has any");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'device_ids':['1']}]"), "no", "an id is had by one");
  is_str(picked(d, 3, "[{'capabilities':['gpu'],'count':1}]"), "100", "the other one is free");
  json_decref(caps);
}

static void says(const char *requests, bool plain, const char *words) {
  json_t *keep;
  struct bt_devices want = want_of(requests, &keep);
  BT_AUTO_BUF text = {0};
  bt_devices_words(&want, &text);
  is_str(text.data, words, words);
  ok(bt_devices_plain(&want) == plain, "amounts say all of it, or not");
  bt_devices_free(&want);
  json_decref(keep);
}

static void test_words(void) {
  says("[{'capabilities':['gpu'],'count':2}]", true, "2 gpu");
  says("[{'capabilities':['utility','gpu'],'count':2,'driver':'nvidia'}]", false, "2 gpu (driver nvidia, utility)");
  says("[{'capabilities':['tpu']}]", false, "all tpu");
  says("[{'capabilities':['gpu'],'device_ids':['0','GPU-1']},{'capabilities':['fpga'],'count':1}]", false, "2 gpu (id 0, GPU-1) and 1 fpga");
}

/* ---- everything tried ---- */

static uint64_t seed = 7;
static uint32_t rnd(uint32_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed * 2685821657736338717ULL >> 33) % n);
}

static bool tried(const struct bt_device *d, size_t n, const struct bt_devices *want, size_t at, int *left) {
  if (at == n) {
    for (size_t r = 0; r < want->requests.len; r++)
      if (left[r] > 0)
        return false;
    return true;
  }
  for (size_t r = 0; !d[at].taken && r < want->requests.len; r++)
    if (left[r] > 0 && bt_device_meets(&d[at], &want->requests.items[r])) {
      left[r]--;
      bool found = tried(d, n, want, at + 1, left);
      left[r]++;
      if (found)
        return true;
    }
  return tried(d, n, want, at + 1, left);
}

static void test_random(void) {
  static const char *const models[] = {"a", "b", NULL};
  static const char *const requests[] = {"{'capabilities':['gpu'],'count':%u}", "{'capabilities':['gpu','a'],'count':%u}", "{'capabilities':['gpu','b'],'count':%u}"};
  const char *wrong = NULL;
  int found = 0;
  for (int round = 0; round < 3000 && !wrong; round++) {
    struct bt_device d[6];
    size_t n = 1 + rnd(6);
    for (size_t i = 0; i < n; i++)
      d[i] = (struct bt_device){.kind = "gpu", .model = models[rnd(3)], .id = "x", .taken = rnd(5) == 0};
    BT_AUTO_BUF text = {0};
    for (uint32_t r = 0, k = 1 + rnd(3); r < k; r++) {
      BT_AUTO_FREE char *one = bt_asprintf(requests[rnd(3)], 1 + rnd(2));
      bt_buf_addf(&text, "%s%s", r ? "," : "[", one);
    }
    bt_buf_adds(&text, "]");
    json_t *keep;
    struct bt_devices want = want_of(text.data, &keep);
    int left[3] = {0};
    uint32_t out[6];
    for (size_t r = 0; r < want.requests.len; r++)
      left[r] = want.requests.items[r].count;
    bool got = bt_devices_pick(d, n, &want, out), there = tried(d, n, &want, 0, left);
    found += got;
    if (got != there)
      wrong = there ? "an answer was not found" : "there is no such answer";
    for (size_t i = 0; got && i < n; i++) {
      if (out[i] && (d[i].taken || !bt_device_meets(&d[i], &want.requests.items[out[i] - 1])))
        wrong = "a device that may not be given was";
      if (out[i])
        left[out[i] - 1]--;
    }
    for (size_t r = 0; got && r < want.requests.len; r++)
      if (left[r] != 0)
        wrong = "another number was given than asked for";
    bt_devices_free(&want);
    json_decref(keep);
  }
  ok(!wrong && found > 300, "random devices: %s, %d times", wrong ? wrong : "what is there is found", found);
}

int main(void) {
  test_by_hand();
  test_words();
  test_random();
  return done_testing();
}
