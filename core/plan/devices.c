#include "config.h"

#include "plan/devices.h"

#include <strings.h>

#include "base/json.h"
#include "base/mem.h"

/* ---- what is meant ---- */

const char *bt_device_kind(const struct bt_device_request *r) {
  bt_vec_each(&r->capabilities, c) {
    if (bt_streq(*c, "gpu"))
      return "gpu";
  }
  return r->capabilities.len ? r->capabilities.items[0] : NULL;
}

/* Of a device that does not say what it can do: what the drivers of graphics cards offer usually. */
static bool is_common(const char *capability) {
  static const char *const common[] = {"nvidia", "compute", "compat32", "graphics", "utility", "video", "display", "ngx", "nvidia-compute"};
  for (size_t i = 0; i < BT_COUNT(common); i++)
    if (strcasecmp(capability, common[i]) == 0)
      return true;
  return false;
}

static bool can(const struct bt_device *d, const char *capability) {
  size_t i;
  json_t *item;
  if (strcasecmp(capability, d->kind) == 0 || (d->model && strcasecmp(capability, d->model) == 0))
    return true;
  if (!d->capabilities)
    return is_common(capability);
  json_array_foreach(d->capabilities, i, item) if (strcasecmp(capability, json_string_value(item)) == 0) return true;
  return false;
}

static bool among(const char *const *ids, size_t n, const char *id) {
  for (size_t i = 0; i < n; i++)
    if (bt_streq(ids[i], id))
      return true;
  return false;
}

bool bt_device_meets(const struct bt_device *d, const struct bt_device_request *r) {
  const char *kind = bt_device_kind(r);
  if (kind && !bt_streq(kind, d->kind) && bt_streq(kind, "gpu"))
    return false;
  if (r->driver && *r->driver && d->driver && !bt_streq(r->driver, d->driver))
    return false;
  bt_vec_each(&r->capabilities, c) {
    if (!can(d, *c))
      return false;
  }
  return r->ids.len == 0 || among(r->ids.items, r->ids.len, d->id);
}

/* ---- who gets what ---- */

struct pick {
  const struct bt_device *devices;
  size_t n;
  const struct bt_devices *want;
  uint32_t *out; /* by device: the request that has it, from 1 */
  bool *seen;
  bool *fixed;   /* cannot be moved */
};

/* One more device for the request: a free one, or one of another request that finds a free one in turn. */
static bool augment(struct pick *p, uint32_t request) {
  const struct bt_device_request *r = &p->want->requests.items[request - 1];
  for (size_t i = 0; i < p->n; i++) {
    if (p->seen[i] || p->fixed[i] || p->devices[i].taken || p->out[i] == request || !bt_device_meets(&p->devices[i], r))
      continue;
    p->seen[i] = true;
    if (p->out[i] == 0 || augment(p, p->out[i])) {
      p->out[i] = request;
      return true;
    }
  }
  return false;
}

/* Requests that leave no choice: by ids, or all there are. */
static bool take_fixed(struct pick *p, uint32_t request) {
  const struct bt_device_request *r = &p->want->requests.items[request - 1];
  size_t got = 0;
  for (size_t i = 0; i < p->n; i++) {
    if (!bt_device_meets(&p->devices[i], r))
      continue;
    if (p->devices[i].taken || p->out[i])
      return false;
    p->out[i] = request;
    p->fixed[i] = true;
    got++;
  }
  return r->ids.len ? got >= r->ids.len : got > 0;
}

static bool is_fixed(const struct bt_device_request *r) { return r->ids.len > 0 || r->count < 0; }

bool bt_devices_pick(const struct bt_device *devices, size_t n, const struct bt_devices *want, uint32_t *out) {
  BT_AUTO_FREE bool *seen = bt_newn(bool, n + 1), *fixed = bt_newn(bool, n + 1);
  struct pick p = {devices, n, want, out, seen, fixed};
  memset(out, 0, n * sizeof *out);
  for (uint32_t r = 1; r <= want->requests.len; r++)
    if (is_fixed(&want->requests.items[r - 1]) && !take_fixed(&p, r))
      return false;
  for (uint32_t r = 1; r <= want->requests.len; r++) {
    const struct bt_device_request *request = &want->requests.items[r - 1];
    for (int k = 0; !is_fixed(request) && k < request->count; k++) {
      memset(seen, 0, n * sizeof *seen);
      if (!augment(&p, r))
        return false;
    }
  }
  return true;
}

/* ---- amounts and words ---- */

bool bt_devices_plain(const struct bt_devices *want) {
  const struct bt_device_request *r = want->requests.items;
  return want->requests.len == 1 && !is_fixed(r) && r->capabilities.len == 1 && !(r->driver && *r->driver);
}

int64_t bt_devices_of_kind(const struct bt_devices *want, const char *kind) {
  int64_t n = 0;
  bt_vec_each(&want->requests, r) {
    if (bt_streq(bt_device_kind(r), kind))
      n += r->count < 0 ? 1 : r->count;
  }
  return n;
}

static void say_request(const struct bt_device_request *r, struct bt_buf *out) {
  const char *kind = bt_device_kind(r);
  bool open = false;
  if (r->count < 0)
    bt_buf_adds(out, "all ");
  else
    bt_buf_addf(out, "%d ", r->count);
  bt_buf_addf(out, "%.60s", kind ? kind : "devices");
  if (r->driver && *r->driver) {
    bt_buf_addf(out, " (driver %.60s", r->driver);
    open = true;
  }
  bt_vec_each(&r->capabilities, c) {
    if (!bt_streq(*c, kind)) {
      bt_buf_addf(out, "%s%.60s", open ? ", " : " (", *c);
      open = true;
    }
  }
  for (size_t i = 0; i < r->ids.len; i++) {
    bt_buf_addf(out, "%s%s%.80s", open ? ", " : " (", i == 0 ? "id " : "", r->ids.items[i]);
    open = true;
  }
  bt_buf_adds(out, open ? ")" : "");
}

void bt_devices_words(const struct bt_devices *want, struct bt_buf *out) {
  bt_vec_each(&want->requests, r) {
    bt_buf_adds(out, out->len ? " and " : "");
    say_request(r, out);
  }
}
